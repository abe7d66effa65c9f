"""Several scores of one row made into one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import fmean, median
from typing import NamedTuple

__all__ = ["REDUCTIONS", "Votes", "reduce_votes"]

REDUCTIONS = ("mean", "median", "majority")

_DIGITS = 9  # 7/10 and 0.7 are one vote, whatever their last bits


class Votes(NamedTuple):
    """What several votes come to.

    Attributes:
        score: In [0, 1].
        spread: Population standard deviation of the votes, in [0, 0.5]; 0 for a single one.
    """

    score: float
    spread: float


def reduce_votes(scores: Sequence[float], how: str) -> Votes:
    """One score from several of the same row.

    Args:
        scores: At least one, each in [0, 1].
        how: `mean`, `median` (of an even number, the mean of the two in the middle), or `majority`: the most frequent
            score, and of several that are equally frequent their mean, so that no order of the votes matters.

    Raises:
        ValueError: There are no scores, or there is no such way to reduce them.
    """
    if not scores:
        msg = "no votes to reduce"
        raise ValueError(msg)
    if how == "mean":
        score = fmean(scores)
    elif how == "median":
        score = median(scores)
    elif how == "majority":
        score = _most_frequent(scores)
    else:
        msg = f"votes are reduced by {', '.join(REDUCTIONS)}, not {how!r}"
        raise ValueError(msg)
    centre = fmean(scores)
    spread = math.sqrt(fmean([(vote - centre) ** 2 for vote in scores]))
    # A mean can lie outside of what it is the mean of, by its last bit.
    return Votes(min(max(score, min(scores)), max(scores)), spread)


def _most_frequent(scores: Sequence[float]) -> float:
    counts = Counter(round(score, _DIGITS) for score in scores)
    most = max(counts.values())
    return fmean(score for score, count in counts.items() if count == most)
