"""The Ray Serve configs with vLLM: its arguments, and a judge that Ray Serve serves on the CPU with the small model."""

import importlib
import importlib.util
import os
import sys
import warnings
from pathlib import Path

import gsm8k
import pytest
import requests
import yaml

from llm_judge_remote import compute_score_batched
from llm_judge_remote.servers.registry import lookup
from llm_judge_remote.serving.launch import free_port
from llm_judge_remote.serving.small_model import MODEL_NAME, small_model
from llm_judge_remote.serving.vllm import is_installed

_MISSING = [name for name in ("ray", "fastapi", "mmh3", "pyarrow") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.real_vllm,
    pytest.mark.skipif(not is_installed(), reason="vLLM is not installed here: `make test-real` installs it"),
    pytest.mark.skipif(bool(_MISSING), reason=f"Ray Serve is not installed beside vLLM: no {', '.join(_MISSING)}"),
    # Ray's models are written for an older pydantic, and Ray leaves sockets and files to the end of the process.
    pytest.mark.filterwarnings("ignore"),
]

FOLDER = Path(__file__).parents[2] / "deploy" / "ray_serve"
CONFIGS = [FOLDER / "judge.yaml", FOLDER / "judge_app.yaml"]
KEY = "the-key-of-this-test"
HOST = "127.0.0.2"  # this machine's, and not 127.0.0.1, which Ray replaces by an address that others can reach


def arguments_of(path):
    """What the application's builder is given."""
    return yaml.safe_load(path.read_text())["applications"][0]["args"]


def imported(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_ray_and_vllm_take_the_llms_config(path):
    arguments = arguments_of(path)
    checked = imported("ray.serve.llm").LLMServingArgs.model_validate(arguments.get("llm", arguments))
    (model,) = checked.llm_configs
    engine = model.get_engine_config()
    assert engine.actual_hf_model_id == "Qwen/Qwen3-32B-FP8"
    assert engine.placement_bundles == [{"GPU": 1, "accelerator_type:H100": 0.001}]


def test_an_argument_that_vllm_does_not_know_is_seen():
    arguments = arguments_of(CONFIGS[0])
    arguments["llm_configs"][0]["engine_kwargs"]["max_num_seq"] = 3
    (model,) = imported("ray.serve.llm").LLMServingArgs.model_validate(arguments).llm_configs
    with pytest.raises(ValueError, match="Unknown engine argument: max_num_seq"):
        model.get_engine_config()


@pytest.fixture(scope="module")
def cluster():
    """A local Ray cluster with Serve; its port."""
    ray, serve = imported("ray"), imported("ray.serve")
    port = free_port(HOST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("LLM_JUDGE_API_KEY", KEY)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.syspath_prepend(str(FOLDER))
        # Logical CPUs: the ingress and the replica want one each, whatever the machine has.
        ray.init(num_cpus=4, include_dashboard=False, _node_ip_address=HOST, log_to_driver=False)
        serve.start(http_options={"host": HOST, "port": port})
        yield port
        serve.shutdown()
        ray.shutdown()
        sys.modules.pop("judge_app", None)


def on_the_cpu(arguments):
    """The same application with the small model, on a machine without a GPU."""
    (model,) = arguments.get("llm", arguments)["llm_configs"]
    model["model_loading_config"] = {"model_id": MODEL_NAME, "model_source": str(small_model())}
    del model["accelerator_type"]
    model["placement_group_config"] = {"bundle_per_worker": {"CPU": 1}}
    model["engine_kwargs"] = {
        "max_model_len": 4096,
        "max_num_seqs": 16,
        "dtype": "float32",
        "enforce_eager": True,
        "enable_prefix_caching": True,
    }
    model["runtime_env"]["env_vars"]["VLLM_CPU_KVCACHE_SPACE"] = "1"
    model["deployment_config"]["autoscaling_config"]["max_replicas"] = 1
    return arguments


@pytest.fixture
def serving(cluster):
    """Serves one of the two applications, until the test is over."""
    serve = imported("ray.serve")

    def start(path, build):
        serve.run(build(on_the_cpu(arguments_of(path))), name="judge", route_prefix="/")
        return f"http://{HOST}:{cluster}"

    yield start
    serve.delete("judge")


def scored(url, **settings):
    rows = [("gsm8k", row.text, row.reference, {"problem": row.question}) for row in gsm8k.solutions(4)]
    defaults = {"model_name": MODEL_NAME, "temperature": 0, "max_new_tokens": 16, "timeout": 600}
    return compute_score_batched(*zip(*rows, strict=True), server_url=url, return_details=True, **defaults, **settings)


def test_judges_of_ray_serve_judge(serving):
    url = serving(CONFIGS[0], imported("ray.serve.llm").build_openai_app)
    details = scored(url, structured_output=True)
    assert {detail["judge_outcome"] for detail in details} == {"judged"}, details[0]
    assert {detail["judge_server"] for detail in details} == {url}


def test_judges_of_the_app_are_found_by_the_registry_and_want_the_key(serving, cluster):
    arguments = arguments_of(CONFIGS[1])

    def build(given):
        return imported("judge_app").build_judge_app({**given, "port": cluster})

    url = serving(CONFIGS[1], build)
    assert lookup(arguments["registry"]) == [url]
    details = scored(arguments["registry"], structured_output=True, api_key=KEY)
    assert {detail["judge_outcome"] for detail in details} == {"judged"}, details[0]
    assert requests.get(f"{url}/health", timeout=30).status_code == 200
    assert requests.get(f"{url}/v1/models", timeout=30).status_code == 401
    asked = requests.post(
        f"{url}/v1/chat/completions", json={}, headers={"Authorization": "Bearer another"}, timeout=30
    )
    assert asked.status_code == 401
