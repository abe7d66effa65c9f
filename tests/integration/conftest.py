import pytest

from llm_judge_remote.testing import JudgeServer


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch):
    """Nothing is asked but what a test asks: a server is not made to show whether it holds replies to a grammar."""
    monkeypatch.setenv("LLM_JUDGE_STRUCTURED_OUTPUT", "off")


@pytest.fixture
def server():
    with JudgeServer() as running:
        yield running
