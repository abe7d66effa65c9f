"""run_vllm_docker.sh, with stand-ins for Docker and for NVIDIA's tool that write down what they are given."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.deploy

SCRIPT = Path(__file__).parents[2] / "deploy" / "docker" / "run_vllm_docker.sh"
KEY = "a key that nobody may see"

FAKE_DOCKER = """#!/bin/sh
if [ "$1" = info ]; then
  if [ -n "$FAKE_DOWN" ]; then echo "Cannot connect to the Docker daemon" >&2; exit 1; fi
  case "$3" in *Runtimes*) echo "$FAKE_RUNTIMES" ;; *) echo 28.2.2 ;; esac
  exit 0
fi
printf '%s\\n' "$@" > "$FAKE_RECORD/argv"
env > "$FAKE_RECORD/environment"
"""
FAKE_NVIDIA_SMI = """#!/bin/sh
if [ -n "$FAKE_NO_GPU" ]; then echo "couldn't communicate with the NVIDIA driver"; exit 9; fi
printf '0\\n1\\n'
"""


@pytest.fixture
def machine(tmp_path):
    """A machine with Docker and two GPUs; nothing else of this one's PATH than what the script calls."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "cat", "chown", "env", "grep", "hostname", "id", "mkdir", "realpath", "stat"):
        (tools / name).symlink_to(shutil.which(name))
    for name, text in {"docker": FAKE_DOCKER, "nvidia-smi": FAKE_NVIDIA_SMI}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    return Machine(tmp_path)


class Machine:
    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            "PATH": str(folder / "bin"),
            "HOME": str(folder / "home"),
            "FAKE_RECORD": str(folder),
            "FAKE_RUNTIMES": '{"nvidia": {}, "runc": {}}',
        }

    def without(self, name):
        (self.folder / "bin" / name).unlink()

    def script(self, *options, **environment):
        command = [str(SCRIPT), *map(str, options)]
        given = {**self.environment, **environment}
        return subprocess.run(command, check=False, text=True, capture_output=True, timeout=60, env=given)

    @property
    def argv(self):
        return (self.folder / "argv").read_text().splitlines()

    @property
    def given(self):
        return (self.folder / "environment").read_text()

    def values(self, option):
        return [value for name, value in zip(self.argv, self.argv[1:], strict=False) if name == option]


def test_a_judge_runs_in_the_pinned_image_on_all_gpus_for_this_machine_only(machine):
    done = machine.script("--", "--quantization", "fp8")
    assert done.returncode == 0, done.stderr
    assert machine.argv[:1] == ["run"]
    assert machine.argv[machine.argv.index("vllm/vllm-openai:v0.32.0") :] == [
        *("vllm/vllm-openai:v0.32.0", "Qwen/Qwen3-32B", "--host", "0.0.0.0", "--port", "8000"),
        *("--shutdown-timeout", "45", "--quantization", "fp8"),
    ]
    assert "--ipc=host" in machine.argv
    assert machine.values("--gpus") == ["all"]
    assert machine.values("--publish") == ["127.0.0.1:8000:8000"]
    assert machine.values("--volume") == [f"{machine.folder}/home/.cache/huggingface:/cache"]
    assert "LLM_JUDGE_SERVER_URL=http://127.0.0.1:8000" in done.stderr


def test_the_server_is_not_root_and_has_no_capabilities(machine):
    machine.script()
    user, group = machine.values("--user")[0].split(":")
    assert user == ("2000" if os.getuid() == 0 else str(os.getuid()))
    assert group == ("0" if os.getuid() == 0 else str(os.getgid()))
    assert machine.values("--cap-drop") == ["ALL"]
    assert machine.values("--security-opt") == ["no-new-privileges"]
    assert (machine.folder / "home/.cache/huggingface").stat().st_uid == int(user)


def test_key_and_token_reach_the_container_and_no_command_line(machine):
    done = machine.script(VLLM_API_KEY=KEY, HF_TOKEN="hf_secret")
    assert {"VLLM_API_KEY", "HF_TOKEN"} <= set(machine.values("--env"))
    assert f"VLLM_API_KEY={KEY}" in machine.given
    assert "HF_TOKEN=hf_secret" in machine.given
    dry = machine.script("--dry-run", VLLM_API_KEY=KEY, HF_TOKEN="hf_secret")
    for shown in (*machine.argv, done.stdout, done.stderr, dry.stdout, dry.stderr):
        assert KEY not in shown
        assert "hf_secret" not in shown


