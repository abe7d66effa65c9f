"""verl's configuration: each thing that a release ignores, refuses or does in another way than was meant."""

import re
from pathlib import Path

import pytest
import yaml

from llm_judge_remote import verl_reward
from llm_judge_remote.diagnosis.setup.verl.checks import look_at_configuration
from llm_judge_remote.diagnosis.setup.verl.configuration import read_configuration
from llm_judge_remote.diagnosis.setup.verl.release import release_of
from llm_judge_remote.diagnosis.setup.verl.reward import reward_of
from llm_judge_remote.errors import ConfigError

OURS = "pkg://llm_judge_remote"
ASYNC = {"path": OURS, "name": "compute_score_async"}
MANAGER = {
    "source": "importlib",
    "name": "JudgeRewardManager",
    "module": {"path": "pkg://llm_judge_remote.integrations.verl"},
}
README = (Path(__file__).parents[4] / "README.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)]


@pytest.fixture
def look(tmp_path):
    """The findings about a configuration, and what the release makes of it."""

    def looked(content, release="0.9.1", name="train.yaml"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        configuration, known = read_configuration(path), release_of(release)[0]
        reward = reward_of(configuration, known)
        return list(look_at_configuration(configuration, reward, known)), reward

    return looked


def wrong(findings):
    return [(each.name, each.level) for each in findings if each.level != "ok"]


def one(findings, name):
    (found,) = (each for each in findings if each.name == name and each.level != "ok")
    return found


def function(**changes):
    return {"reward": {"custom_reward_function": {**ASYNC, **changes}}}


def old(**changes):
    return {"custom_reward_function": {"path": verl_reward.__file__, "name": "compute_score", **changes}}


@pytest.mark.parametrize("block", [b for b in BLOCKS if "reward" in b], ids=["function", "manager"])
def test_the_blocks_of_the_readme_for_newer_releases_are_without_fault(block, look):
    for release in ("0.7.1", "0.8.0", "0.9.1", "0.10.0.dev1"):
        findings, reward = look(block, release)
        assert wrong(findings) == []
        assert reward.call["server_url"] == "http://HOST:8000"


def test_the_block_of_the_readme_for_older_releases_is_without_fault(look):
    (block,) = (block for block in BLOCKS if "custom_reward_function" in block)
    text = yaml.safe_dump(block).replace("/path/to/site-packages/llm_judge_remote/verl_reward.py", verl_reward.__file__)
    for release in ("0.5.0", "0.6.1", "0.7.0"):
        assert wrong(look(text, release)[0]) == []


def test_the_top_level_function_is_ignored_by_0_9_moved_by_0_8_and_read_by_0_7_0(look):
    config = {"custom_reward_function": {**ASYNC, "reward_kwargs": {"temperature": 0}}}
    findings, reward = look(config, "0.9.1")
    found = one(findings, "keys")
    assert (found.level, found.fix) == ("error", "write it as reward.custom_reward_function")
    assert "verl 0.9.1 ignores custom_reward_function, in silence" in found.message
    assert "rules of its own" in one(findings, "function").message
    assert reward.call == {}
    findings, reward = look(config, "0.8.0")
    assert wrong(findings) == [("keys", "warning")]
    assert reward.call == {"temperature": 0}
    findings, reward = look(config, "0.7.0")
    assert (wrong(findings), reward.call) == ([], {"temperature": 0})


def test_in_between_the_top_level_function_takes_the_other_s_place_as_a_whole(look):
    config = {**function(reward_kwargs={"temperature": 0}), "custom_reward_function": dict(ASYNC)}
    findings, reward = look(config, "0.7.1")
    assert "as a whole, which is there as well" in one(findings, "keys").message
    assert reward.call == {}


def test_keys_of_newer_releases_are_ignored_by_older_ones(look):
    found = one(look(function(), "0.7.0")[0], "keys")
    assert (found.level, found.fix) == ("error", "write it as custom_reward_function")


def test_each_older_key_is_told_with_the_one_that_took_its_place(look):
    config = {
        **function(),
        "reward_model": {"reward_manager": "dapo", "num_workers": 2, "reward_kwargs": {"max_resp_len": 9}},
        "reward_manager": {"source": "importlib"},
    }
    told = {each.message.split()[3].strip(","): each.fix.split()[-1] for each in look(config)[0] if each.name == "keys"}
    assert told == {
        "reward_model.reward_manager": "reward.reward_manager.name",
        "reward_model.num_workers": "reward.num_workers",
        "reward_model.reward_kwargs": "reward.reward_kwargs",
        "reward_manager": "reward.reward_manager",
    }


def test_a_manager_s_class_under_its_older_name_is_not_moved_by_any_release(look):
    loop = {
        "reward_loop_source": "importlib",
        "reward_loop_module_path": MANAGER["module"]["path"],
        "reward_loop_class_name": "JudgeRewardManager",
    }
    assert wrong(look({"reward_model": loop}, "0.7.0")[0]) == []
    findings = look({"reward_model": loop}, "0.8.0")[0]
    assert "reward_loop_class_name" in one(findings, "keys").message
    assert "there is no 'naive' in" in one(findings, "manager").message


def test_nulls_and_defaults_of_verl_s_own_composed_configuration_are_nobody_s_words(look):
    composed = {
        "custom_reward_function": {"path": None, "name": None},
        "reward_model": {"num_workers": None, "reward_manager": None, "model": {"path": None}},
        **function(),
    }
    assert wrong(look(composed)[0]) == []
    of_0_7_0 = {
        "reward_manager": {
            "_target_": "verl.trainer.config.config.RewardManagerConfig",
            "source": "register",
            "name": "${oc.select:reward_model.reward_manager,naive}",
            "module": {"_target_": "ModuleConfig", "path": None, "name": "custom_reward_manager"},
        },
        "reward_model": {"reward_manager": "naive", "reward_loop_source": "register", "num_workers": 1},
    }
    assert wrong(look({**function(), **of_0_7_0})[0]) == []
    older = {**old(), "reward_model": {"reward_manager": "naive"}}
    newer = {"reward": {"custom_reward_function": {"path": None, "name": "compute_score"}}}
    assert wrong(look({**older, **newer}, "0.7.0")[0]) == []


@pytest.mark.parametrize("path", [None, "", f"{OURS}_"])
def test_without_a_function_that_can_be_loaded_nobody_asks_the_judge(path, look):
    assert wrong(look(function(path=path))[0])[0] == ("function", "error")


def test_a_package_is_taken_for_a_file_before_0_7_0(look):
    found = one(look(old(path=OURS), "0.6.1")[0], "function")
    assert (found.level, found.fix.endswith("verl_reward.py")) == ("error", True)


def test_a_file_that_is_not_there_is_an_error_that_names_the_package(look):
    found = one(look(function(path="llm_judge_remote"))[0], "function")
    assert (found.level, f"write {OURS}" in found.fix) == ("error", True)


def test_a_function_of_one_s_own_is_not_looked_at(look, tmp_path):
    (tmp_path / "mine.py").write_text("def score(): ...")
    findings, reward = look(function(path=str(tmp_path / "mine.py"), name="score", reward_kwargs={"temprature": 1}))
    assert (wrong(findings), reward.call) == ([], {})


def test_a_misspelled_function_is_told_with_the_nearest(look):
    found = one(look(function(name="compute_score_asynch"))[0], "function")
    assert (found.level, "did you mean 'compute_score_async'?" in found.message) == ("error", True)


@pytest.mark.parametrize(
    ("config", "release"),
    [
        ({"reward": {"custom_reward_function": ASYNC, "reward_manager": {"name": "remote"}}}, "0.9.1"),
        ({**old(**ASYNC), "reward_model": {"reward_manager": "remote"}}, "0.7.0"),
        ({**old(**ASYNC), "reward_model": {"use_reward_loop": False}}, "0.7.0"),
        (old(name="compute_score_async"), "0.6.1"),
    ],
)
def test_an_async_function_under_a_manager_that_awaits_none_is_an_error(config, release, look):
    found = one(look(config, release)[0], "function")
    assert (found.level, "awaits no function" in found.message) == ("error", True)
    assert found.fix.endswith("name: compute_score")


def test_the_batched_function_is_for_the_batch_manager_alone(look):
    batch = {**old(name="compute_score_batched"), "reward_model": {"reward_manager": "batch"}}
    assert wrong(look(batch, "0.6.1")[0]) == []
    assert wrong(look(old(name="compute_score_batched"), "0.6.1")[0]) == [("function", "error")]
    assert wrong(look(function(name="compute_score_batched"))[0]) == [("function", "error")]


def test_managers_are_those_that_the_release_has(look):
    for name, release, is_known in (
        ("batch", "0.9.1", False),
        ("prime", "0.8.0", False),
        ("gdpo", "0.9.1", True),
        ("rate_limited", "0.9.1", True),
        ("napo", "0.9.1", False),
    ):
        config = {"reward": {"custom_reward_function": ASYNC, "reward_manager": {"name": name}}}
        assert (("manager", "error") not in wrong(look(config, release)[0])) is is_known
    batch = {**old(), "reward_model": {"reward_manager": "batch"}}
    assert "use_reward_loop: false" in one(look(batch, "0.7.0")[0], "manager").fix
    assert wrong(look(batch, "0.5.0")[0]) == []


def test_our_manager_by_name_needs_its_module_to_be_imported(look, monkeypatch):
    config = {"reward": {"reward_manager": {"name": "llm_judge"}}}
    assert "VERL_USE_EXTERNAL_MODULES" in one(look(config)[0], "manager").fix
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "llm_judge_remote.integrations.verl")
    assert ("manager", "error") not in wrong(look(config)[0])


def test_our_manager_s_name_and_module_are_compared(look):
    for changes, words in (
        ({"name": "JudgeRewardManger"}, "did you mean 'JudgeRewardManager'?"),
        ({"module": {"path": OURS}}, "JudgeRewardManager is not in"),
    ):
        findings = look({"reward": {"reward_manager": {**MANAGER, **changes}}})[0]
        assert words in one(findings, "manager").message


def test_prime_takes_floats_only(look):
    config = {**old(reward_kwargs={"return_details": True}), "reward_model": {"reward_manager": "prime"}}
    assert "prime takes floats only" in one(look(config, "0.6.1")[0], "manager").message


def test_a_misspelled_reward_kwargs_is_an_error_with_the_nearest(look):
    found = one(look(function(reward_kwarg={"temperature": 0}))[0], "reward_kwargs")
    assert (found.level, "did you mean 'reward_kwargs'?" in found.message) == ("error", True)


def test_reward_kwargs_that_are_no_mapping_are_an_error(look):
    found = one(look(function(reward_kwargs="temperature=0"))[0], "reward_kwargs")
    assert (found.level, "no mapping" in found.message) == ("error", True)


def test_a_misspelled_setting_is_a_warning_and_one_of_no_use_an_error(look):
    found = one(look(function(reward_kwargs={"temprature": 0}))[0], "reward_kwargs")
    assert (found.level, "did you mean 'temperature'?" in found.message) == ("warning", True)
    found = one(look(function(reward_kwargs={"temperature": -1}))[0], "reward_kwargs")
    assert (found.level, "temperature=-1" in found.message) == ("error", True)


ODD = [
    *(1, None, "x", []),
    {"custom_reward_function": 1},
    {"custom_reward_function": {"path": 1, "name": [], 2: 3}},
    {"custom_reward_function": {**ASYNC, "reward_kwargs": {1: 2, None: 3}}, "reward_manager": 7, "num_workers": "x"},
    {"reward_kwargs": 3, "reward_manager": {"source": "importlib", "name": 3, "module": 4}},
]


@pytest.mark.parametrize("reward", ODD)
@pytest.mark.parametrize("release", ["0.6.1", "0.7.0", "0.8.0", "0.9.1"])
def test_values_of_any_shape_are_looked_at(reward, release, look):
    legacy = reward.get("custom_reward_function") if isinstance(reward, dict) else reward
    findings, _ = look({"reward": reward, "custom_reward_function": legacy, "reward_model": reward}, release)
    assert findings


def test_settings_beside_a_manager_that_does_not_read_them_are_an_error(look):
    config = function()
    config["reward"]["reward_kwargs"] = {"temperature": 0, "max_resp_len": 100}
    found = one(look(config)[0], "reward_kwargs")
    assert found.message.startswith("the manager naive does not read temperature of")
    config["reward"]["reward_manager"] = MANAGER
    findings, reward = look(config)
    assert (wrong(findings), reward.call) == ([], {"temperature": 0})


def test_a_key_in_the_file_is_a_warning_that_does_not_show_it(look):
    config = function(reward_kwargs={"api_key": "open sesame", "server_url": "http://h"})
    found = one(look(config)[0], "secrets")
    assert (found.level, "LLM_JUDGE_SERVER_API_KEY" in found.fix) == ("warning", True)
    assert "sesame" not in found.message + found.fix
    assert wrong(look(function(reward_kwargs={"api_key": "${oc.env:KEY}"}))[0]) == []


def test_group_mean_wants_the_manager_and_one_worker(look):
    kwargs = {"fallback": "group_mean"}
    assert "JudgeRewardManager" in one(look(function(reward_kwargs=kwargs))[0], "reward_kwargs").fix
    config = {"reward": {"reward_manager": MANAGER, "reward_kwargs": kwargs}}
    assert "8 workers" in one(look(config)[0], "reward_kwargs").message
    config["reward"]["num_workers"] = 1
    assert wrong(look(config)[0]) == []


SCRIPT = """#!/bin/bash
# custom_reward_function.path=old.py
python -m verl.trainer.main_ppo \\
    data.train_files=$HOME/train.parquet data.max_response_length=1024 \\
    reward.custom_reward_function.path=pkg://llm_judge_remote \\
    'reward.custom_reward_function.name=compute_score_async' \\
    reward.custom_reward_function.reward_kwargs.temperature=0 \\
    +reward.custom_reward_function.reward_kwargs.server_url="http://judge:8000" \\
    ++reward.custom_reward_function.reward_kwargs.model_name=$JUDGE
"""


def test_a_script_s_overrides_are_read_and_those_that_hydra_refuses_told(look):
    findings, reward = look(SCRIPT, name="run.sh")
    assert reward.call == {"temperature": 0, "server_url": "http://judge:8000"}
    assert reward.candidate_tokens == 1024
    found = one(findings, "overrides")
    assert found.level == "error"
    assert found.fix == "write +reward.custom_reward_function.reward_kwargs.temperature=..."


def test_hydra_s_own_list_of_overrides_is_read(look):
    findings, reward = look("- custom_reward_function.path=pkg://llm_judge_remote\n- trainer.nnodes=2\n")
    assert wrong(findings)[0] == ("keys", "error")
    assert reward.path == ""


@pytest.mark.parametrize("content", ["", "just words", "a: [", "\x00"])
def test_a_yaml_file_that_holds_nothing_of_the_kind_is_an_error(content, look):
    with pytest.raises(ConfigError, match=r"train\.yaml"):
        look(content)


def test_the_release_is_the_one_given_or_installed_or_the_newest_known(monkeypatch):
    module = "llm_judge_remote.diagnosis.setup.verl.release.installed_version"
    monkeypatch.setattr(module, {"verl": "0.8.0.dev3"}.get)
    assert str(release_of("v0.6")[0]) == "0.6.0"
    assert (str(release_of(None)[0]), release_of(None)[1]) == ("0.8.0", "installed here")
    monkeypatch.setattr(module, lambda _: "")
    assert "--verl-version" in release_of(None)[1]
    with pytest.raises(ConfigError, match="--verl-version 'newest'"):
        release_of("newest")
