import pytest

from llm_judge_remote.testing import JudgeServer


@pytest.fixture(autouse=True)
def _without_delay(monkeypatch):
    """Nothing is asked but what a test asks, to see what a server can; nor is one that is not there waited for."""
    monkeypatch.setenv("LLM_JUDGE_STRUCTURED_OUTPUT", "off")
    monkeypatch.setenv("LLM_JUDGE_STARTUP_TIMEOUT", "0")


@pytest.fixture
def server():
    with JudgeServer() as running:
        yield running
