import pytest

from llm_judge_remote.diagnosis.setup.setting_table import setting_table, strange_variables
from llm_judge_remote.settings import JudgeSettings


@pytest.fixture
def config_file(tmp_path, monkeypatch):
    path = tmp_path / "judge.yaml"
    path.write_text("temperature: 0.3\nmax_tokens: 99\ntimeout: 3\n")
    monkeypatch.setenv("LLM_JUDGE_CONFIG", str(path))
    return path


def table(command_line=None, from_verl=None, **values):
    given = {**(command_line or {}), **values}
    return {each.name: each for each in setting_table(JudgeSettings(**given), command_line or {}, from_verl)}


def test_each_layer_is_named_with_its_variable_or_file(config_file, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_TEMPERATURE", "0.9")
    monkeypatch.setenv("LLM_JUDGE_SERVER_TIMEOUT", "8")
    monkeypatch.setenv("LLM_JUDGE_MODEL", "Qwen/Qwen3-8B")
    monkeypatch.setenv("llm_judge_seed", "7")
    shown = table({"votes": 3}, {"top_p": "train.yaml"}, top_p=0.5)
    assert set(shown) == set(JudgeSettings.model_fields)
    assert {name: (each.value, each.origin) for name, each in shown.items() if each.layer != "default"} == {
        "temperature": ("0.3", f"config file {config_file}"),
        "max_new_tokens": ("99", f"config file {config_file}"),
        "timeout": ("3.0", f"config file {config_file}"),
        "model_name": ("Qwen/Qwen3-8B", "environment LLM_JUDGE_MODEL"),
        "seed": ("7", "environment llm_judge_seed"),
        "votes": ("3", "command line"),
        "top_p": ("0.5", "verl configuration train.yaml"),
    }


def test_secrets_are_never_shown_and_an_address_without_its_password():
    registry = "etcd://host:2379/judge?user=me&password=sesame"
    secrets = {"api_key": "sesame", "fence_key": "sesame", "routes": {"a": {"api_key": "sesame"}}}
    shown = table({**secrets, "server_url": registry})
    assert not any("sesame" in str(each.to_dict()) for each in shown.values())
    assert {shown[name].value for name in secrets} == {"(not shown)"}
    assert shown["server_url"].value.startswith("etcd://host:2379/judge")
    assert {table()[name].value for name in secrets} == {"none"}


def test_a_long_template_is_cut():
    shown = table({"prompt_template": "{PROBLEM} {REFERENCE_SOLUTION} {CANDIDATE_SOLUTION}\n" * 9})
    assert len(shown["prompt_template"].value) < 80


def test_a_variable_that_only_looks_like_a_setting_is_told_with_the_nearest(monkeypatch):
    assert list(strange_variables()) == []
    monkeypatch.setenv("LLM_JUDGE_SERVER_ULR", "http://h")
    monkeypatch.setenv("LLM_JUDGE_TIMEOUT", "5")
    monkeypatch.setenv("LLM_JUDGE_CONFIG", "")
    (found,) = strange_variables()
    assert (found.level, "did you mean 'LLM_JUDGE_SERVER_URL'?" in found.message) == ("warning", True)
    assert "http://h" not in found.message
