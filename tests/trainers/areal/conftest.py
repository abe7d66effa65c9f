import areal_parts
import pytest

from llm_judge_remote.testing import JudgeServer


@pytest.fixture(autouse=True)
def _without_delay(monkeypatch):
    """Nothing is asked but what a test asks: not to see what a server can, and nothing twice."""
    monkeypatch.setenv("LLM_JUDGE_STRUCTURED_OUTPUT", "off")
    monkeypatch.setenv("LLM_JUDGE_HEDGING", "off")


@pytest.fixture
def areal():
    """The parts of AReaL that run without torch."""
    return areal_parts


@pytest.fixture
def wrapped(areal):
    """Makes AReaL's wrapper of a reward function; its processes end with the test, as they have its environment."""
    yield areal.AsyncRewardWrapper
    areal.AsyncRewardWrapper._atexit_shutdown_all()


@pytest.fixture
def server(monkeypatch):
    with JudgeServer() as running:
        monkeypatch.setenv("LLM_JUDGE_SERVER_URL", running.url)
        yield running
