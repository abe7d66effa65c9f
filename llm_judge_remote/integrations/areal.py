"""AReaL: reward functions, the judge's addresses, and a client for workflows that ask a judge themselves.

AReaL wraps a reward function in `AsyncRewardWrapper`, which runs it in a process pool and gives each call 15 s, waiting
for a free process included. A call that takes longer is made again, three times, and is then worth 0 in silence.
`reward_fn` therefore comes back in time, with the fallback's score where the judge has given none::

    workflow = RLVRWorkflow(reward_fn="llm_judge_remote.integrations.areal.reward_fn", gconfig=..., tokenizer=...)

It takes its settings from the environment (`LLM_JUDGE_SERVER_URL`) or the YAML file; `JudgeReward` from arguments. The
pool has a process or a few, and each judges one row at a time: where the judge takes a second, so many rows a second
are judged. On AReaL's event loop all rows are judged at once, by one dispatcher and without a timeout::

    workflow = RLVRWorkflow(reward_fn=reward_fn, gconfig=..., tokenizer=...)
    workflow.async_reward_fn = async_reward_fn

This module imports nothing of AReaL.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_judge_remote import reward
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.integrations.areal_rows import as_row
from llm_judge_remote.integrations.openai_shaped import JudgeClient
from llm_judge_remote.reward import compute_score, compute_score_async

__all__ = ["JudgeClient", "JudgeReward", "async_reward_fn", "registry_url", "reward_fn"]

TIMEOUT_S = 15.0
"""The default `timeout_seconds` of AReaL's `AsyncRewardWrapper`."""

_OF_TIMEOUT = 0.8  # the rest is for a process to start, and for the way back
_HURRIED = 0.1
_LEAST_S = 0.5


@dataclass(frozen=True)
class JudgeReward:
    """A reward function with settings of its own; it may be pickled, and is called in other processes.

    Called with a row, it returns its score, a float in [0, 1]. The judge has four fifths of `timeout` for it, less what
    a fresh process has taken to start; after a row that the judge let pass it has a tenth, until `timeout` has passed
    once more: rows wait for their turn in the pool, and their timeouts run meanwhile. If `deadline` is set (in
    `settings`, or by `LLM_JUDGE_DEADLINE`), it takes the place of the four fifths.

    Args:
        timeout: Seconds: the `timeout_seconds` of the `AsyncRewardWrapper` that calls it.
        settings: Settings by name, over those of the environment and the YAML file.

    Raises:
        ConfigError: When called: nobody could run with these settings.
    """

    timeout: float = TIMEOUT_S
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self, prompt: Any, completions: Any, prompt_ids: Any = None, completion_ids: Any = None, **data: Any
    ) -> float:
        """The score of a row; see `reward_fn`."""
        del prompt_ids, completion_ids
        own = reward.call_settings(self.settings).deadline
        deadline, began = _PATIENCE.deadline(own or self.timeout * _OF_TIMEOUT), time.monotonic()
        settings = {**self.settings, "deadline": deadline, "return_details": True}
        found = compute_score(**as_row(prompt, completions, data), **settings)
        if found["judge_ok"]:
            _PATIENCE.was_rewarded()
        elif time.monotonic() - began >= deadline:
            _PATIENCE.was_tried(self.timeout)
        return float(found["score"])

    async def on_loop(
        self, prompt: Any, completions: Any, prompt_ids: Any = None, completion_ids: Any = None, **data: Any
    ) -> float:
        """The same for an event loop, without a timeout but the settings' `deadline`; see `async_reward_fn`."""
        del prompt_ids, completion_ids
        settings = {**self.settings, "return_details": False}
        return float(await compute_score_async(**as_row(prompt, completions, data), **settings))


