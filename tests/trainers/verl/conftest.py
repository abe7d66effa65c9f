"""The real verl, on the CPU; run in a virtual environment for each of its releases."""

import ipaddress
import os
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest

from llm_judge_remote.testing import JudgeServer

# For `stage` in Ray's workers, which know nothing of pytest's `pythonpath`.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the trainer and Ray warn of when they are imported is not ours to mend
    import stage
    import verl.experimental.reward_loop
    import verl.trainer.ppo.ray_trainer
    import verl.workers.reward_manager  # noqa: F401

OLD = ["test_verl_0_7_0.py"]
NEW = [
    "test_reward_loop.py",
    "test_reward_manager.py",
    "test_ray_actors.py",
    "test_trainer_parts.py",
    "test_training_step.py",
]
collect_ignore = NEW if stage.IS_OLD else OLD


def pytest_report_header():
    return f"verl {version('verl')}, torch {version('torch')}, ray {version('ray')}"


@pytest.hookimpl(tryfirst=True)  # before `-m trainer` looks for the mark
def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.trainer)
            # Those of this package are errors as everywhere.
            item.add_marker(pytest.mark.filterwarnings("default"))
            item.add_marker(pytest.mark.filterwarnings("error:::llm_judge_remote"))


@pytest.fixture(autouse=True)
def _without_delay(monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_STRUCTURED_OUTPUT", "off")
    monkeypatch.setenv("LLM_JUDGE_STARTUP_TIMEOUT", "0")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where the policy's tokenizer lies."""
    return tmp_path_factory.mktemp("policy")


@pytest.fixture(scope="session")
def tokenizer(folder):
    return stage.make_tokenizer(folder)


@pytest.fixture
def server():
    """Gives each answer the score that it names."""
    with JudgeServer(judge=stage.verdict) as running:
        yield running


_contacted: set[str] = set()


def _note(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        _contacted.add(str(arguments[1][0]))


@pytest.fixture(scope="session")
def _watched():
    sys.addaudithook(_note)


@pytest.fixture
def contacted(_watched):
    """Hosts that this process connected to in the test."""
    _contacted.clear()
    return _contacted


@pytest.fixture
def only_loopback(contacted):
    """Nothing but this machine was contacted when the test is over."""
    yield
    assert contacted
    assert all(ipaddress.ip_address(host).is_loopback for host in contacted)
