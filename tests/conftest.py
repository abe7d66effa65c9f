"""What all tests share: an environment without the developer's own settings, and a process of one's own."""

import logging
import os
from pathlib import Path

import hypothesis
import pytest

from llm_judge_remote import reward
from llm_judge_remote.logs import Sparing

# No test asks a hub, whatever is installed; before its client is imported, here or by a program that a test starts.
os.environ["HF_HUB_OFFLINE"] = "1"
# A machine that is busy with something else is no failure of the code.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(request, monkeypatch):
    if request.path.parent == Path(__file__).parent:
        yield
        return  # the scripts for users ask the judge that the environment names
    before = {name for name in os.environ if name.startswith("LLM_JUDGE_")}
    for name in before:
        monkeypatch.delenv(name)
    yield
    for name in set(os.environ) - before:
        if name.startswith("LLM_JUDGE_"):  # a command that ran in this process has set it for those that it may start
            del os.environ[name]


@pytest.fixture(autouse=True)
def _a_process_of_its_own(monkeypatch):
    """Each test as if in a process of its own: no settings said before, no connections open after."""
    fresh = reward._Process()
    monkeypatch.setattr(reward, "_PROCESS", fresh)
    yield
    fresh.close()


@pytest.fixture(autouse=True)
def _a_log_of_its_own():
    """No warning is left out because another test has said it."""
    for name in logging.root.manager.loggerDict:
        for each in logging.getLogger(name).filters:
            if isinstance(each, Sparing):
                each.forget()
