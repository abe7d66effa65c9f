"""`fallback=group_mean` for rows that come one by one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from typing import Any

from llm_judge_remote.judgement import Outcome

__all__ = ["Groups"]

_MOST_GROUPS = 4096
_STAND_INS = ("group_mean", "lexical")  # what the call itself could put in place of a group's mean
_COUNTED = (Outcome.JUDGED.value, Outcome.GATED.value)


class Groups:
    """The groups of one worker: the rollouts of one prompt, by its `uid`.

    Args:
        size: Rollouts of a prompt.
        wait: Seconds that a row which was not judged waits at most, after its own end, for those of its group.
        all_here: Whether all rollouts of a prompt come to this worker; if not, only those that have come are waited
            for.
    """

    def __init__(self, size: int, wait: float, *, all_here: bool) -> None:
        self._size = max(size, 1)
        self._wait = wait
        self._all_here = all_here
        self._groups: OrderedDict[str, _Group] = OrderedDict()

    async def settle(self, uid: str, judging: Awaitable[Mapping[str, Any]]) -> dict[str, Any]:
        """A row's details; where the judge gave no score, with the mean of its group's, if there are any in time.

        Args:
            uid: Of the row's prompt.
            judging: Gives the row's flat dict; what it raises is raised.
        """
        group = self._entered(uid)
        try:
            details = dict(await judging)
            if details["judge_outcome"] in _COUNTED:
                group.scores.append(details["score"])
        finally:
            group.conclude()
            if group.arrived >= self._size and not group.under_way and self._groups.get(uid) is group:
                del self._groups[uid]
        if not details["judge_fallback"] or details["judge_fallback_by"] not in _STAND_INS:
            return details
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(group.complete.wait(), self._wait)
        if not group.scores:
            return details
        mean = sum(group.scores) / len(group.scores)
        return {**details, "score": mean, "acc": mean, "judge_fallback_by": "group_mean"}

    def _entered(self, uid: str) -> _Group:
        group = self._groups.get(uid)
        if group is None or group.arrived >= self._size:  # the same uid again: another step
            group = self._groups[uid] = _Group(self._size if self._all_here else 0)
            while len(self._groups) > _MOST_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(uid)
        group.enter()
        return group


class _Group:
    """What is known of one prompt's rollouts: how many came, how many are under way, the judge's scores."""

    def __init__(self, expected: int) -> None:
        self.arrived = 0
        self.under_way = 0
        self.scores: list[float] = []
        self.complete = asyncio.Event()
        self._expected = expected

    def enter(self) -> None:
        self.arrived += 1
        self.under_way += 1
        self.complete.clear()

    def conclude(self) -> None:
        self.under_way -= 1
        if not self.under_way and self.arrived >= self._expected:
            self.complete.set()
