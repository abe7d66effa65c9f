"""Which rows are worth reading: those that failed, and the extremes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from llm_judge_remote.report import formats
from llm_judge_remote.report.matching import Match
from llm_judge_remote.report.scored import Kind, Scored
from llm_judge_remote.report.sections.comparison import both_judged
from llm_judge_remote.report.values import BoolArray, FloatArray

__all__ = ["Pick", "pick_rows"]


class Pick(NamedTuple):
    """Some rows of one sort.

    Attributes:
        key: Its id on the page, and its name in `--json`.
        title: What they have in common.
        of: How many rows there are of the sort.
        rows: Numbers of the rows to read, the most telling first.
        partners: With a second judge, the numbers of its rows; else empty.
    """

    key: str
    title: str
    of: int
    rows: tuple[int, ...]
    partners: tuple[int, ...] = ()


def pick_rows(scored: Scored, threshold: float, most: int, other: Scored | None, match: Match | None) -> list[Pick]:
    """Up to `most` rows of each sort; sorts without any are left out. Of equal rows some are drawn, always the same.

    Args:
        scored: The rows.
        threshold: Score from which on a candidate counts as taken for right.
        most: Rows of a sort.
        other: A second judge's rows, if there are any.
        match: Which of them are the same.
    """
    chance = np.random.Generator(np.random.PCG64(0)).random(scored.rows)
    picks: list[Pick] = []

    def add(key: str, title: str, chosen: BoolArray, order: FloatArray) -> None:
        found = np.flatnonzero(chosen)
        first = found[np.lexsort((chance[found], order[found]))[:most]]
        if len(first):
            picks.append(Pick(key, title, len(found), tuple(first.tolist())))

    if other is not None and match is not None:
        picks += _disagreements(scored, other, match, most, chance)
    nothing = np.zeros(scored.rows)
    judged = scored.of_kind(Kind.JUDGED) & scored.has_score
    score = scored.score
    add("failed", "Failed: neither the judge nor a fallback gave a score", scored.kind == Kind.FAILED, nothing)
    add("fallback", "Not judged: the score is a fallback's", scored.kind == Kind.FALLBACK, nothing)
    if scored.label is not None:
        taken = judged & (scored.label == 0) & (score >= threshold)
        add("false_positives", f"Labelled wrong, and scored {threshold:g} or more", taken, -score)
        missed = judged & (scored.label == 1) & (score < threshold)
        add("false_negatives", f"Labelled right, and scored below {threshold:g}", missed, score)
    middle = float(np.median(score[judged])) if judged.any() else 0.0
    add("lowest", "Lowest scores", judged & (score <= middle), score)
    add("highest", "Highest scores", judged & (score >= middle), -score)
    latency = scored.numbers.get("judge_latency_s")
    if latency is not None:
        slow = judged & (latency > 0)
        limit = float(np.quantile(latency[slow], 0.99)) if slow.any() else 0.0
        words = f"Slowest: {formats.seconds(limit)} and more, the slowest 1 % of the judged rows"
        add("slowest", words, slow & (latency >= limit), -latency)
    return picks


def _disagreements(one: Scored, other: Scored, match: Match, most: int, chance: npt.NDArray[np.float64]) -> list[Pick]:
    chosen = np.flatnonzero(both_judged(one, other, match))
    gaps = other.score[match.other[chosen]] - one.score[match.one[chosen]]
    made = []
    ways: tuple[tuple[str, str, Callable[[FloatArray], FloatArray]], ...] = (
        ("b_higher", "B scores highest above A", lambda found: -found),
        ("a_higher", "A scores highest above B", lambda found: found),
    )
    for key, title, order in ways:
        own = np.flatnonzero(order(gaps) < 0)
        first = own[np.lexsort((chance[chosen[own]], order(gaps[own])))[:most]]
        if len(first):
            pairs = chosen[first]
            rows, partners = tuple(match.one[pairs].tolist()), tuple(match.other[pairs].tolist())
            made.append(Pick(key, title, len(own), rows, partners))
    return made
