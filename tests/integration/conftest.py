import pytest

from llm_judge_remote.testing import JudgeServer


@pytest.fixture
def server():
    with JudgeServer() as running:
        yield running
