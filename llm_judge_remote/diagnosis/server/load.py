"""How many rows a second servers judge at rising concurrency, and how long each takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llm_judge_remote.judgement import Judgement, Outcome

__all__ = ["Ask", "Load", "LoadLevel", "knee", "rising_load"]

Ask = Callable[[int, int, float], Sequence[Judgement]]
"""Judges so many rows, so many of them at once, until so many seconds are over: `ask(rows, concurrency, deadline)`."""

_GAIN = 1.10
_ROUNDS = 8  # rows at most, for each that is under way at once
_FEW = 64  # but so many may be, of a server that is quick
_FRUITLESS = 2  # levels in a row, before the load rises no more


@dataclass(frozen=True, slots=True)
class Load:
    """How much load to put on a server.

    Attributes:
        most: Rows under way at once, at the end.
        seconds: For all of it.
    """

    most: int = 128
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class LoadLevel:
    """What came of one concurrency.

    Attributes:
        concurrency: Rows under way at once.
        rows: Rows that were judged.
        failures: Rows that were not.
        rate: Rows judged in a second.
        p50: Median of the seconds from the sending of a row to its score, further attempts included; 0 if none was
            judged.
        p99: The 99th percentile, by nearest rank.
        prompt_tokens: Of all rows that were judged, as counted by the server; 0 where it does not say.
        reason: Why the first failure was one; "" without any.
    """

    concurrency: int
    rows: int
    failures: int
    rate: float
    p50: float
    p99: float
    prompt_tokens: int = 0
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Its attributes."""
        return asdict(self)


def rising_load(ask: Ask, load: Load, clock: Callable[[], float] = time.monotonic) -> Iterator[LoadLevel]:
    """Levels at 1, 2, 4 and so on rows at once, until more brings no more, most rows fail, or the time is up.

    Each level gets the same share of the time that is left, and at most eight rounds of rows (64 rows, where that is
    more); a single row before tells how long one takes. Rows that the end of the time cuts off count neither way; a
    level of which not even a round came to its end is left out.

    Args:
        ask: Judges rows.
        load: How much.
        clock: Monotonic seconds.
    """
    until = clock() + load.seconds
    first = _level(1, ask(1, 1, load.seconds), load.seconds)  # to know how long a row takes
    rate, best, fruitless = first.rate if first else 0.0, 0.0, 0
    steps = _steps(load.most)
    for index, concurrency in enumerate(steps):
        left = until - clock()
        if left <= 0:
            return
        share = left / (len(steps) - index)
        # A second round shows the rate better, if it is not half of the time.
        least = concurrency * (2 if 4 * concurrency <= rate * left else 1)
        rows = min(max(int(rate * share), least), max(_ROUNDS * concurrency, _FEW))
        level = _level(concurrency, ask(rows, concurrency, left), left)
        if level is None:
            return
        yield level
        rate = level.rate
        fruitless = 0 if rate >= _GAIN * best else fruitless + 1
        best = max(best, rate)
        if fruitless >= _FRUITLESS or level.failures > level.rows:
            return


def knee(levels: Sequence[LoadLevel]) -> LoadLevel | None:
    """The first level above which none brings 10 % more rows a second; None where the last is still better by that."""
    for index, level in enumerate(levels[:-1]):
        if all(later.rate < _GAIN * level.rate for later in levels[index + 1 :]):
            return level
    return None


def _steps(most: int) -> list[int]:
    steps = [2**power for power in range(most.bit_length()) if 2**power <= most]
    return steps if steps[-1] == most else [*steps, most]


def _level(concurrency: int, judgements: Sequence[Judgement], deadline: float) -> LoadLevel | None:
    ended = [each for each in judgements if each.latency_s < deadline]
    judged = [each for each in ended if each.outcome not in (Outcome.FALLBACK, Outcome.FAILED)]
    failed = [each for each in ended if each.outcome in (Outcome.FALLBACK, Outcome.FAILED)]
    if len(ended) < min(concurrency, len(judgements)):
        return None
    times = sorted(each.latency_s - each.queued_s for each in judged) or [0.0]
    return LoadLevel(
        concurrency=concurrency,
        rows=len(judged),
        failures=len(failed),
        rate=_rate(concurrency, judged, ended),
        p50=_percentile(times, 0.50),
        p99=_percentile(times, 0.99),
        prompt_tokens=sum(each.prompt_tokens for each in judged),
        reason=failed[0].reason if failed else "",
    )


def _rate(concurrency: int, judged: Sequence[Judgement], ended: Sequence[Judgement]) -> float:
    """Rows judged in a second while as many were under way as there were to be, if a round ended meanwhile; else all.

    Once the last row is sent, places stay empty, and the few rows in the others would make the rate look small.
    """
    last_sent = max((each.queued_s for each in ended), default=0.0)
    meanwhile = sum(each.latency_s <= last_sent for each in judged)
    if meanwhile >= concurrency:
        return meanwhile / last_sent
    seconds = max((each.latency_s for each in ended), default=0.0)
    return len(judged) / seconds if seconds > 0 else 0.0


def _percentile(ordered: Sequence[float], share: float) -> float:
    """By nearest rank."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
