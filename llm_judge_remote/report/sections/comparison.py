"""Two judges' scores of the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from llm_judge_remote.report import formats
from llm_judge_remote.report.matching import Match
from llm_judge_remote.report.plots.axis import linear_axis
from llm_judge_remote.report.plots.figure import Dot, Dots, Figure, Line
from llm_judge_remote.report.scored import Kind, Scored
from llm_judge_remote.report.section import Section, Tile
from llm_judge_remote.report.sections.histogram import Layer, histogram
from llm_judge_remote.report.sections.scores import score_axis
from llm_judge_remote.report.statistics.calibration import Confusion
from llm_judge_remote.report.statistics.correlation import kendall, pearson, spearman
from llm_judge_remote.report.statistics.roc import area_under_roc, bootstrap_areas, interval
from llm_judge_remote.report.table import Column, Table, table
from llm_judge_remote.report.values import NO_LABEL, BoolArray, FloatArray

__all__ = ["both_judged", "comparison"]

_TITLE = "Judge A against judge B"
_CELLS = 20
_NEAR = 0.1


def both_judged(one: Scored, other: Scored, match: Match) -> BoolArray:
    """Which pairs have a score of both judges' own."""
    own = (one.of_kind(Kind.JUDGED) & one.has_score)[match.one]
    both: BoolArray = own & (other.of_kind(Kind.JUDGED) & other.has_score)[match.other]
    return both


def comparison(one: Scored, other: Scored, match: Match, threshold: float) -> Section:
    """Scatter, rank correlation and differences of the pairs that both judges judged.

    Args:
        one: Judge A's rows.
        other: Judge B's.
        match: Which are the same.
        threshold: Score from which on a candidate counts as taken for right.
    """
    chosen = both_judged(one, other, match)
    a, b = one.score[match.one[chosen]], other.score[match.other[chosen]]
    names = f"A is {one.file}, B is {other.file}."
    if len(a) < 2:
        return Section("comparison", _TITLE, missing=f"{names} Fewer than two rows were judged by both.")
    gaps = b - a
    found: dict[str, Any] = {
        "a": one.file,
        "b": other.file,
        "matched": len(match.one),
        "matched_how": match.how,
        "without_partner": match.left_out,
        "both_judged": len(a),
        "spearman": spearman(a, b),
        "kendall": kendall(a, b),
        "pearson": pearson(a, b),
        "mean_a": float(a.mean()),
        "mean_b": float(b.mean()),
        "mean_difference": float(gaps.mean()),
        "mean_absolute_difference": float(np.abs(gaps).mean()),
        "share_within_0.1": float(np.mean(np.abs(gaps) <= _NEAR + 1e-9)),
    }
    above_a, above_b = a >= threshold, b >= threshold
    sides = Confusion(
        int(np.sum(above_a & above_b)),
        int(np.sum(~above_a & above_b)),
        int(np.sum(above_a & ~above_b)),
        int(np.sum(~above_a & ~above_b)),
    )
    found |= {"threshold": threshold, "same_side": sides.accuracy, "kappa": formats.plain_number(sides.kappa)}
    areas = _areas(one, match, chosen, a, b)
    found |= {"auc": areas}
    tiles = (
        Tile("Spearman's rank correlation", formats.decimal(found["spearman"])),
        Tile("Kendall's tau-b", formats.decimal(found["kendall"])),
        Tile(
            "Same side of the threshold",
            formats.share(sides.accuracy),
            f"at {threshold:g}; kappa {formats.decimal(sides.kappa, 2)}",
        ),
        Tile(
            "Mean difference, B − A",
            f"{gaps.mean():+.3f}",
            f"{formats.decimal(found['mean_absolute_difference'])} without sign",
        ),
    )
    tables = [_sides(sides, threshold), *([_area_table(areas)] if areas else [])]
    lead = f"{names} {formats.rows(len(a))} that both judged, matched {match.how}"
    lead += f"; {formats.rows(match.left_out)} in one file only." if match.left_out else "."
    figures = (_scatter(a, b, found["spearman"]), _differences(gaps))
    return Section("comparison", _TITLE, lead, tiles, figures, tuple(tables), numbers=found)


