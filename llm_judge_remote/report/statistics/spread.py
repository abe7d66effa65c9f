"""How much the scores of a group differ: what a policy gradient over groups can learn from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llm_judge_remote.report.values import BoolArray, FloatArray, IntArray

__all__ = ["GroupSpread", "group_spread"]


class GroupSpread(NamedTuple):
    """Groups of two rows and more, an element for each.

    Attributes:
        size: Rows.
        mean: Of their scores.
        std: Sample standard deviation (n - 1) of their scores, by which GRPO divides (DeepSeekMath, arXiv 2402.03300).
        is_equal: Whether all scores are the same: every advantage of such a group is 0.
        alone: Groups of a single row, which are left out.
    """

    size: IntArray
    mean: FloatArray
    std: FloatArray
    is_equal: BoolArray
    alone: int


def group_spread(scores: FloatArray, groups: IntArray) -> GroupSpread:
    """The spread within each group.

    Args:
        scores: Finite.
        groups: The group of each row, from 0.
    """
    order = np.argsort(groups, kind="stable")
    ordered, owner = scores[order], groups[order]
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    if not len(starts):
        nothing = np.zeros(0)
        return GroupSpread(np.zeros(0, dtype=np.int64), nothing, nothing, np.zeros(0, dtype=np.bool_), 0)
    size = np.diff(starts, append=len(owner))
    mean = np.add.reduceat(ordered, starts) / size
    squares = np.add.reduceat((ordered - np.repeat(mean, size)) ** 2, starts)
    std = np.sqrt(squares / np.maximum(size - 1, 1))
    is_equal = np.maximum.reduceat(ordered, starts) == np.minimum.reduceat(ordered, starts)
    kept = size > 1
    return GroupSpread(size[kept], mean[kept], std[kept], is_equal[kept], int(np.sum(~kept)))
