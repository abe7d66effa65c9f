"""What became of many rows, in a few numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.offline.record import NAMES, Values

__all__ = ["Tally"]

_STEPS = 50  # buckets for each factor of e: a quantile is within 1 %
_LEAST_S = 1e-6
_PLACES = {name: NAMES.index(name) for name in NAMES}
_NOT_JUDGED = (Outcome.FALLBACK.value, Outcome.FAILED.value)


class Tally:
    """Counts of rows: by outcome, their tokens, and how long the judge took for those that it judged.

    Attributes:
        outcomes: Rows by outcome.
        prompt_tokens: Of all rows together.
        completion_tokens: Of all rows together.
        cached: Rows whose reply was known before.
        reasons: Of the rows that fell back or failed, the first few reasons and how often each was given.
    """

    _MOST_REASONS = 20

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.cached = 0
        self.reasons: Counter[str] = Counter()
        self._seconds: Counter[int] = Counter()

    @property
    def rows(self) -> int:
        """All rows."""
        return self.outcomes.total()

    @property
    def not_judged(self) -> int:
        """Rows that fell back or failed."""
        return sum(self.outcomes[name] for name in _NOT_JUDGED)

    def add(self, judgement: Judgement) -> None:
        """Count a row."""
        outcome = judgement.outcome.value
        self._count(outcome, judgement.reason, judgement.service_s)
        self.prompt_tokens += judgement.prompt_tokens
        self.completion_tokens += judgement.completion_tokens
        self.cached += judgement.cached

    def add_values(self, values: Values) -> None:
        """Count a row of which the values are there, in the order of `NAMES`."""

        def value(name: str) -> Any:
            return values[_PLACES[name]]

        self._count(value("judge_outcome"), value("judge_reason"), value("judge_service_s"))
        self.prompt_tokens += value("judge_prompt_tokens")
        self.completion_tokens += value("judge_completion_tokens")
        self.cached += value("judge_cached")

    def merge(self, other: Tally) -> None:
        """Count all that another one has counted."""
        self.outcomes.update(other.outcomes)
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cached += other.cached
        self._seconds.update(other._seconds)
        for reason, count in other.reasons.items():
            self._because(reason, count)

    def quantile(self, share: float) -> float | None:
        """Seconds that the judge took at most for this share of the rows that it judged; None if it judged none."""
        left = share * self._seconds.total()
        for bucket in sorted(self._seconds):
            left -= self._seconds[bucket]
            if left <= 0:
                return math.exp((bucket + 0.5) / _STEPS)
        return None

    def to_dict(self) -> dict[str, Any]:
        """Of JSON's types."""
        return {
            "outcomes": dict(self.outcomes),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached": self.cached,
            "reasons": dict(self.reasons),
            "seconds": {str(bucket): count for bucket, count in self._seconds.items()},
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Tally:
        """The reverse."""
        made = cls()
        made.outcomes.update(said["outcomes"])
        made.prompt_tokens = said["prompt_tokens"]
        made.completion_tokens = said["completion_tokens"]
        made.cached = said["cached"]
        made.reasons.update(said["reasons"])
        made._seconds.update({int(bucket): count for bucket, count in said["seconds"].items()})
        return made

    def _count(self, outcome: str, reason: str, seconds: float) -> None:
        self.outcomes[outcome] += 1
        if outcome == "judged":
            if seconds > 0:
                self._seconds[math.floor(math.log(max(seconds, _LEAST_S)) * _STEPS)] += 1
        elif outcome in _NOT_JUDGED:
            self._because(reason, 1)

    def _because(self, reason: str, count: int) -> None:
        if reason in self.reasons or len(self.reasons) < self._MOST_REASONS:
            self.reasons[reason] += count
