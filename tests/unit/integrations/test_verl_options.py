"""What verl's configuration says, as OmegaConf has it."""

import pytest
from omegaconf import OmegaConf

from llm_judge_remote import ConfigError
from llm_judge_remote.integrations.verl_options import Options
from llm_judge_remote.integrations.verl_overlong import Overlong

DAPO = {"enable": True, "len": 4, "penalty_factor": 2.0, "log": True}


def config(**reward):
    whole = {"actor_rollout_ref": {"rollout": {"n": 8}}, "url": "http://127.0.0.1:1", "reward": reward}
    made = OmegaConf.create(whole)
    OmegaConf.set_struct(made, True)
    return made


def test_settings_come_from_both_places_and_those_of_the_function_win():
    options = Options.of(
        config(
            num_workers=3,
            reward_kwargs={"server_url": "${url}", "temperature": 0.1, "votes": 3, "overlong_buffer_cfg": None},
            custom_reward_function={
                "path": None,
                "reward_kwargs": {"temperature": 0.5, "something": [1], "seed": None},
            },
        )
    )
    assert options.call == {"server_url": "http://127.0.0.1:1", "temperature": 0.5, "votes": 3, "something": [1]}
    assert (options.settings.temperature, options.settings.votes) == (0.5, 3)
    assert (options.group_size, options.workers, options.group_wait) == (8, 3, 10.0)
    assert (options.overlong, options.has_function) == (None, False)


def test_what_is_the_manager_s_own_is_not_handed_to_the_judge():
    options = Options.of(
        config(
            reward_kwargs={"overlong_buffer_cfg": DAPO, "max_resp_len": 16, "group_wait": 0, "return_details": False},
            custom_reward_function={"path": "pkg://somewhere"},
        )
    )
    assert options.call == {}
    assert options.overlong == Overlong(longest=16, buffer=4, factor=2.0, log=True)
    assert (options.group_wait, options.has_function) == (0.0, True)


def test_the_environment_counts_where_the_configuration_is_silent(monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_FALLBACK", "group_mean")
    assert Options.of(config()).settings.fallback == "group_mean"
    assert Options.of(config(reward_kwargs={"fallback": "zero"})).settings.fallback == "zero"


def test_the_names_of_0_7_0_are_understood():
    options = Options.of(
        OmegaConf.create(
            {
                "custom_reward_function": {"path": "x.py", "reward_kwargs": {"votes": 2}},
                "reward_model": {"num_workers": 2, "reward_kwargs": {"seed": 7}},
            }
        )
    )
    assert options.call == {"votes": 2, "seed": 7}
    assert (options.workers, options.group_size, options.has_function) == (2, 1, True)


@pytest.mark.parametrize(
    ("reward_kwargs", "words"),
    [
        ({"group_wait": -1}, "group_wait=-1"),
        ({"group_wait": "soon"}, "group_wait='soon'"),
        ({"temperature": "hot"}, "temperature='hot'"),
        ({"overlong_buffer_cfg": DAPO}, "max_resp_len=None"),
        ({"overlong_buffer_cfg": DAPO, "max_resp_len": 3}, "max_resp_len=3"),
    ],
)
def test_what_nobody_could_run_with_is_a_config_error_that_names_it(reward_kwargs, words):
    with pytest.raises(ConfigError, match=words):
        Options.of(config(reward_kwargs=reward_kwargs))


def test_the_overlong_penalty_grows_in_the_buffer_and_is_none_before():
    overlong = Overlong(longest=16, buffer=4, factor=2.0, log=False)
    assert [overlong.penalty(length) for length in (1, 12, 13, 14, 16)] == [0.0, 0.0, -0.5, -1.0, -2.0]
    assert Overlong.of({"overlong_buffer_cfg": {**DAPO, "enable": False}, "max_resp_len": 16}) is None
