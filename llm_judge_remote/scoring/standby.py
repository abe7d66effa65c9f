"""Fallback scores made ready before they are needed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from llm_judge_remote.scoring.fallback import fallback_score
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Standby"]

Row = tuple[JudgeSettings, str, Sequence[str]]
"""A row's settings, its candidate, and references."""

_PROBES = 8
_RESERVE_S = 0.05
_BUSY = 4.0  # other threads want the interpreter too


class Standby:
    """`fallback_score` that remembers: what was made ready before a deadline is there at once when it has passed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], float] = {}

    def score(self, settings: JudgeSettings, candidate: str, references: Sequence[str]) -> float | None:
        """As `fallback_score`."""
        if settings.fallback != "lexical":
            return fallback_score(settings, candidate, references)
        scores = []
        for reference in references:
            key = (candidate, reference, settings.fallback_metric)
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = fallback_score(settings, candidate, [reference]) or 0.0
            scores.append(known)
        return max(scores, default=0.0)

    def seconds(self, rows: Sequence[Row]) -> float:
        """How long before a deadline to begin with these rows: estimated from a few of them, with a reserve."""
        lexical = [row for row in rows if row[0].fallback == "lexical" and row[2]]
        if not lexical:
            return 0.0
        probes = lexical[:: max(len(lexical) // _PROBES, 1)]
        began = time.perf_counter()
        self.make(probes)
        each = (time.perf_counter() - began) / len(probes)
        return each * len(lexical) * _BUSY + _RESERVE_S

    def make(self, rows: Iterable[Row]) -> None:
        """Make these ready."""
        for row in rows:
            self.score(*row)
