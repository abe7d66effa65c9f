"""What all tests share: an environment without the developer's own settings."""

import os

import hypothesis
import pytest

# A machine that is busy with something else is no failure of the code.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in os.environ:
        if name.startswith("LLM_JUDGE_"):
            monkeypatch.delenv(name)
