import os

import pytest

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.layers import CallSettings


@pytest.mark.parametrize("others", [0, 500])
def test_a_variable_that_comes_changes_or_goes_counts_from_the_next_call_on_in_any_environment(others, monkeypatch):
    for number in range(others):
        monkeypatch.setenv(f"SOMETHING_ELSE_{number}", "1")
    settings = CallSettings()
    first = settings({})
    for value in ("0.1", "0.2"):
        monkeypatch.setenv("LLM_JUDGE_TEMPERATURE", value)
        assert settings({}).temperature == float(value)
    monkeypatch.delenv("LLM_JUDGE_TEMPERATURE")
    assert settings({}) is first


def test_an_environment_that_somebody_put_in_place_of_the_system_s_counts_too(monkeypatch):
    settings = CallSettings()
    first = settings({})
    with monkeypatch.context() as patched:
        patched.setattr(os, "environ", {"LLM_JUDGE_TEMPERATURE": "0.3"})
        assert settings({}).temperature == 0.3
    assert settings({}) is first


def test_values_that_are_equal_but_of_other_types_are_not_taken_for_each_other():
    settings = CallSettings()
    assert settings({"temperature": 1}).temperature == 1
    with pytest.raises(ConfigError, match="temperature=True"):
        settings({"temperature": True})
    assert settings({"seed": 1, "temperature": 0.5}) is settings({"temperature": 0.5, "seed": 1})
    assert settings({"server_url": ["http://a"]}) is settings({"server_url": ["http://a"]})


def test_variables_that_are_no_settings_make_no_new_settings(monkeypatch):
    settings = CallSettings()
    first = settings({"temperature": 0})
    for number in range(500):
        monkeypatch.setenv(f"SOMETHING_ELSE_{number}", "1")
    assert settings({"temperature": 0}) is first
