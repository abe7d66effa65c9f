import pytest
import skyrl_gym  # what is missing here is an error: who asks for these tests wants them run  # noqa: F401
from skyrl_gym.envs.registration import registry

from llm_judge_remote.integrations import skyrl  # noqa: F401 (registers the environment)
from llm_judge_remote.testing import JudgeServer


@pytest.fixture(autouse=True)
def _without_delay(monkeypatch):
    """Nothing is asked but what a test asks, and once; nor is a server that is not there waited for."""
    monkeypatch.setenv("LLM_JUDGE_STRUCTURED_OUTPUT", "off")
    monkeypatch.setenv("LLM_JUDGE_HEDGING", "off")
    monkeypatch.setenv("LLM_JUDGE_STARTUP_TIMEOUT", "0")


@pytest.fixture(autouse=True)
def _own_registrations():
    """What a test registers is gone afterwards."""
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


@pytest.fixture
def server(monkeypatch):
    with JudgeServer() as running:
        monkeypatch.setenv("LLM_JUDGE_SERVER_URL", running.url)
        yield running
