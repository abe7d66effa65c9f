import pytest

from llm_judge_remote import reward
from llm_judge_remote.testing import JudgeServer


@pytest.fixture
def server():
    with JudgeServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _a_process_of_its_own(monkeypatch):
    """Each test as if in a process of its own: no settings said before, no connections open after."""
    fresh = reward._Process()
    monkeypatch.setattr(reward, "_PROCESS", fresh)
    yield
    if fresh._judge is not None:
        fresh._judge.close()
