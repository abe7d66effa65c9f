r"""SkyRL: an environment whose reward is the judge's score.

Importing this module registers `llm_judge_remote` with skyrl_gym. SkyRL runs environments in a process of Ray, so
register it there, before the trainer is made, as SkyRL's own judge example does::

    @ray.remote(num_cpus=1)
    def skyrl_entrypoint(cfg):
        from llm_judge_remote.integrations.skyrl import register_env

        register_env(server_url="http://JUDGE:8000", temperature=0.0)
        BasePPOExp(cfg).run()

and train with `environment.env_class=llm_judge_remote`. Settings come, the later ones winning, from the environment and
the YAML file, from `register_env`, and from SkyRL's configuration of the environment
(`environment.skyrl_gym.llm_judge_remote`; SkyRL 0.4 refuses names there that its configuration class does not have,
skyrl-train takes them with a plus in front). Two of SkyRL's own settings decide how fast it is:

- `environment.skyrl_gym.max_env_workers` (32): so many rows are with the judge at once. Take what it can serve.
- `generator.batched` must be false, as it is by default: SkyRL steps a batch's environments one after the other.

Two servers, two roles
----------------------
The policy's engines and the judge are servers of their own, on GPUs of their own, and each is named in one place only.
The policy's server gets new weights after every step, so it is SkyRL's own, and the trainer must not share its GPUs
(`trainer.placement.colocate_all=false`). The judge's weights never change: any server does that speaks OpenAI's API.
Never name the judge among the engines: it would be given the policy's weights.

The judge, in all releases::

    vllm serve Qwen/Qwen3-32B --port 8000 --enable-prefix-caching
    # the run: register_env(server_url="http://JUDGE:8000"), or LLM_JUDGE_SERVER_URL=http://JUDGE:8000

The policy, SkyRL 0.4 (older names, `remote_urls` among them, are an error there)::

    python -m skyrl.train.entrypoints.serve trainer.policy.model.path=MODEL trainer.placement.colocate_all=false
    # it logs its proxy_url and server_urls; the run:
    #   trainer.placement.colocate_all=false generator.inference_engine.run_engines_locally=false
    #   generator.inference_engine.external_proxy_url=http://POLICY:PORT
    #   generator.inference_engine.external_server_urls="['http://POLICY:PORT']"

The policy, skyrl-train 0.3, one server for each engine::

    python -m skyrl_train.inference_engines.vllm.vllm_server --model MODEL --port 8001 --enable-sleep-mode \
        --worker-extension-cls skyrl_train.inference_engines.vllm.vllm_engine.WorkerWrap
    # the run:
    #   trainer.placement.colocate_all=false generator.run_engines_locally=false generator.num_inference_engines=1
    #   generator.remote_inference_engine_urls="['POLICY:8001']"

On one machine, `CUDA_VISIBLE_DEVICES` keeps them apart. `LLM_JUDGE_*` variables reach Ray's processes only if they are
set where Ray is started or in its runtime environment; `register_env` does without.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput
from skyrl_gym.envs.registration import register, registry

from llm_judge_remote.integrations.skyrl_episode import Episode, least_turns
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.layers import plain
from llm_judge_remote.reward import compute_score

__all__ = ["ENV_ID", "LLMJudgeEnv", "register_env"]

ENV_ID = "llm_judge_remote"
"""The environment's name for `skyrl_gym.make` and `environment.env_class`."""

_ENTRY_POINT = "llm_judge_remote.integrations.skyrl:LLMJudgeEnv"
_NOT_FINAL = {**Judgement(0.0, Outcome.EMPTY_CANDIDATE).to_dict(), "judge_outcome": "not_final"}
_UNJUDGED = (Outcome.FALLBACK.value, Outcome.FAILED.value)


