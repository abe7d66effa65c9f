"""Similarities made ready before they are needed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from llm_judge_remote.scoring.lexical import similarity
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Standby"]

Row = tuple[JudgeSettings, str, Sequence[str]]
"""A row's settings, its candidate, and references."""

_LEXICAL = ("lexical", "calibrated", "group_mean")
_PROBES = 8
_RESERVE_S = 0.05
_BUSY = 4.0  # other threads want the interpreter too


class Standby:
    """`similarity` that remembers: what was made ready before a deadline is there at once when it has passed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], float] = {}

    def similarity(self, settings: JudgeSettings, candidate: str, references: Sequence[str]) -> float:
        """The similarity, in [0, 1], of a candidate and the nearest of some references; 0 without any."""
        scores = []
        for reference in references:
            key = (candidate, reference, settings.fallback_metric)
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = similarity(candidate, reference, settings.fallback_metric)
            scores.append(known)
        return max(scores, default=0.0)

    def seconds(self, rows: Sequence[Row]) -> float:
        """How long before a deadline to begin with these rows: estimated from a few of them, with a reserve."""
        lexical = [row for row in rows if row[0].fallback in _LEXICAL and row[2]]
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
            if row[0].fallback in _LEXICAL:
                self.similarity(*row)