def reward_fn(prompt: Any, completions: Any, prompt_ids: Any = None, completion_ids: Any = None, **data: Any) -> float:
    """Score a row with the judge; for AReaL's process pool and its 15 s.

    Args:
        prompt: The decoded prompt; the problem, where no column holds it.
        completions: The candidate.
        prompt_ids: Ignored.
        completion_ids: Ignored.
        **data: The row's columns. Reference: `ground_truth`, `answer`, `solution` and others; problem: `problem`,
            `question`, or the last user turn of `messages`.

    Returns:
        The score, in [0, 1]: the judge's, or what `fallback` says. Which of them the process's log tells.

    Raises:
        ConfigError: Nobody could run with the settings.
    """
    return _REWARD(prompt, completions, prompt_ids, completion_ids, **data)


async def async_reward_fn(
    prompt: Any, completions: Any, prompt_ids: Any = None, completion_ids: Any = None, **data: Any
) -> float:
    """`reward_fn` on the event loop, in place of a workflow's `AsyncRewardWrapper`: all rows go through one dispatcher.

    `deadline` is as set; without it a row waits for the judge as long as `timeout` and `max_retries` allow.
    """
    return await _REWARD.on_loop(prompt, completions, prompt_ids, completion_ids, **data)


def registry_url(
    config: Any,
    experiment: str | None = None,
    trial: str | None = None,
    name: str = "judge",
    *,
    user: str | None = None,
) -> str:
    """Where AReaL's name_resolve keeps a name, as a `server_url` of ours.

    Args:
        config: A `NameResolveConfig` (or a mapping like it), or a whole experiment's configuration.
        experiment: The experiment's name; None for the one that an experiment's configuration names.
        trial: The trial's name; the same.
        name: The name below the trial, as `gen_servers` is one; or, without experiment and trial, all of the name.
        user: Whose trial, as AReaL's names begin with the user's; None for the user of this process.

    Returns:
        `file://...` for `nfs`, `etcd://...` for `etcd3`.

    Raises:
        ConfigError: The configuration names another kind of store, or no place.
    """
    if _of(config, "cluster") is not None:
        experiment = experiment or _of(config, "experiment_name")
        trial = trial or _of(config, "trial_name")
        config = _of(_of(config, "cluster"), "name_resolve")
    if bool(experiment) != bool(trial) or not name.strip("/"):
        msg = f"a name needs both experiment and trial, or neither: {experiment=}, {trial=}, {name=}"
        raise ConfigError(msg)
    parts = [user or getpass.getuser(), experiment, trial] if experiment else []
    path = "/".join([*map(str, parts), name.strip("/")])
    kind = _of(config, "type")
    if kind == "nfs" and (root := str(_of(config, "nfs_record_root") or "")).startswith("/"):
        return f"file://{root.rstrip('/')}/{path}"
    if kind == "etcd3" and (address := _of(config, "etcd3_addr")):
        return f"etcd://{address}/{path}"
    msg = (
        f"name_resolve of type {kind!r} cannot be looked into: it is nfs with an absolute nfs_record_root, or etcd3 "
        "with etcd3_addr; for others, give the judge's addresses"
    )
    raise ConfigError(msg)


def _of(config: Any, name: str) -> Any:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)


class _Patience:
    """How long a row of this process may wait for the judge."""

    def __init__(self) -> None:
        self._process = 0
        self._hurry_until = 0.0

    def deadline(self, full: float) -> float:
        """Seconds for the next row, where `full` is what it has at best."""
        if self._process != os.getpid():
            self._process, self._hurry_until = os.getpid(), 0.0
            age = _age_of_process()
            if age < full:  # else it was made for another row, and has waited for this one
                full -= age
        elif time.monotonic() < self._hurry_until:
            full *= _HURRIED
        return max(round(full, 1), _LEAST_S)

    def was_rewarded(self) -> None:
        """The judge gave a score."""
        self._hurry_until = 0.0

    def was_tried(self, timeout: float) -> None:
        """The judge let a row's deadline pass."""
        self._hurry_until = time.monotonic() + timeout


def _age_of_process() -> float:
    """Seconds since this process was started; 0 where the system does not tell (it is Linux that does)."""
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 (read for each process)
            started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return max(time.clock_gettime(time.CLOCK_BOOTTIME) - started, 0.0)
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


_REWARD = JudgeReward()
_PATIENCE = _Patience()
