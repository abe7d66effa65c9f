"""Rows and environments as SkyRL's generator has them."""

import skyrl_gym

from llm_judge_remote.integrations.skyrl import ENV_ID, register_env
from llm_judge_remote.judgement import Judgement, Outcome

PROMPT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 6 * 7?"}]
KEYS = list(Judgement(0.0, Outcome.JUDGED).to_dict())
RIGHT, WRONG = "6 * 7 = 42\n#### 42", "6 * 7 = 54\n#### 54"


def extras(truth=RIGHT, **others):
    """A row's columns, as SkyRL's generator hands them over."""
    row = {"data_source": "openai/gsm8k", "reward_spec": {"method": "llm_judge", "ground_truth": truth}, "max_turns": 1}
    return {**row, **others}


def made(row=None, *, env_config=None, **settings):
    if settings:
        register_env(**settings)
    env = skyrl_gym.make(
        ENV_ID, env_config={} if env_config is None else env_config, extras=extras() if row is None else row
    )
    prompt, info = env.init(PROMPT)
    assert (prompt, info) == (PROMPT, {})
    return env
