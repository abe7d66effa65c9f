"""The Ray Serve configs against Ray's own schemas, and the prefix-aware router with the values that they give it.

Ray's LLM part is importable with vLLM only; what needs it is in `tests/e2e/test_ray_serve_vllm.py`.
"""

import asyncio
import collections
import inspect
import logging
import os
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ray
import yaml

from llm_judge_remote.servers.registry import open_registry
from llm_judge_remote.serving.spec import ServerSpec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its models are written for an older pydantic
    from ray import serve
    from ray.llm._internal.serve.core.configs.llm_config import LLMConfig
    from ray.serve._private.config import DeploymentConfig
    from ray.serve.config import AutoscalingConfig, RequestRouterConfig
    from ray.serve.schema import HTTPOptionsSchema, ServeApplicationSchema, ServeDeploySchema

pytestmark = pytest.mark.deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIGS = [DEPLOY / "ray_serve" / "judge.yaml", DEPLOY / "ray_serve" / "judge_app.yaml"]
# What `ray.serve.llm.request_router.PrefixCacheAffinityRouter` is made of; this one needs no vLLM.
ROUTER = "ray.llm._internal.serve.routing_policies.prefix_aware.prefix_aware_router.PrefixCacheAffinityRouter"

each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)


def config_of(path):
    return yaml.safe_load(path.read_text())


def arguments_of(path):
    """What `ray.serve.llm:build_openai_app` is given."""
    arguments = config_of(path)["applications"][0]["args"]
    return arguments.get("llm", arguments)


def model_of(path):
    (model,) = arguments_of(path)["llm_configs"]
    return model


@each_config
def test_serve_takes_the_config_and_ignores_nothing_in_it(path):
    config = config_of(path)
    checked = ServeDeploySchema.model_validate(config)
    (application,) = checked.applications
    assert (application.route_prefix, checked.http_options.port) == ("/", 8000)
    # Unknown names are ignored by these schemas.
    assert config.keys() <= ServeDeploySchema.model_fields.keys()
    assert config["http_options"].keys() <= HTTPOptionsSchema.model_fields.keys()
    assert config["applications"][0].keys() <= ServeApplicationSchema.model_fields.keys()


@each_config
def test_serve_takes_the_options_of_both_deployments(path):
    arguments = arguments_of(path)
    model = dict(model_of(path)["deployment_config"])
    router = dict(model["request_router_config"])
    assert router.keys() <= RequestRouterConfig.model_fields.keys()
    if router["request_router_class"].endswith(".PrefixCacheAffinityRouter"):
        router["request_router_class"] = ROUTER
    kind = RequestRouterConfig(**router).get_request_router_class()
    taken = inspect.signature(kind.initialize_state).parameters
    assert router.get("request_router_kwargs", {}).keys() <= taken.keys()
    for options in (model | {"request_router_config": router}, arguments["ingress_deployment_config"]):
        assert options.keys() <= DeploymentConfig.model_fields.keys()
        assert options["autoscaling_config"].keys() <= AutoscalingConfig.model_fields.keys()
        DeploymentConfig(**options)


@each_config
def test_rays_model_takes_the_llms_config(path):
    model = model_of(path)
    model["deployment_config"] = {
        name: value for name, value in model["deployment_config"].items() if name != "request_router_config"
    }
    checked = LLMConfig.model_validate(model)
    assert checked.model_id == "Qwen/Qwen3-32B"  # what the client asks for, unless told otherwise
    assert checked.accelerator_type == "H100"
    with pytest.raises(ValueError, match="accelerator"):
        LLMConfig.model_validate(model | {"accelerator_type": "H1000"})


def test_both_configs_are_of_one_fleet():
    plain, app = (model_of(path) for path in CONFIGS)
    for model in (plain, app):
        del model["deployment_config"]["request_router_config"]
    assert plain == app


def test_the_engine_is_started_as_the_preset_has_it():
    preset = ServerSpec.load(DEPLOY / "presets" / "qwen3-32b-1xh100.yaml")
    model = model_of(CONFIGS[0])
    extra = dict(zip(preset.extra_args[::2], preset.extra_args[1::2], strict=True))
    assert model["model_loading_config"] == {"model_id": preset.name, "model_source": preset.model}
    assert model["engine_kwargs"] == {
        "max_model_len": preset.max_model_len,
        "max_num_seqs": preset.max_num_seqs,
        "max_num_batched_tokens": preset.max_num_batched_tokens,
        "gpu_memory_utilization": preset.gpu_memory_utilization,
        "enable_prefix_caching": preset.prefix_caching,
        "enable_chunked_prefill": preset.chunked_prefill,
        "reasoning_parser": preset.reasoning_parser,
        **{name.removeprefix("--").replace("-", "_"): value for name, value in extra.items()},
    }
    assert preset.gpus == 1  # as many as Ray takes for each replica


@each_config
def test_a_replica_is_added_before_the_engine_is_full_and_takes_more_than_that_at_once(path):
    model = model_of(path)
    options = model["deployment_config"]
    at_once = model["engine_kwargs"]["max_num_seqs"]
    assert options["autoscaling_config"]["target_ongoing_requests"] < at_once < options["max_ongoing_requests"]


def test_the_registry_of_the_app_is_one_that_clients_know():
    url = config_of(CONFIGS[1])["applications"][0]["args"]["registry"]
    assert open_registry(url).name == url


class Judge:
    """A replica that says which one it is."""

    async def chat(self, request):
        await asyncio.sleep(0.02)
        return serve.get_replica_context().replica_id.unique_id


@pytest.fixture(scope="module")
def cluster():
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    yield
    serve.shutdown()
    ray.shutdown()


def prompt(group, candidate):
    """One of a group: a third of it is in every prompt, and four fifths are in all of its group."""
    text = "You are a strict grader. " * 25 + f"<problem>{group} {f'problem {group} ' * 90}</problem>"
    return types.SimpleNamespace(
        messages=[{"role": "user", "content": text + f"candidate {candidate} of {group} " * 25}]
    )


@pytest.mark.parametrize("of", ["judge.yaml", "Ray"])
def test_a_group_stays_with_one_replica_and_the_groups_are_spread_with_our_values_and_not_with_rays(cluster, of):
    ours = model_of(CONFIGS[0])["deployment_config"]["request_router_config"]["request_router_kwargs"]
    router = RequestRouterConfig(request_router_class=ROUTER, request_router_kwargs=ours if of == "judge.yaml" else {})
    options = {"num_replicas": 2, "max_ongoing_requests": 320, "ray_actor_options": {"num_cpus": 0.1}}
    deployment = serve.deployment(Judge, **options, request_router_config=router)
    handle = serve.run(deployment.bind(), name=of.replace(".", "-"), route_prefix=None)
    seen = collections.defaultdict(list)
    with ThreadPoolExecutor(4) as pool:
        work = [(group, candidate) for group in range(12) for candidate in range(6)]
        replicas = list(pool.map(lambda one: handle.chat.remote(prompt(*one)).result(), work))
    for (group, _), replica in zip(work, replicas, strict=True):
        seen[group].append(replica)
    together = sum(len(set(replicas)) == 1 for replicas in seen.values())
    taken = collections.Counter(replica for replicas in seen.values() for replica in replicas)
    assert together >= 10, seen  # those that arrive before the first of them is noted may be parted
    if of == "judge.yaml":
        assert len(taken) == 2, taken
        assert min(taken.values()) >= 24, taken
    else:
        assert len(taken) == 1, taken
    serve.delete(of.replace(".", "-"))
