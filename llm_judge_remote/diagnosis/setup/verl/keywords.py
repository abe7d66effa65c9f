"""The settings that verl's configuration hands to the judge: misspelled, of no use, in the wrong place, or secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llm_judge_remote.diagnosis.setup.verl.configuration import Configuration
from llm_judge_remote.diagnosis.setup.verl.reward import Reward, is_unknown
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.finding import Finding
from llm_judge_remote.setting_sources import ALIASES, nearest
from llm_judge_remote.settings import JudgeSettings

__all__ = ["keyword_findings"]

_NAME = "reward_kwargs"
_FUNCTION_KEYS = ("path", "name", "reward_kwargs")
_SECRETS: Final = {"api_key": "LLM_JUDGE_SERVER_API_KEY", "fence_key": "LLM_JUDGE_FENCE_KEY"}
_OF_DAPO = ("overlong_buffer_cfg", "max_resp_len")
_OF_MANAGER = (*_OF_DAPO, "group_wait")


def keyword_findings(configuration: Configuration, reward: Reward) -> Iterator[Finding]:
    """All that is worth a word about the settings in a configuration."""
    yield from _misspelled(reward)
    kwargs = reward.reward_kwargs
    if not isinstance(kwargs, Mapping):
        words = f"{reward.place}.reward_kwargs is {type(kwargs).__name__}, and no mapping of settings to values"
        yield Finding(_NAME, "error", words, "write `setting: value` lines below it")
        return
    yield from _exposed(configuration)
    if not (reward.has_our_function or reward.has_our_manager):
        return
    more = reward.manager_kwargs if reward.has_our_manager else {}
    found = [*_unknown({**more, **kwargs}, reward), *_misplaced(reward), *_unusable(reward), *_without_group(reward)]
    if found:
        yield from found
    elif given := ", ".join(sorted({**more, **kwargs})):
        yield Finding(_NAME, "ok", f"settings of every call: {given}")
    else:
        yield Finding(_NAME, "ok", "none: the judge's settings come from the environment and its own YAML file")


def _misspelled(reward: Reward) -> Iterator[Finding]:
    for key in reward.function_keys:
        if key not in _FUNCTION_KEYS:
            words = f"{reward.place}.{key} is ignored: verl reads no such key{nearest(key, _FUNCTION_KEYS)}"
            yield Finding(_NAME, "error", words, f"there are {', '.join(_FUNCTION_KEYS)}")


def _exposed(configuration: Configuration) -> Iterator[Finding]:
    """Keys that the file gives away, wherever in it they stand."""
    places = ("reward.custom_reward_function", "custom_reward_function", "reward", "reward_model")
    for place in places:
        kwargs = configuration.mapping(f"{place}.reward_kwargs")
        for name, variable in _SECRETS.items():
            if name in kwargs and not is_unknown(kwargs[name]):
                words = (
                    f"{place}.reward_kwargs holds {name}: verl prints its configuration, and keeps copies with each run"
                )
                yield Finding("secrets", "warning", words, f"set {variable} in the environment of verl's processes")


def _unknown(kwargs: Mapping[str, Any], reward: Reward) -> Iterator[Finding]:
    names = (*JudgeSettings.model_fields, *ALIASES)
    also = _OF_MANAGER if reward.has_our_manager else ()
    for name in kwargs:
        if name not in names and name not in also:
            words = f"{name!r} is ignored: it is no setting of the judge{nearest(name, names)}"
            yield Finding(_NAME, "warning", words, "correct the name, or leave it out")


def _misplaced(reward: Reward) -> Iterator[Finding]:
    """`reward.reward_kwargs`, which only two managers read."""
    if reward.has_our_manager:
        return
    lost = [name for name in reward.manager_kwargs if name not in _OF_DAPO]
    if lost:
        words = f"the manager {reward.manager} does not read {', '.join(lost)} of the reward_kwargs beside the manager"
        yield Finding(_NAME, "error", words, f"write them below {reward.place}.reward_kwargs")


def _unusable(reward: Reward) -> Iterator[Finding]:
    try:
        JudgeSettings()
    except ConfigError:
        return  # that is said elsewhere
    try:
        JudgeSettings(**reward.call)
    except ConfigError as error:
        yield Finding(_NAME, "error", str(error), "correct the value: every call would raise this")


def _without_group(reward: Reward) -> Iterator[Finding]:
    if reward.call.get("fallback") != "group_mean" or not reward.in_loop:
        return
    if not reward.has_our_manager:
        words = "fallback=group_mean has no group where rows come one at a time, and becomes the lexical score"
        yield Finding(_NAME, "warning", words, "take the manager JudgeRewardManager, which keeps groups together")
    elif reward.workers > 1:
        words = f"fallback=group_mean sees a part of each group only: rows are spread over {reward.workers} workers"
        yield Finding(_NAME, "warning", words, "set num_workers: 1 (below reward; before 0.7.1 below reward_model)")
