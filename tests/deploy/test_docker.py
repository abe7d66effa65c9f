"""What is in deploy/docker as files: by real checkers, and by what they say of one another."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.serving.vllm import vllm_command

pytestmark = pytest.mark.deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCKER = DEPLOY / "docker"
KEY = "a key that nobody may see"


def tool(name):
    """A checker of this environment; a missing one is an error, not a skip."""
    path = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert path, f"{name} is not installed"
    return path


def run(*command, **options):
    words = [str(word) for word in command]
    return subprocess.run(words, check=False, text=True, capture_output=True, timeout=60, **options)


@pytest.mark.parametrize("script", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.name)
def test_shellcheck_finds_nothing_in_the_scripts(script):
    done = run(tool("shellcheck"), script)
    assert done.returncode == 0, done.stdout
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.router"])
def test_hadolint_finds_nothing_in_the_images(name):
    done = run(tool("hadolint"), DOCKER / name)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.router"])
def test_an_image_has_a_health_check_a_user_without_rights_and_no_secret(name):
    text = (DOCKER / name).read_text()
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1].split(":")[0] == "2000"
    assert "HEALTHCHECK" in text
    assert not re.search(r"^(ARG|ENV).*(KEY|TOKEN|SECRET)", text, re.MULTILINE | re.IGNORECASE)
    assert re.fullmatch(r"\S+:v?\d\S*", re.findall(r"^FROM (\S+)", text, re.MULTILINE)[0])  # pinned


def test_the_image_copies_only_what_its_context_lets_through():
    allowed = [line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"]
    for source in re.findall(r"^COPY (\S+)", (DOCKER / "Dockerfile").read_text(), re.MULTILINE):
        assert any(pattern.startswith(source) for pattern in allowed)
    assert list((DEPLOY / "presets").glob("*.yaml"))


def test_the_image_starts_a_judge_that_listens_beyond_its_container_with_a_key_only():
    text = (DOCKER / "Dockerfile").read_text()
    entrypoint, command = (
        json.loads(re.search(rf"^{word} (\[.*\])", text, re.MULTILINE)[1]) for word in ("ENTRYPOINT", "CMD")
    )
    words = [tool(entrypoint[0]), *entrypoint[1:], *command]
    words = [word.replace("/presets/", f"{DEPLOY}/presets/") for word in words]
    bare = {"PATH": os.environ["PATH"]}
    done = run(*words, "--dry-run", env={**bare, "VLLM_API_KEY": KEY})
    assert done.returncode == 0, done.stderr
    assert "--host 0.0.0.0 --port 8000" in done.stdout
    assert KEY not in done.stdout
    without = run(*words, "--check-deps", env=bare)
    assert without.returncode != 0
    assert "error: key: api_key_env='VLLM_API_KEY'" in without.stderr


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_the_compose_file_keeps_to_its_schema():
    done = run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml")
    assert done.returncode == 0, done.stdout


def test_docker_itself_reads_the_compose_file():
    if not shutil.which("docker") or run("docker", "compose", "version").returncode:
        pytest.skip("there is no docker compose here")
    given = {**os.environ, "VLLM_API_KEY": KEY}
    done = run("docker", "compose", "--file", DOCKER / "compose.yaml", "config", "--quiet", env=given)
    assert done.returncode == 0, done.stderr


def test_two_judges_have_a_gpu_each_and_only_the_router_can_be_reached_from_this_machine_alone(compose):
    services = compose["services"]
    judges = [services["judge-0"], services["judge-1"]]
    gpus = [each["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for each in judges]
    assert gpus == [["${JUDGE_0_GPU:-0}"], ["${JUDGE_1_GPU:-1}"]]
    assert all("ports" not in each for each in judges)
    assert services["router"]["ports"] == ["127.0.0.1:${ROUTER_PORT:-8000}:8000"]
    for each in services.values():
        assert each["user"].split(":")[0] == "2000"
        assert each["cap_drop"] == ["ALL"]
        assert each["restart"] == "unless-stopped"
        assert each["healthcheck"]["test"][0] == "CMD"


def test_the_router_waits_for_the_judges_that_it_is_given(compose):
    router = compose["services"]["router"]
    urls = [word for word in router["command"] if word.startswith("http://")]
    assert urls == [f"http://{name}:8000" for name in router["depends_on"]]
    assert {each["condition"] for each in router["depends_on"].values()} == {"service_healthy"}


def options(words):
    """What a command line sets: `--name value`, `--name=value`, and switches."""
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    pairs = zip(words, [*words[1:], "--"], strict=True)
    return {name: None if value.startswith("--") else value for name, value in pairs if name.startswith("--")}


def test_the_judges_are_those_of_the_preset(compose):
    command = compose["services"]["judge-0"]["command"]
    preset = options(vllm_command(ServerSpec.load(DEPLOY / "presets/qwen3-32b-1xh100.yaml")))
    given = options(["--model", *command])
    own = {"--model", "--host", "--served-model-name"}  # with a variable in front, or another address
    assert given["--model"] == f"${{JUDGE_MODEL:-{preset['--model']}}}"
    assert given["--served-model-name"] == f"${{JUDGE_NAME:-{preset['--served-model-name']}}}"
    assert {name: given.get(name, "not given") for name in preset.keys() - own - {"--dtype"}} == {
        name: preset[name] for name in preset.keys() - own - {"--dtype"}
    }


def test_no_judge_starts_without_a_key_and_the_example_holds_none(compose):
    assert compose["services"]["judge-0"]["environment"]["VLLM_API_KEY"] == "${VLLM_API_KEY:?set it in .env}"
    example = (DOCKER / ".env.example").read_text()
    used = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text()))
    assert set(re.findall(r"^#?(\w+)=", example, re.MULTILINE)) == used
    assert re.search(r"^VLLM_API_KEY=$", example, re.MULTILINE)
    assert (DOCKER / ".gitignore").read_text().split() == [".env"]


def test_all_files_name_the_same_version_of_vllm():
    texts = [path.read_text() for path in DEPLOY.rglob("*") if path.suffix in {".yaml", ".sh"} or "Docker" in path.name]
    versions = {found for text in texts for found in re.findall(r"vllm/vllm-openai(?:-cpu)?:v([\d.]+)", text)}
    assert versions == {re.search(r"vllm==([\d.]+)", (DEPLOY / "install_vllm.sh").read_text())[1]}
