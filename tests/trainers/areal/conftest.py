import importlib.util
import sys
from pathlib import Path

import pytest

from llm_judge_remote.testing import JudgeServer


def _beside(name):
    """A module in this folder, which is in no package: the tests are imported as files."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


areal_parts = _beside("areal_parts")


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
