"""What verl's configuration says to the manager."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.integrations.verl_overlong import Overlong
from llm_judge_remote.layers import plain
from llm_judge_remote.setting_sources import ALIASES
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Options"]

_GROUP_WAIT_S = 10.0
_NO_SETTINGS = ("overlong_buffer_cfg", "max_resp_len", "group_wait", "return_details")


@dataclass(frozen=True, slots=True)
class Options:
    """The part of verl's configuration that concerns the manager.

    Attributes:
        call: What each call of the judge is given: settings by name.
        settings: What becomes of them, the environment and the YAML file.
        group_size: Rollouts of a prompt in training.
        workers: Reward workers, among which verl spreads the rollouts by chance.
        group_wait: Seconds that a row which was not judged waits at most for its group's scores.
        overlong: The penalty for long answers, if any.
        has_function: Whether a custom reward function is configured.
    """

    call: Mapping[str, Any]
    settings: JudgeSettings
    group_size: int
    workers: int
    group_wait: float
    overlong: Overlong | None
    has_function: bool

    @classmethod
    def of(cls, config: Any) -> Options:
        """Read them from the trainer's whole configuration: OmegaConf's, or plain mappings.

        `reward.reward_kwargs` and `reward.custom_reward_function.reward_kwargs` are one, and the latter wins, as it
        does in verl. verl 0.7.0 has them under `reward_model` and at the top.

        Raises:
            ConfigError: Nobody could run with what they say.
        """
        function = _found(config, "reward.custom_reward_function") or _found(config, "custom_reward_function") or {}
        kwargs = _found(config, "reward.reward_kwargs") or _found(config, "reward_model.reward_kwargs") or {}
        given = {**kwargs, **(function.get("reward_kwargs") or {})}
        group_wait = given.get("group_wait", _GROUP_WAIT_S)
        if not isinstance(group_wait, (int, float)) or not 0 <= group_wait < float("inf"):
            msg = f"group_wait={group_wait!r} is a number of seconds, 0 or more"
            raise ConfigError(msg)
        call = {name: value for name, value in given.items() if name not in _NO_SETTINGS and value is not None}
        known = {name: value for name, value in call.items() if name in JudgeSettings.model_fields or name in ALIASES}
        workers = _found(config, "reward.num_workers") or _found(config, "reward_model.num_workers")
        return cls(
            call=call,
            settings=JudgeSettings(**known),
            group_size=int(_found(config, "actor_rollout_ref.rollout.n") or 1),
            workers=int(workers or 1),
            group_wait=float(group_wait),
            overlong=Overlong.of(given),
            has_function=bool(function.get("path")),
        )


def _found(config: Any, path: str) -> Any:
    """The plain value at a dotted path; None where there is none."""
    for name in path.split("."):
        if not hasattr(config, "get"):
            return None
        config = config.get(name)
    return plain(config)
