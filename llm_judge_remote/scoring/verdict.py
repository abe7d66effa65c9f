"""What reading a reply comes to: a verdict and where it stands, or why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["NoVerdict", "ScoreRange", "Verdict", "clip"]

_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class ScoreRange:
    """The scale that a prompt asks the judge to use.

    Attributes:
        low: The score of the worst candidate.
        high: The score of the best one.

    Raises:
        ValueError: A bound is not finite, or `low` is not below `high`.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a range that has no inside."""
        # The difference of two finite bounds can overflow, and of two tiny ones vanish.
        if not (math.isfinite(self.low) and math.isfinite(self.high) and 0.0 < self.high - self.low < math.inf):
            msg = f"a score range is two finite numbers, the lower first, not {self.low!r} and {self.high!r}"
            raise ValueError(msg)

    def normalise(self, value: float) -> float | None:
        """The value's place in the range, in [0, 1]; None outside of it, or if it is no number.

        A value that lies outside by no more than a thousandth of the range, as rounding leaves it, counts as the end.
        """
        share = (value - self.low) / (self.high - self.low)
        if not -_ROUNDING <= share <= 1.0 + _ROUNDING:  # NaN is not between anything
            return None
        return float(min(1.0, max(0.0, share)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The reply gives a score.

    Attributes:
        score: In [0, 1].
        start: Where the number or the word that states it begins in the reply as it was given, in characters.
        end: Where it ends: `reply[start:end]` is what was read.
    """

    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class NoVerdict:
    """The reply gives no score.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


def clip(text: str) -> str:
    """The first characters of a text, printable, for a reason."""
    text = text.strip()
    return repr(text if len(text) <= 40 else text[:39] + "…")