def _scatter(a: FloatArray, b: FloatArray, rho: float | None) -> Figure:
    """Circles whose areas are numbers of rows: the same picture for a hundred rows and for a million."""
    both = np.concatenate([a, b])
    x, y = score_axis(both, "score of judge A"), score_axis(both, "score of judge B")
    width = (x.high - x.low) / _CELLS
    column, row = (np.rint((each - x.low) / width).astype(np.int64) for each in (a, b))
    cells, counts = np.unique(column * (_CELLS + 1) + row, return_counts=True)
    most = int(counts.max())
    found = [
        (float(x.low + width * (cell // (_CELLS + 1))), float(x.low + width * (cell % (_CELLS + 1))), int(count))
        for cell, count in zip(cells.tolist(), counts.tolist(), strict=True)
    ]
    dots = tuple(
        Dot(at, up, count / most, f"{count:,} rows: A about {at:.2f}, B about {up:.2f}") for at, up, count in found
    )
    guide = Line("", "guide", ((x.low, x.low), (x.high, x.high)), is_dashed=True)
    title = "Scores of A and B"
    says = f"Spearman's rank correlation is {formats.decimal(rho)}. A circle's area is its number of rows."
    columns = [Column("A", formats.decimal), Column("B", formats.decimal), Column("rows", formats.count)]
    largest = sorted(found, key=lambda each: -each[2])[:60]
    data = table(f"{title}: the {len(largest)} circles with most rows", columns, largest)
    return Figure("scatter", title, x, y, (guide, Dots("rows", "first", dots, radius=8.0)), says, data, is_square=True)


def _differences(gaps: FloatArray) -> Figure:
    reach = max(float(np.abs(gaps).max()), 0.1)
    axis = linear_axis("score of B − score of A", -reach, reach)
    edge = max(-axis.low, axis.high)
    edges = np.linspace(-edge, edge, 42)  # an odd number of bins: no difference is in the middle of one
    axis = linear_axis(axis.label, -edge, edge)
    says = f"B gives {abs(gaps.mean()):.3f} {'more' if gaps.mean() >= 0 else 'less'} than A on average."
    layers = [Layer("rows", "first", gaps)]
    return histogram("differences", "Difference of the scores", axis, edges, layers, says, as_share=True)


def _sides(sides: Confusion, threshold: float) -> Table:
    columns = [
        Column("judge A"),
        Column(f"B ≥ {threshold:g}", formats.count),
        Column(f"B < {threshold:g}", formats.count),
    ]
    rows = [
        (f"A ≥ {threshold:g}", sides.true_positives, sides.false_negatives),
        (f"A < {threshold:g}", sides.false_positives, sides.true_negatives),
    ]
    return table(f"Rows by the side of the threshold {threshold:g}", columns, rows)


def _areas(one: Scored, match: Match, chosen: BoolArray, a: FloatArray, b: FloatArray) -> dict[str, Any]:
    """Both judges' AUC over the same rows, and the interval of the difference: the same groups are drawn for both."""
    if one.label is None:
        return {}
    label = one.label[match.one[chosen]]
    known = label != NO_LABEL
    rights = label[known] == 1
    if rights.all() or not rights.any():
        return {}
    groups = None if one.group is None else one.group[match.one[chosen]][known]
    found: dict[str, Any] = {}
    draws = []
    for name, scores in (("a", a[known]), ("b", b[known])):
        draws.append(bootstrap_areas(scores, rights, groups))
        low, high = interval(draws[-1]) or (None, None)
        found[name] = {"auc": area_under_roc(scores, rights), "low": low, "high": high}
    low, high = interval(draws[1] - draws[0]) or (None, None)
    found["b_minus_a"] = {"auc": found["b"]["auc"] - found["a"]["auc"], "low": low, "high": high}
    return found


def _area_table(areas: dict[str, Any]) -> Table:
    names = {"a": "A", "b": "B", "b_minus_a": "B − A"}
    rows = [(words, *areas[name].values()) for name, words in names.items()]
    columns = [Column("judge"), *(Column(name, formats.decimal) for name in ("AUC", "95 % from", "to"))]
    return table("Agreement with the labels, on the rows that both judged", columns, rows)
