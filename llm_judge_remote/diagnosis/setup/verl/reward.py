"""What a release of verl takes from a configuration for its reward, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llm_judge_remote.diagnosis.setup.verl.configuration import Configuration
from llm_judge_remote.diagnosis.setup.verl.release import Release
from llm_judge_remote.setting_sources import ALIASES
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Reward", "ignored_keys", "reward_of"]

# What was renamed with 0.7.1, and how.
_MOVED = {
    "custom_reward_function": "reward.custom_reward_function",
    "reward_model.reward_manager": "reward.reward_manager.name",
    "reward_model.reward_loop_source": "reward.reward_manager.source",
    "reward_model.reward_loop_module_path": "reward.reward_manager.module.path",
    "reward_model.reward_loop_class_name": "reward.reward_manager.name",
    "reward_model.reward_kwargs": "reward.reward_kwargs",
    "reward_model.num_workers": "reward.num_workers",
    "reward_manager": "reward.reward_manager",
}
_NOT_MIGRATED = ("reward_manager", "reward_model.reward_loop_class_name")
# In releases before, what of the new keys is worth a word.
_OF_WEIGHT = ("reward.custom_reward_function", "reward.reward_manager.name", "reward.reward_kwargs")
_DEFAULTS = (
    ("name", "compute_score"),
    ("name", "naive"),
    ("name", "custom_reward_manager"),
    ("source", "register"),
    ("reward_manager", "naive"),
    ("reward_loop_source", "register"),
    ("num_workers", 1),
)
_MANAGER = "JudgeRewardManager"
_WORKERS = 8  # verl's default from 0.7.1 on


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of a training run, as a release of verl understands it.

    Attributes:
        place: Key below which the function stands.
        path: Where it is loaded from; "" for none.
        name: Of the function.
        reward_kwargs: What it is called with; whatever stands there.
        function_keys: All that stands beside them.
        manager: The manager's name.
        manager_path: The module that it is loaded from; "" for one of verl's own.
        manager_kwargs: What the manager is given.
        workers: Among which rows are spread.
        in_loop: Whether rows are judged one at a time, and functions awaited.
        candidate_tokens: Most tokens of a rollout; 0: it does not say.
    """

    place: str
    path: str
    name: str
    reward_kwargs: Any
    function_keys: tuple[str, ...]
    manager: str
    manager_path: str
    manager_kwargs: Mapping[str, Any]
    workers: int
    in_loop: bool
    candidate_tokens: int

    @property
    def has_our_manager(self) -> bool:
        """Whether the rows go to this package's manager."""
        return self.manager == _MANAGER and "llm_judge_remote" in self.manager_path

    @property
    def has_our_function(self) -> bool:
        """Whether the function is one of this package's."""
        return self.path.startswith("pkg://llm_judge_remote") or self.path.endswith("llm_judge_remote/verl_reward.py")

    @property
    def call(self) -> dict[str, Any]:
        """The settings that every call of the judge is given, as far as the file tells their values."""
        own = self.reward_kwargs if isinstance(self.reward_kwargs, Mapping) else {}
        given = {**(self.manager_kwargs if self.has_our_manager else {}), **own}
        if not (self.has_our_manager or self.has_our_function):
            return {}
        names = {*JudgeSettings.model_fields, *ALIASES}
        return {name: value for name, value in given.items() if name in names and not is_unknown(value)}


def is_unknown(value: object) -> bool:
    """Whether a value is null, or one that only the shell or OmegaConf knows."""
    return value is None or (isinstance(value, str) and "$" in value)


def reward_of(configuration: Configuration, release: Release) -> Reward:
    """What a release makes of a configuration."""
    legacy = configuration.mapping("custom_reward_function")
    older = configuration.mapping("reward_model")
    if release.reads_reward:
        place, function = "reward.custom_reward_function", configuration.mapping("reward.custom_reward_function")
        kwargs = configuration.mapping("reward.reward_kwargs")
        manager, path = _new_manager(configuration)
        workers = configuration.get("reward.num_workers")
        if release.migrates:  # what stands at the old place wins, and takes the other's place as a whole
            place, function = ("custom_reward_function", legacy) if legacy else (place, function)
            kwargs = configuration.mapping("reward_model.reward_kwargs") or kwargs
            manager = str(older.get("reward_manager") or manager)
            if older.get("reward_loop_source") == "importlib":
                path = str(older.get("reward_loop_module_path") or "")
            workers = older.get("num_workers") or workers
    else:
        place, function = "custom_reward_function", legacy
        kwargs = configuration.mapping("reward_model.reward_kwargs")
        manager, path = str(older.get("reward_manager") or "naive"), ""
        if release.has_loop and older.get("reward_loop_source") == "importlib":
            manager, path = (str(older.get(f"reward_loop_{key}") or "") for key in ("class_name", "module_path"))
        workers = older.get("num_workers") or 1
    longest = configuration.get("data.max_response_length")
    return Reward(
        place=place,
        path=str(function.get("path") or ""),
        name=str(function.get("name") or "compute_score"),
        reward_kwargs=_named(function.get("reward_kwargs") or {}),
        function_keys=tuple(name for name in function if not name.startswith("_")),
        manager=manager,
        manager_path=path,
        manager_kwargs=kwargs,
        workers=workers if isinstance(workers, int) else _WORKERS,
        in_loop=release.reads_reward or (release.has_loop and older.get("use_reward_loop", True) is not False),
        candidate_tokens=longest if isinstance(longest, int) else 0,
    )


def ignored_keys(configuration: Configuration, release: Release) -> Iterator[tuple[str, str]]:
    """Keys that hold something and that the release does not look at, each with the one that it looks at."""
    if not release.reads_reward:
        for old, new in _MOVED.items():
            if new in _OF_WEIGHT and _says_something(configuration, new):
                yield new, old
        return
    for old, new in _MOVED.items():
        if _says_something(configuration, old) and (not release.migrates or old in _NOT_MIGRATED):
            yield old, new


def _new_manager(configuration: Configuration) -> tuple[str, str]:
    manager = configuration.mapping("reward.reward_manager")
    path = configuration.get("reward.reward_manager.module.path") if manager.get("source") == "importlib" else ""
    return str(manager.get("name") or "naive"), str(path or "")


def _named(kwargs: Any) -> Any:
    """Names as texts, where it is a mapping: YAML takes 1, on and null for names too."""
    return {str(name): value for name, value in kwargs.items()} if isinstance(kwargs, Mapping) else kwargs


def _says_something(configuration: Configuration, key: str) -> bool:
    """Whether there is more at a key than what verl's own composed configuration has where nothing was set."""
    return _is_said(key.rpartition(".")[2], configuration.get(key))


def _is_said(name: str, value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_is_said(str(below), each) for below, each in value.items())
    is_its_own = name.startswith("_") or str(value).startswith("${oc.select:reward_model.")
    return value is not None and not is_its_own and (name, value) not in _DEFAULTS
