"""What all tests share: an environment without the developer's own settings."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in os.environ:
        if name.startswith("LLM_JUDGE_"):
            monkeypatch.delenv(name)
