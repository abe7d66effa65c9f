"""Where the environment's settings come from, as skyrl_gym and SkyRL's configuration hand them over."""

import dataclasses

import pytest
import skyrl_gym
from omegaconf import OmegaConf
from skyrl_episodes import PROMPT, RIGHT, extras, made
from skyrl_gym.envs.registration import register

from llm_judge_remote import ConfigError
from llm_judge_remote.integrations.skyrl import ENV_ID, register_env
from llm_judge_remote.testing import JudgeServer

pytestmark = pytest.mark.trainer


@pytest.mark.parametrize(
    ("said", "turns"),
    [
        ({"max_turns": 5}, 5),
        ({"max_turns": 1}, 1),
        ({"max_turns": None}, 1),
        ({"max_turns": 5, "extra_info": {"max_turns": 2}}, 2),
        ({"max_turns": 5, "extra_info": {"max_turns": "nonsense"}}, 5),
    ],
)
def test_the_least_number_of_turns_counts(server, said, turns):
    assert made(extras(**said)).max_turns == turns


@dataclasses.dataclass
class Node:
    """Like the configuration class of SkyRL's own judge environment."""

    model: str = "a-judge"
    base_url: str | None = None
    temperature: float | None = None


def test_an_omegaconf_node_configures_the_judge_and_the_episode(server):
    config = OmegaConf.create(
        {
            "environment": {"skyrl_gym": {ENV_ID: {"server_url": "${where}", "temperature": 0.25, "max_turns": 2}}},
            "where": server.url,
        }
    )
    node = config.environment.skyrl_gym[ENV_ID]
    env = made(extras(max_turns=8), env_config=node)
    env.step(RIGHT)
    assert env.max_turns == 2
    assert server.requests[-1].body["temperature"] == 0.25


def test_a_configuration_class_as_that_of_skyrls_own_judge_example_will_do(server, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_SERVER_URL", "http://127.0.0.1:9")
    with JudgeServer(model="a-judge") as other:
        register_env("llm_as_a_judge", temperature=0.5)
        config = Node(base_url=f"{other.url}/v1")
        env = skyrl_gym.make("llm_as_a_judge", env_config=config, extras=extras())
        env.init(PROMPT)
        assert env.step(RIGHT)["metadata"]["judge_ok"] == 1
        assert other.requests[-1].body["temperature"] == 0.5


def test_skyrls_configuration_wins_over_what_was_registered(server):
    env = made(env_config={"temperature": 0.125, "top_p": None}, temperature=0.5, top_p=0.5)
    env.step(RIGHT)
    body = server.requests[-1].body
    assert (body["temperature"], body["top_p"]) == (0.125, 0.5)


def test_a_yaml_file_configures_it_too(server, monkeypatch, tmp_path):
    file = tmp_path / "judge.yaml"
    file.write_text("temperature: 0.375\n")
    monkeypatch.setenv("LLM_JUDGE_CONFIG", str(file))
    made().step(RIGHT)
    assert server.requests[-1].body["temperature"] == 0.375


@pytest.mark.parametrize(
    "setting", [{"max_turns": 0}, {"pass_score": 2}, {"final_pattern": "("}, {"turn_rewards": "all"}, {"feedback": 3}]
)
def test_a_setting_of_no_use_is_refused_by_name(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        made(**setting)


def test_a_judge_nobody_named_is_a_config_error_in_the_first_step():
    with pytest.raises(ConfigError, match="server_url"):
        made().step(RIGHT)


def test_it_can_be_registered_under_other_names_as_skyrls_examples_do_it(server):
    register(id="mine", entry_point="llm_judge_remote.integrations.skyrl:LLMJudgeEnv")
    env = skyrl_gym.make("mine", env_config=None, extras=extras())
    env.init(PROMPT)
    assert env.step(RIGHT)["reward"] == 1.0