class LLMJudgeEnv(BaseTextEnv):  # type: ignore[misc]  # skyrl_gym brings no types
    """An episode whose answer an LLM judges; in one turn, or in several with feedback between them.

    Each answer is judged against `extras["reward_spec"]["ground_truth"]`; the problem is in `extras["extra_info"]`
    (`problem`, else `question`), else it is the last user turn of the prompt that `init` was given. An episode ends
    with a right answer, with the last turn, and when the judge could not be asked: no feedback is made up.

    Settings of the environment itself, beside all of the judge's:

    - `max_turns`: the least counts of this, SkyRL's `generator.max_turns` and the row's own; 1 if none says.
    - `pass_score`: the score from which an answer counts as right (0.9).
    - `feedback`: what is said to a wrong answer; `{turns_left}` stands for a number.
    - `final_pattern`: a regular expression that finds a final answer, `####` for GSM8K. A turn without one is not
      judged, but for the last, and is told `not_final_feedback`. None (default): each turn is an answer.
    - `turn_rewards`: `last` (default) rewards the last turn alone; `each` rewards every turn with its score. SkyRL adds
      the rewards of an episode's turns up.

    Args:
        env_config: SkyRL's configuration of the environment: a mapping, an OmegaConf node or a dataclass. `base_url`
            stands for `server_url`.
        extras: The row's columns.
        settings: The same as `env_config`, which wins; `register_env` gives them.

    Attributes:
        turns: How many turns were taken.
        max_turns: How many there are at most.

    Raises:
        ConfigError: A setting of the environment is of no use. Those of the judge are looked at in the first `step`.
    """

    def __init__(self, env_config: Any = None, extras: Any = None, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        given = {**_as_dict(settings), **_as_dict(env_config)}
        if "base_url" in given:
            given.setdefault("server_url", given["base_url"])
        self._episode = Episode.of(given)
        self._settings = {name: value for name, value in given.items() if name not in _NOT_THE_JUDGES}
        self._row = row = _as_dict(extras)
        self._about = _as_dict(row.get("extra_info"))
        self._ground_truth = _as_dict(row.get("reward_spec")).get("ground_truth")
        self._last: dict[str, Any] = {}
        self.max_turns = least_turns(self._episode.max_turns, row.get("max_turns"), self._about.get("max_turns"))

    def init(self, prompt: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Args:
            prompt: Chat messages, of which the last user turn is the problem if the row does not tell it.

        Returns:
            The prompt as it is, and an empty dict.
        """
        self.turns = 0
        self._last = {}
        self._about.setdefault("prompt", plain(prompt))
        return prompt, {}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Judge an answer; waits for the judge, and is meant to be called from many threads at once.

        Args:
            action: The model's turn.

        Returns:
            `reward`, in [0, 1]; `done`; `observations`, one user message where the episode goes on; `metadata`, the
            flat dict of `Judgement.to_dict`, with the same keys always. `judge_outcome` is `not_final` for a turn
            that was not judged because it holds no final answer.

        Raises:
            ConfigError: Nobody could run with the judge's settings.
        """
        self.turns += 1
        turns_left = max(self.max_turns - self.turns, 0)
        if turns_left and not self._episode.is_final(action):
            told = self._episode.not_final(turns_left)
            self._last = {
                **Judgement(0.0, Outcome.EMPTY_CANDIDATE, "not final").to_dict(),
                "judge_outcome": "not_final",
            }
            return self._output(0.0, told)
        self._last = found = compute_score(
            self._row.get("data_source"),
            action,
            self._ground_truth,
            self._about,
            **{**self._settings, "return_details": True},
        )
        score = float(found["score"])
        if not turns_left or score >= self._episode.pass_score or found["judge_outcome"] in _UNJUDGED:
            return self._output(score, None)
        return self._output(score if self._episode.turn_rewards == "each" else 0.0, self._episode.wrong(turns_left))

    def get_metrics(self) -> dict[str, float]:
        """Numbers of the episode, which SkyRL averages and logs as `environment/...`: `turns`, and the last turn's."""
        numbers = {name: float(value) for name, value in self._last.items() if isinstance(value, (int, float))}
        return {"turns": float(self.turns), **numbers}

    def _output(self, reward: float, told: str | None) -> BaseTextEnvStepOutput:
        return BaseTextEnvStepOutput(
            observations=[] if told is None else [{"role": "user", "content": told}],
            reward=reward,
            done=told is None,
            metadata=dict(self._last),
        )


def register_env(env_id: str = ENV_ID, **settings: Any) -> None:
    """Register the environment in this process, in place of one of the same name.

    Args:
        env_id: Its name. SkyRL 0.4 has a place for settings under `llm_as_a_judge`: `model` and `base_url`.
        **settings: Of the environment and of the judge.
    """
    registry.pop(env_id, None)
    register(id=env_id, entry_point=_ENTRY_POINT, kwargs={"settings": settings} if settings else {})


_NOT_THE_JUDGES = frozenset((*(each.name for each in dataclasses.fields(Episode)), "base_url", "return_details"))


def _as_dict(config: Any) -> dict[str, Any]:
    """What a configuration holds; what is None there is not given."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    config = plain(config)
    return {str(name): value for name, value in config.items() if value is not None} if isinstance(config, dict) else {}


if ENV_ID not in registry:
    register_env()
