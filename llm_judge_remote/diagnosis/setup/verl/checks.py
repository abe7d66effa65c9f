"""What is wrong with verl's configuration, as far as the judge is concerned."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from llm_judge_remote.diagnosis.setup.verl.configuration import Configuration
from llm_judge_remote.diagnosis.setup.verl.keywords import keyword_findings
from llm_judge_remote.diagnosis.setup.verl.release import Release
from llm_judge_remote.diagnosis.setup.verl.reward import Reward, ignored_keys, is_unknown
from llm_judge_remote.finding import Finding, Level
from llm_judge_remote.setting_sources import nearest

__all__ = ["look_at_configuration"]

_FUNCTIONS = ("compute_score", "compute_score_async", "compute_score_batched")
_MANAGER = "JudgeRewardManager"
_MANAGER_PATH = "pkg://llm_judge_remote.integrations.verl"
_MODULES = "VERL_USE_EXTERNAL_MODULES"
_PACKAGE = "pkg://"


def look_at_configuration(configuration: Configuration, reward: Reward, release: Release) -> Iterator[Finding]:
    """Everything that a release passes over in silence, stumbles upon, or does in another way than was meant."""
    yield from _keys(configuration, release)
    yield from _overrides(configuration)
    yield from _function(reward, release)
    yield from _manager(reward, release)
    yield from keyword_findings(configuration, reward)


def _keys(configuration: Configuration, release: Release) -> Iterator[Finding]:
    ignored = list(ignored_keys(configuration, release))
    for key, right in ignored:
        # Without its function verl scores by its own rules, and all goes on as if nothing were wrong.
        level: Level = "error" if "custom_reward_function" in key or "manager" in key or "loop" in key else "warning"
        yield Finding("keys", level, f"verl {release} ignores {key}, in silence", f"write it as {right}")
    legacy = configuration.mapping("custom_reward_function")
    if release.migrates and legacy:
        words = f"verl {release} still takes custom_reward_function from the top level; from 0.9 on it is ignored"
        if configuration.mapping("reward.custom_reward_function").get("path"):
            words += "; it takes the place of reward.custom_reward_function as a whole, which is there as well"
        yield Finding("keys", "warning", words, "write it as reward.custom_reward_function")
    elif not ignored:
        yield Finding("keys", "ok", f"verl {release} reads the keys that are used")


def _overrides(configuration: Configuration) -> Iterator[Finding]:
    for override in configuration.overrides:
        if not override.plus and "reward_kwargs." in override.key:
            words = f"Hydra refuses {override.key}: verl's own configuration does not have that key"
            yield Finding("overrides", "error", words, f"write +{override.key}=...")


def _function(reward: Reward, release: Release) -> Iterator[Finding]:
    called = f"{reward.name} of {reward.path}"
    if not reward.path:
        if reward.has_our_manager:
            yield Finding("function", "ok", f"none, as {_MANAGER} asks the judge itself")
            return
        words = f"no {reward.place}.path: verl {release} scores by rules of its own, and nobody asks the judge"
        where = "pkg://llm_judge_remote" if release.has_loop else _our_file()
        yield Finding("function", "error", words, f"set {reward.place}.path: {where}, and name")
        return
    if problem := _unloadable(reward, release):
        yield Finding("function", "error", *problem)
        return
    if not reward.has_our_function:
        yield Finding("function", "ok", f"{called} is your own: what it does with the judge is not looked at")
        return
    if reward.name not in _FUNCTIONS:
        words = f"there is no {reward.name!r} in {reward.path}{nearest(reward.name, _FUNCTIONS)}"
        yield Finding("function", "error", words, f"set {reward.place}.name to one of {', '.join(_FUNCTIONS)}")
        return
    yield _call(reward, release, called)


def _call(reward: Reward, release: Release, called: str) -> Finding:
    """Whether the manager calls the function as it is to be called."""
    other = f"set {reward.place}.name: compute_score"
    if reward.name == "compute_score_async" and (not reward.in_loop or reward.manager == "remote"):
        words = f"the manager {reward.manager} of verl {release} awaits no function, and {called} is async"
        return Finding("function", "error", words, other)
    if reward.name == "compute_score_batched" and (reward.in_loop or reward.manager != "batch"):
        words = f"the manager {reward.manager} of verl {release} hands over one row at a time, and {called} wants many"
        return Finding("function", "error", words, f"{other} (or compute_score_async)" if reward.in_loop else other)
    if reward.name == "compute_score" and reward.in_loop and reward.manager != "remote":
        words = f"{called}, in threads; compute_score_async of the same module is awaited, and needs none"
        return Finding("function", "ok", words)
    return Finding("function", "ok", f"{called}, called by the manager {reward.manager}")


def _unloadable(reward: Reward, release: Release) -> tuple[str, str] | None:
    """What keeps verl from loading the function, and what to do."""
    path = reward.path
    if is_unknown(path):
        return None
    if path.startswith(_PACKAGE):
        module = path.removeprefix(_PACKAGE).replace("/", ".")
        if not release.has_loop:
            words = f"verl {release} loads files only, and takes {path} for one"
            return words, f"set {reward.place}.path: {_our_file()}"
        try:
            is_there = importlib.util.find_spec(module) is not None
        except (ImportError, ValueError):
            is_there = False
        hint = "install it in the Python that runs verl, or correct the name"
        return None if is_there else (f"{path}: there is no such module here", hint)
    if Path(path.removeprefix("file://")).is_file():
        return None
    hint = f"write {_PACKAGE}llm_judge_remote" if release.has_loop else f"write {_our_file()}"
    return f"{path}: there is no such file on this machine", f"correct the path; for this package {hint}"


def _manager(reward: Reward, release: Release) -> Iterator[Finding]:
    if reward.manager_path:
        yield _loaded_manager(reward, release)
        return
    known = release.managers
    if reward.manager == "llm_judge" and release.reads_reward:
        if "llm_judge_remote" in os.environ.get(_MODULES, ""):
            yield Finding("manager", "ok", "llm_judge, which is this package's")
            return
        words = f"verl {release} knows llm_judge only where {_MODULES} names its module, and here it does not"
        yield Finding(
            "manager", "error", words, f"set {_MODULES}=llm_judge_remote.integrations.verl for all its processes"
        )
        return
    if reward.manager not in known:
        words = f"verl {release} has no reward manager {reward.manager!r}{nearest(reward.manager, known)}"
        more = "; rows come one at a time there, and need no `batch`" if reward.manager == "batch" else ""
        yield Finding("manager", "error", words, f"there are {', '.join(known)}{more}")
        return
    if reward.in_loop and reward.manager in ("batch", "prime"):
        words = f"the reward loop, which is on in verl {release}, has no manager {reward.manager!r}"
        yield Finding("manager", "error", words, "set reward_model.use_reward_loop: false, or take naive")
        return
    kwargs = reward.call
    if reward.manager == "prime" and kwargs.get("return_details"):
        words = "prime takes floats only, and return_details gives it dicts"
        yield Finding("manager", "error", words, "leave return_details out, or take another manager")
        return
    yield Finding("manager", "ok", f"{reward.manager}, verl's own")


def _loaded_manager(reward: Reward, release: Release) -> Finding:
    if "llm_judge_remote" not in reward.manager_path:
        return Finding("manager", "ok", f"{reward.manager} of {reward.manager_path} is not this package's")
    where = "reward.reward_manager" if release.reads_reward else "reward_model.reward_loop"
    if reward.manager != _MANAGER:
        words = f"there is no {reward.manager!r} in {reward.manager_path}{nearest(reward.manager, (_MANAGER,))}"
        name = "reward.reward_manager.name" if release.reads_reward else "reward_model.reward_loop_class_name"
        return Finding("manager", "error", words, f"set {name}: {_MANAGER}")
    if reward.manager_path != _MANAGER_PATH:
        words = f"{_MANAGER} is not in {reward.manager_path}"
        key = f"{where}.module.path" if release.reads_reward else f"{where}_module_path"
        return Finding("manager", "error", words, f"set {key}: {_MANAGER_PATH}")
    return Finding("manager", "ok", f"{_MANAGER} of {_MANAGER_PATH}")


def _our_file() -> str:
    """The path that releases without `pkg://` are given."""
    return str(Path(__file__).parents[3] / "verl_reward.py")