def test_a_key_among_the_arguments_is_refused(machine):
    for option in (["--api-key", KEY], [f"--api-key={KEY}"]):
        done = machine.script("--", *option)
        assert done.returncode == 2
        assert "put the key into VLLM_API_KEY" in done.stderr
        assert KEY not in done.stderr
    assert not (machine.folder / "argv").exists()


def test_a_missing_token_is_said_and_no_error(machine):
    assert "no HF_TOKEN" in machine.script().stderr
    assert "no HF_TOKEN" not in machine.script(HF_TOKEN="hf_secret").stderr


def test_a_public_address_wants_a_key_or_insecure(machine):
    refused = machine.script("--host", "0.0.0.0")
    assert refused.returncode == 1
    assert "export VLLM_API_KEY=..., or say --insecure" in refused.stderr
    assert not (machine.folder / "argv").exists()
    assert machine.script("--host", "0.0.0.0", VLLM_API_KEY=KEY).returncode == 0
    assert machine.values("--publish") == ["0.0.0.0:8000:8000"]
    allowed = machine.script("--host", "::", "--insecure")
    assert "warning: whoever reaches" in allowed.stderr
    assert machine.values("--publish") == ["[::]:8000:8000"]


def test_gpus_are_named_in_the_way_that_docker_reads_them(machine):
    machine.script("--gpus", "0,1", "--port", "8001")
    assert machine.values("--gpus") == ['"device=0,1"']
    assert machine.values("--publish") == ["127.0.0.1:8001:8000"]
    assert machine.values("--name") == ["llm-judge-8001"]


def test_a_folder_is_mounted_read_only_and_served_under_its_name(machine):
    model = machine.folder / "my judge"
    model.mkdir()
    done = machine.script("--model", model)
    assert f"{model}:/model:ro" in machine.values("--volume")
    assert machine.argv[machine.argv.index("vllm/vllm-openai:v0.32.0") + 1] == "/model"
    assert machine.values("--served-model-name") == [str(model)]
    assert "HF_TOKEN" not in done.stderr


def test_the_cpu_image_needs_no_gpu(machine):
    machine.without("nvidia-smi")
    assert machine.script("--cpu", "--detach").returncode == 0
    assert machine.values("--gpus") == []
    assert "vllm/vllm-openai-cpu:v0.32.0" in machine.argv
    assert machine.values("--restart") == ["unless-stopped"]
    assert "--rm" not in machine.argv


@pytest.mark.parametrize(
    ("missing", "environment", "words"),
    [
        ("docker", {}, "there is no docker"),
        (None, {"FAKE_DOWN": "1"}, "Cannot connect to the Docker daemon"),
        ("nvidia-smi", {}, "there is no nvidia-smi: install NVIDIA's driver"),
        (None, {"FAKE_NO_GPU": "1"}, "couldn't communicate with the NVIDIA driver"),
        (None, {"FAKE_RUNTIMES": '{"runc": {}}'}, "install nvidia-container-toolkit"),
    ],
)
def test_what_the_machine_lacks_is_named_before_anything_runs(machine, missing, environment, words):
    if missing:
        machine.without(missing)
    done = machine.script(**environment)
    assert done.returncode == 1
    assert words in done.stderr
    assert not (machine.folder / "argv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--modle", "x"], "there is no option --modle"),
        (["--port", "80000"], "a port is a number from 1 to 65535"),
        (["--port"], "--port needs a value"),
        (["--gpus", "two"], "write all, or numbers"),
        (["--", "--port", "9000"], "give it before the --"),
    ],
)
def test_a_wrong_option_is_named(machine, options, words):
    done = machine.script(*options)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_gpu_that_is_not_there_is_named_with_those_that_are(machine):
    done = machine.script("--gpus", "1,4")
    assert done.returncode == 1
    assert "there is no GPU 4; nvidia-smi lists 0, 1" in done.stderr


def test_a_dry_run_needs_no_docker_and_makes_nothing(machine):
    machine.without("docker")
    machine.without("nvidia-smi")
    done = machine.script("--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith("docker run --name llm-judge-8000 ")
    assert not (machine.folder / "home").exists()
