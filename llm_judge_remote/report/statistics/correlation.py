"""Whether two judges put the same rows in the same order."""

from __future__ import annotations

import math

import numpy as np

from llm_judge_remote.report.values import FloatArray, IntArray

__all__ = ["kendall", "midranks", "pearson", "spearman"]


def midranks(numbers: FloatArray) -> FloatArray:
    """Ranks from 1; equal numbers share the mean of their ranks."""
    _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: FloatArray = (ends - (counts - 1) / 2)[place]
    return ranks


def pearson(one: FloatArray, other: FloatArray) -> float | None:
    """Pearson's r; None where one of the two does not vary."""
    if not len(one):
        return None
    x, y = one - one.mean(), other - other.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / scale if scale else None


def spearman(one: FloatArray, other: FloatArray) -> float | None:
    """Spearman's rho: Pearson's r of the midranks, which is its definition where there are ties (Kendall, 1948)."""
    return pearson(midranks(one), midranks(other))


def kendall(one: FloatArray, other: FloatArray) -> float | None:
    """Kendall's tau-b (Kendall, 1945), exact, with Knight's counting of exchanges (1966): about n · log2(n) steps.

    Returns:
        In [-1, 1]; None where one of the two does not vary.
    """
    _, x, x_counts = np.unique(one, return_inverse=True, return_counts=True)
    _, y, y_counts = np.unique(other, return_inverse=True, return_counts=True)
    pairs = _pairs(np.array([len(one)]))
    x_ties, y_ties = _pairs(x_counts), _pairs(y_counts)
    both = np.unique(x * np.int64(len(y_counts)) + y, return_counts=True)[1]
    scale = math.sqrt(float(pairs - x_ties)) * math.sqrt(float(pairs - y_ties))
    if not scale:
        return None
    discordant = _inversions(y[np.lexsort((y, x))])
    return float(pairs - x_ties - y_ties + _pairs(both) - 2 * discordant) / scale


def _pairs(counts: IntArray) -> int:
    return int(np.sum(counts.astype(np.int64) * (counts.astype(np.int64) - 1) // 2))


def _inversions(ranks: IntArray) -> int:
    """Pairs of which the earlier one is greater; bit by bit from the highest, as a radix sort meets them.

    Two ranks that differ first in a bit are an inversion where the earlier one has it set. The ranks are kept stably
    sorted by the bits above, so those that agree in them stand together.
    """
    found = 0
    for bit in reversed(range(int(ranks.max(initial=0)).bit_length())):
        prefix = ranks >> (bit + 1)
        is_set = (ranks >> bit) & 1
        set_before = np.cumsum(is_set) - is_set
        starts = np.flatnonzero(np.diff(prefix, prepend=-1))
        of_prefix = np.repeat(set_before[starts], np.diff(starts, append=len(ranks)))
        found += int(np.sum((set_before - of_prefix)[is_set == 0]))
        ranks = ranks[np.argsort(ranks >> bit, kind="stable")]
    return found
