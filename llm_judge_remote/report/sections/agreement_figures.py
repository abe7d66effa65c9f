"""What agreement looks like: ROC, calibration, the scores of right and wrong candidates, and a confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llm_judge_remote.report import formats
from llm_judge_remote.report.plots.axis import share_axis, unit_axis
from llm_judge_remote.report.plots.figure import Colour, Dot, Dots, Figure, Line, Mark, Whisker, Whiskers
from llm_judge_remote.report.sections.histogram import Layer, histogram
from llm_judge_remote.report.sections.scores import score_axis
from llm_judge_remote.report.statistics.calibration import Bin, Confusion
from llm_judge_remote.report.statistics.roc import Area, Roc
from llm_judge_remote.report.table import Column, Table, table

if TYPE_CHECKING:
    from llm_judge_remote.report.sections.agreement import Labelled

__all__ = ["by_label_figure", "calibration_figure", "confusion_table", "roc_figure"]

_DIAGONAL = Line("", "guide", ((0.0, 0.0), (1.0, 1.0)), is_dashed=True)
_COLOURS: tuple[Colour, ...] = ("first", "second", "third")


def roc_figure(curves: dict[str, Roc], areas: dict[str, Area]) -> Figure:
    """One curve for each set of rows."""
    marks: list[Mark] = [_DIAGONAL]
    rows = []
    for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
        points = tuple(zip(curve.false_positives.tolist(), curve.true_positives.tolist(), strict=True))
        marks.append(Line(f"{name}: AUC {formats.decimal(areas[name].value)}", colour, points))
        step = max(len(points) // 40, 1)
        shown = sorted({*range(0, len(points), step), len(points) - 1})
        rows += [(name, "any" if index == 0 else float(curve.thresholds[index]), *points[index]) for index in shown]
    columns = [
        Column("rows"),
        Column("score from", formats.decimal),
        Column("false", formats.share),
        Column("true", formats.share),
    ]
    first = next(iter(areas))
    area = areas[first]
    says = (
        f"A right candidate scores above a wrong one with a chance of {formats.decimal(area.value)} "
        f"(95 %: {formats.decimal(area.low)} to {formats.decimal(area.high)}; {first}). The dashed line is a coin's."
    )
    title = "ROC curve"
    x = share_axis("false positive rate (% of the wrong ones)")
    y = share_axis("true positive rate (% of the right ones)")
    return Figure("roc", title, x, y, tuple(marks), says, table(f"{title}: points", columns, rows), is_square=True)


def calibration_figure(bins: tuple[Bin, ...], error: float, rows: str) -> Figure:
    """The share of right ones against the score."""
    most = max(each.rows for each in bins)
    dots = tuple(
        Dot(
            each.score,
            each.right,
            each.rows / most,
            f"score {each.score:.2f}: {formats.share(each.right)} right of {each.rows:,} rows",
        )
        for each in bins
    )
    marks: tuple[Mark, ...] = (
        _DIAGONAL,
        Whiskers("", "first", tuple(Whisker(each.score, each.right_low, each.right_high) for each in bins)),
        Line("", "first", tuple((each.score, each.right) for each in bins)),
        Dots("mean of a tenth of the range, with 95 % interval; area: rows", "first", dots, radius=9.0),
    )
    shown = [(f"{each.low:.1f} to {each.high:.1f}", *each[2:]) for each in bins]
    names = ("mean score", "right", "95 % from", "to")
    forms = (formats.decimal, formats.share, formats.share, formats.share)
    columns = [Column("score"), Column("rows", formats.count), *map(Column, names, forms)]
    over = sum(each.rows * (each.score - each.right) for each in bins) / sum(each.rows for each in bins)
    tends = "higher than" if over > 0.02 else "lower than" if over < -0.02 else "about as high as"
    says = (
        f"On average scores are {tends} the share of right candidates; expected calibration error {error:.3f} ({rows})."
    )
    title = "Calibration"
    y = share_axis("labelled right (% of rows)")
    return Figure(
        "calibration",
        title,
        unit_axis("score"),
        y,
        marks,
        says,
        table(f"{title}: bins", columns, shown),
        is_square=True,
    )


def by_label_figure(rows: Labelled, name: str, threshold: float) -> Figure:
    """The scores of right and of wrong candidates, on top of each other."""
    axis = score_axis(rows.scores)
    edges = np.linspace(axis.low, axis.high, 21)
    layers = [
        Layer("labelled right", "ruled", rows.scores[rows.rights]),
        Layer("labelled wrong", "failed", rows.scores[~rows.rights]),
    ]
    means = [formats.decimal(float(layer.values.mean())) for layer in layers]
    says = f"Mean score of right candidates {means[0]}, of wrong ones {means[1]} ({name}); dashed: {threshold:g}."
    made = histogram("scores-by-label", "Scores by label", axis, edges, layers, says)
    guide = Line("", "guide", ((threshold, made.y.low), (threshold, made.y.high)), is_dashed=True)
    return Figure(made.key, made.title, made.x, made.y, (*made.marks, guide), made.says, made.data)


def confusion_table(found: Confusion, threshold: float, rows: str) -> Table:
    """Rows by label and score."""
    columns = [Column("label"), Column(f"score ≥ {threshold:g}", str), Column(f"score < {threshold:g}", str)]
    right = found.true_positives + found.false_negatives
    wrong = found.false_positives + found.true_negatives
    cells = [
        ("right", _of(found.true_positives, right), _of(found.false_negatives, right)),
        ("wrong", _of(found.false_positives, wrong), _of(found.true_negatives, wrong)),
    ]
    return table(f"Confusion at the threshold {threshold:g}, {rows}", columns, cells)


def _of(part: int, whole: int) -> str:
    return f"{part:,} ({formats.share(part / whole if whole else None)})"
