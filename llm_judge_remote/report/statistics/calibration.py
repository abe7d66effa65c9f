"""Whether a score of 0.7 means right in 7 of 10, and what a threshold makes of the scores."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from llm_judge_remote.report.values import BoolArray, FloatArray

__all__ = ["Bin", "Confusion", "brier", "calibration_bins", "calibration_error", "confusion", "wilson"]

_Z = 1.959963984540054  # the standard normal's 97.5 % point


class Bin(NamedTuple):
    """Rows whose scores lie in a tenth of the range.

    Attributes:
        low: Where the bin begins; the last one holds 1.0 too.
        high: Where it ends.
        rows: How many.
        score: Their mean score.
        right: Share of right ones among them.
        right_low: Of its 95 % interval.
        right_high: The same.
    """

    low: float
    high: float
    rows: int
    score: float
    right: float
    right_low: float
    right_high: float


class Confusion(NamedTuple):
    """Rows by label, and by whether their score reaches a threshold."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def rows(self) -> int:
        """All together."""
        return sum(self)

    @property
    def accuracy(self) -> float:
        """Share that is on the right side."""
        return _ratio(self.true_positives + self.true_negatives, self.rows)

    @property
    def precision(self) -> float:
        """Share of right ones among those at or above the threshold."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the right ones that reach it."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def false_positive_rate(self) -> float:
        """Share of the wrong ones that reach it."""
        return _ratio(self.false_positives, self.false_positives + self.true_negatives)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall (van Rijsbergen, 1979)."""
        return _ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)

    @property
    def kappa(self) -> float:
        """Agreement beyond chance (Cohen, 1960): 1 is perfect, 0 what chance alone would give."""
        rows = self.rows
        above, right = self.true_positives + self.false_positives, self.true_positives + self.false_negatives
        chance = _ratio(above * right + (rows - above) * (rows - right), rows * rows)
        return _ratio(self.accuracy - chance, 1 - chance)


def calibration_bins(scores: FloatArray, rights: BoolArray, bins: int = 10) -> tuple[Bin, ...]:
    """The reliability diagram's points: bins of equal width over [0, 1], those without rows left out.

    DeGroot & Fienberg (1983), with Wilson's interval for the share of right ones.
    """
    place = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    total = np.bincount(place, weights=scores, minlength=bins)
    right = np.bincount(place, weights=rights, minlength=bins)
    return tuple(
        Bin(
            index / bins,
            (index + 1) / bins,
            int(rows[index]),
            float(total[index] / rows[index]),
            float(right[index] / rows[index]),
            *wilson(int(right[index]), int(rows[index])),
        )
        for index in np.flatnonzero(rows)
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Expected calibration error: the mean distance of score and share of right ones, bins weighing their rows.

    Naeini et al. (2015), "Obtaining well calibrated probabilities using Bayesian binning"; Guo et al. (2017).
    """
    rows = sum(each.rows for each in bins)
    return _ratio(sum(each.rows * abs(each.score - each.right) for each in bins), rows)


def brier(scores: FloatArray, rights: BoolArray) -> float:
    """The mean squared distance of score and label (Brier, 1950): 0 is best, 0.25 what a score of 0.5 for all has."""
    return float(np.mean((scores - rights) ** 2)) if len(scores) else math.nan


def confusion(scores: FloatArray, rights: BoolArray, threshold: float) -> Confusion:
    """Rows by label and by score: at or above `threshold` counts as taken for right."""
    above = scores >= threshold
    tp, fp = int(np.sum(above & rights)), int(np.sum(above & ~rights))
    fn = int(np.sum(rights)) - tp
    return Confusion(tp, fp, fn, len(scores) - tp - fp - fn)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, 1927), in [0, 1]."""
    if not trials:
        return 0.0, 1.0
    p, z2 = successes / trials, _Z * _Z
    middle = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials)) / (1 + z2 / trials)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
