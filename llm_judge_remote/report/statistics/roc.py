"""How well scores rank right candidates above wrong ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llm_judge_remote.report.values import BoolArray, FloatArray, IntArray

__all__ = ["DRAWS", "Area", "Roc", "area_under_roc", "bootstrap_areas", "interval", "roc_curve"]

DRAWS = 1_000
_FEWEST_GROUPS = 5  # of which draws say anything about others
_MOST_BLOCKS = 2_000
_MOST_LEVELS = 512


class Area(NamedTuple):
    """An area under the ROC curve with its 95 % interval."""

    value: float
    low: float
    high: float


class Roc(NamedTuple):
    """A ROC curve from (0, 0) to (1, 1).

    Attributes:
        false_positives: Share of the wrong ones at or above each threshold.
        true_positives: Share of the right ones.
        thresholds: Scores, falling; the first is infinite.
    """

    false_positives: FloatArray
    true_positives: FloatArray
    thresholds: FloatArray


def area_under_roc(scores: FloatArray, rights: BoolArray) -> float | None:
    """The chance that a right candidate scores above a wrong one, equal scores counting half.

    By ranks, exactly: the Mann-Whitney U statistic over the number of pairs (Hanley & McNeil, 1982, "The meaning and
    use of the area under a receiver operating characteristic (ROC) curve", Radiology 143).

    Returns:
        None when all candidates are right, or all wrong.
    """
    _, right, wrong = _by_level(scores, rights)
    if not (right.sum() and wrong.sum()):
        return None
    return float(_areas(right[None, :], wrong[None, :])[0])


def roc_curve(scores: FloatArray, rights: BoolArray, most: int = 200) -> Roc:
    """Shares of true and false positives at every score, or at `most` of them, spread over the rows (Fawcett, 2006)."""
    levels, right, wrong = _by_level(scores, rights)
    tps, fps = np.cumsum(right[::-1]), np.cumsum(wrong[::-1])
    kept = np.arange(len(levels))
    if len(levels) > most:
        reached = np.linspace(0, len(scores), most)
        kept = np.unique(np.minimum(np.searchsorted(tps + fps, reached), len(levels) - 1))
    start = np.zeros(1)
    return Roc(
        np.concatenate([start, fps[kept] / max(wrong.sum(), 1)]),
        np.concatenate([start, tps[kept] / max(right.sum(), 1)]),
        np.concatenate([np.full(1, np.inf), levels[::-1][kept]]),
    )


def bootstrap_areas(scores: FloatArray, rights: BoolArray, groups: IntArray | None, seed: int = 0) -> FloatArray:
    """`DRAWS` areas of bootstrap samples, in which whole groups are drawn, as candidates of one problem are alike.

    The nonparametric bootstrap (Efron & Tibshirani, 1993) over clusters (Field & Welsh, 2007). Its time and memory are
    bounded whatever the number of rows: a sample of groups is a vector of multiplicities, and all areas come from one
    product of matrices, (draws, groups) by (groups, levels of the score). More than 2,000 groups are put together at
    random into 2,000 blocks that are drawn whole (the random groups of survey statistics: Wolter, 2007), and more than
    512 levels are cut to 512 by rank; with fewer of either it is the plain bootstrap.

    Args:
        scores: Of the candidates.
        rights: Whether they are right.
        groups: The group of each, negative for one of its own; None when each is its own.
        seed: The same seed with the same groups draws the same, so that areas of two judges can be subtracted.

    Returns:
        Shape (draws,); NaN where a sample has only right ones or only wrong ones, and for fewer than 5 groups.
    """
    chance = np.random.Generator(np.random.PCG64(seed))
    blocks, count = _blocks(len(scores), groups, chance)
    if count < _FEWEST_GROUPS:
        return np.full(DRAWS, np.nan)
    _, level = np.unique(scores, return_inverse=True)
    levels = int(level.max(initial=0)) + 1
    if levels > _MOST_LEVELS:
        level = (np.argsort(np.argsort(scores, kind="stable"), kind="stable") * _MOST_LEVELS) // len(scores)
        levels = _MOST_LEVELS
    drawn = chance.multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(np.float64)
    cells = blocks * levels + level
    right = np.bincount(cells, weights=rights, minlength=count * levels).reshape(count, levels)
    wrong = np.bincount(cells, weights=~rights, minlength=count * levels).reshape(count, levels)
    return _areas(drawn @ right, drawn @ wrong)


def interval(draws: FloatArray, share: float = 0.95) -> tuple[float, float] | None:
    """The percentile interval of bootstrap draws; None where fewer than half of the draws say anything."""
    sound = draws[np.isfinite(draws)]
    if 2 * len(sound) < len(draws) or not len(sound):
        return None
    low, high = np.quantile(sound, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def _by_level(scores: FloatArray, rights: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    levels, level = np.unique(scores, return_inverse=True)
    right = np.bincount(level, weights=rights, minlength=len(levels)).astype(np.float64)
    return levels, right, np.bincount(level, minlength=len(levels)).astype(np.float64) - right


def _areas(right: FloatArray, wrong: FloatArray) -> FloatArray:
    """Of each row of two matrices (samples, levels rising)."""
    below = np.cumsum(wrong, axis=1) - wrong / 2
    pairs = right.sum(axis=1) * wrong.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        areas: FloatArray = np.where(pairs > 0, (right * below).sum(axis=1) / pairs, np.nan)
    return areas


def _blocks(rows: int, groups: IntArray | None, chance: np.random.Generator) -> tuple[IntArray, int]:
    """The block of each row, and how many there are."""
    if groups is None:
        own = np.arange(rows)
    else:
        alone = groups < 0
        own = np.where(alone, groups.max(initial=0) + 1 + np.cumsum(alone), groups)
        own = np.unique(own, return_inverse=True)[1]
    count = int(own.max(initial=-1)) + 1
    if count <= _MOST_BLOCKS:
        return own, max(count, 1)
    return (chance.permutation(count) % _MOST_BLOCKS)[own], _MOST_BLOCKS
