"""A real vLLM server with a small model, started once and left by nobody."""

import os

import pytest

from llm_judge_remote.serving.launch import Engine
from llm_judge_remote.serving.small_model import small_model, small_server
from llm_judge_remote.serving.vllm import is_installed, vllm_command, vllm_environment

API_KEY = "the-key-of-this-test"


@pytest.fixture(scope="session")
def vllm(tmp_path_factory):
    """The engine, healthy, with an API key."""
    if not is_installed():
        pytest.skip("vLLM is not installed here: `make test-real` installs it")
    os.environ["KEY_OF_THE_SERVER"] = API_KEY
    server = small_server(small_model()).model_copy(update={"api_key_env": "KEY_OF_THE_SERVER"})
    with Engine(
        lambda port: vllm_command(server.at(port)),
        log=tmp_path_factory.mktemp("vllm") / "vllm.log",
        environment=vllm_environment(server),
    ) as engine:
        engine.wait_until_healthy(900)
        yield engine


@pytest.fixture
def settings(vllm):
    """What every call to the server takes."""
    return {
        "server_url": vllm.url,
        "api_key": API_KEY,
        "model_name": "SmolLM2-135M-Instruct",
        "temperature": 0,
        "max_new_tokens": 64,
        "timeout": 600,
        "batch_size": 32,
        # The model is too small to keep to a format by itself.
        "structured_output": True,
        "return_details": True,
    }
