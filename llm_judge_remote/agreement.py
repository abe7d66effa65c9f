"""How well scores tell right candidates from wrong ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Auc", "area", "auc"]


class Auc(NamedTuple):
    """The area under the ROC curve, and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def area(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """The chance that a right candidate scores above a wrong one, equal scores counting half (Mann-Whitney U).

    0.5 when all candidates are right, or all wrong.
    """
    ordered = sorted(zip(scores, labels, strict=True))
    rights = sum(labels)
    wrongs = len(labels) - rights
    if not (rights and wrongs):
        return 0.5
    below, total, start = 0, 0.0, 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and ordered[end][0] == ordered[start][0]:
            end += 1
        level_rights = sum(label for _, label in ordered[start:end])
        level_wrongs = end - start - level_rights
        total += level_rights * (below + level_wrongs / 2)
        below += level_wrongs
        start = end
    return total / (rights * wrongs)


def auc(scores: Sequence[float], labels: Sequence[bool], group: int, *, draws: int = 1_000, seed: int = 0) -> Auc:
    """The area, with a percentile interval from a bootstrap over groups.

    Args:
        scores: Of the candidates.
        labels: Whether they are right.
        group: Candidates of one problem, one after the other: they are drawn together, as they are not independent.
        draws: Bootstrap samples.
        seed: Of the draws.
    """
    chance = random.Random(seed)  # noqa: S311 (no secret)
    starts = range(0, len(scores), group)
    areas = []
    for _ in range(draws):
        picked = [index for start in chance.choices(starts, k=len(starts)) for index in range(start, start + group)]
        picked = [index for index in picked if index < len(scores)]
        areas.append(area([scores[index] for index in picked], [labels[index] for index in picked]))
    areas.sort()
    return Auc(area(scores, labels), areas[int(0.025 * draws)], areas[int(0.975 * draws) - 1])
