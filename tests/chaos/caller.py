"""A client in a process of its own: `run.py` starts it, nobody else.

It reads a task as a line of JSON, calls the judge in all ways until another line comes, and prints its account as a
line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from account import Account, Seen
from rows import Row, made

from llm_judge_remote import Judge, JudgeSettings, Outcome, Sample, compute_score_async, compute_score_batched

__all__ = ["Task"]

_SIZES, _SIZE_WEIGHTS = (1, 8, 64), (4, 4, 2)


@dataclass(frozen=True, slots=True)
class Task:
    """What a client is told.

    Attributes:
        number: Its own.
        seed: Of sizes and ways of calling.
        began: Monotonic time of the run's beginning, the same clock for all processes.
        rate: Rows a second, at most.
        settings: Where the judge is, how long a call may take, and so on.
    """

    number: int
    seed: int
    began: float
    rate: float
    settings: Mapping[str, Any]

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


class _Calls:
    """The ways of calling, by name."""

    def __init__(self, task: Task) -> None:
        self._settings = dict(task.settings)
        self._judge = Judge(JudgeSettings(**self._settings))
        self.ways: dict[str, Callable[[Sequence[Row]], list[Seen]]] = {
            "Judge.score": self._score,
            "compute_score_batched": self._batched,
            "compute_score_async": self._async,
            "many compute_score_async": self._many_async,
        }

    def _score(self, rows: Sequence[Row]) -> list[Seen]:
        samples = [Sample(row.candidate, (row.reference,), row.problem) for row in rows]
        return [
            Seen(each.outcome is Outcome.JUDGED, each.score, each.reason, each.attempts, each.hedged, each.reply)
            for each in self._judge.score(samples)
        ]

    def _batched(self, rows: Sequence[Row]) -> list[Seen]:
        return _seen(compute_score_batched(*_columns(rows), return_details=True, **self._settings))

    def _async(self, rows: Sequence[Row]) -> list[Seen]:
        return _seen(asyncio.run(compute_score_async(*_columns(rows), return_details=True, **self._settings)))

    def _many_async(self, rows: Sequence[Row]) -> list[Seen]:
        async def all_at_once() -> list[Any]:
            each_row = zip(*_columns(rows), strict=True)
            calls = (compute_score_async(*row, return_details=True, **self._settings) for row in each_row)
            return await asyncio.gather(*calls)

        return _seen(asyncio.run(all_at_once()))

    def close(self) -> None:
        self._judge.close()


def main() -> None:
    """Call until told to stop."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    task = Task(**json.loads(sys.stdin.readline()))
    chance = random.Random(f"{task.seed}.{task.number}")
    deadline = float(task.settings["deadline"])
    account, calls, number = Account(), _Calls(task), 0
    until = time.monotonic()
    while not _told_to_stop(until - time.monotonic()):
        number += 1
        rows = made(task.number, number, chance.choices(_SIZES, _SIZE_WEIGHTS)[0])
        way = chance.choice(list(calls.ways))
        what = f"client {task.number}, call {number}, {way} of {len(rows)}"
        began = time.monotonic()
        try:
            results = calls.ways[way](rows)
        except Exception as error:
            account.raised(what, began - task.began, rows, error)
        else:
            account.results(what, began - task.began, rows, results)
        account.call(what, began - task.began, time.monotonic() - began, deadline)
        until = began + len(rows) / task.rate
    calls.close()
    sys.stdout.write(json.dumps(account.to_dict()) + "\n")
    sys.stdout.flush()


def _columns(rows: Sequence[Row]) -> tuple[list[str], list[str], list[str], list[dict[str, str]]]:
    candidates, references = [row.candidate for row in rows], [row.reference for row in rows]
    return ["made"] * len(rows), candidates, references, [{"problem": row.problem} for row in rows]


def _seen(results: Sequence[Mapping[str, Any]]) -> list[Seen]:
    names = ("judge_ok", "score", "judge_reason", "judge_attempts", "judge_hedged")
    return [Seen(*(result[name] for name in names)) for result in results]


def _told_to_stop(seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], max(seconds, 0))[0])


if __name__ == "__main__":
    main()
