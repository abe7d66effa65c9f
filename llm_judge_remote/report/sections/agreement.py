"""Whether the scores agree with a column of labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from llm_judge_remote.report import formats
from llm_judge_remote.report.scored import Kind, Scored
from llm_judge_remote.report.section import Section, Tile
from llm_judge_remote.report.sections.agreement_figures import (
    by_label_figure,
    calibration_figure,
    confusion_table,
    roc_figure,
)
from llm_judge_remote.report.sections.scores import source_name
from llm_judge_remote.report.statistics.calibration import (
    Confusion,
    brier,
    calibration_bins,
    calibration_error,
    confusion,
)
from llm_judge_remote.report.statistics.roc import Area, area_under_roc, bootstrap_areas, interval, roc_curve
from llm_judge_remote.report.table import Column, Table, table
from llm_judge_remote.report.values import NO_LABEL, BoolArray, FloatArray, IntArray

__all__ = ["Labelled", "agreement", "area_of", "labelled"]

_MOST_SOURCES = 12
_TITLE = "Agreement with the labels"


class Labelled(NamedTuple):
    """Rows with a score and a label.

    Attributes:
        scores: Of the rows.
        rights: Their labels.
        groups: Rows of one group are drawn together in the bootstrap; None where there are no groups.
    """

    scores: FloatArray
    rights: BoolArray
    groups: IntArray | None


def labelled(scored: Scored, chosen: BoolArray) -> Labelled | None:
    """The chosen ones of the rows with score and label; None if they are not of both labels."""
    if scored.label is None:
        return None
    sound = chosen & scored.has_score & (scored.label != NO_LABEL)
    rights = scored.label[sound] == 1
    if not (rights.any() and not rights.all()):
        return None
    groups = None if scored.group is None else scored.group[sound]
    return Labelled(scored.score[sound], rights, groups)


def area_of(rows: Labelled) -> Area:
    """The area under the ROC curve, with its interval (NaN where the bootstrap gives none)."""
    value = area_under_roc(rows.scores, rows.rights)
    found = interval(bootstrap_areas(*rows)) or (float("nan"), float("nan"))
    return Area(float("nan") if value is None else value, *found)


def agreement(scored: Scored, threshold: float) -> Section:
    """ROC, AUC, calibration and confusion, of the judge's own scores and of all that the trainer sees.

    Args:
        scored: The rows.
        threshold: Score from which on a candidate counts as taken for right.
    """
    if scored.label is None:
        missing = "No column of labels: name one with --label COLUMN (truth values, numbers from 0 to 1, or words)."
        return Section("agreement", _TITLE, missing=missing)
    every = labelled(scored, np.ones(scored.rows, dtype=np.bool_))
    column = scored.columns.label
    if every is None:
        known = int(np.sum(scored.label != NO_LABEL))
        missing = (
            f"The column {column!r} has {known:,} labels, and not both right and wrong ones among rows with a score."
        )
        return Section("agreement", _TITLE, missing=missing)
    judged = labelled(scored, scored.of_kind(Kind.JUDGED))
    sets = {"all rows": every}
    if judged is not None and len(judged.scores) < len(every.scores):
        sets = {"judged rows": judged, **sets}
    areas = {name: area_of(rows) for name, rows in sets.items()}
    first = next(iter(sets))
    rows = sets[first]
    in_range = bool(rows.scores.min() >= 0 and rows.scores.max() <= 1)
    bins = calibration_bins(rows.scores, rows.rights) if in_range else ()
    found = {name: confusion(each.scores, each.rights, threshold) for name, each in sets.items()}
    curves = {name: roc_curve(each.scores, each.rights) for name, each in sets.items()}
    best = _best_threshold(rows)
    figures = [roc_figure(curves, areas), by_label_figure(rows, first, threshold)]
    if bins:
        figures.append(calibration_figure(bins, calibration_error(bins), first))
    tables = [confusion_table(each, threshold, name) for name, each in found.items()]
    tables.append(_measures(sets, areas, found, bins, first, threshold))
    by_source = _by_source(scored)
    tables += [_source_table(by_source)] if len(by_source) > 1 else []
    numbers = {
        "label": column,
        "threshold": threshold,
        "labelled": len(every.scores),
        "best_threshold": best,
        "calibration_error": formats.plain_number(calibration_error(bins)),
        "brier": formats.plain_number(brier(rows.scores, rows.rights)),
        "calibration_of": first,
        "auc_by_data_source": {each.name: formats.plain_number(each.area.value) for each in by_source},
        **{name.replace(" ", "_"): _numbers(sets[name], areas[name], found[name]) for name in sets},
    }
    unlabelled = scored.rows - int(np.sum(scored.label != NO_LABEL))
    lead = f"Against the column “{column}”: {formats.share(float(every.rights.mean()))} of its rows are labelled right."
    lead += f" {unlabelled:,} rows without a label are left out." if unlabelled else ""
    tiles = _tiles(areas, found[first], first, threshold, best, bins)
    return Section(
        "agreement", _TITLE, lead, tiles, tuple(figures), tuple(tables), _warnings(areas[first]), numbers=numbers
    )


def _tiles(
    areas: dict[str, Area], found: Confusion, first: str, threshold: float, best: float, bins: Any
) -> tuple[Tile, ...]:
    tiles = [
        Tile(
            f"AUC, {name}",
            formats.decimal(area.value),
            f"95 %: {formats.decimal(area.low)} to {formats.decimal(area.high)}",
        )
        for name, area in areas.items()
    ]
    tiles.append(Tile(f"Accuracy at {threshold:g}", formats.share(found.accuracy), f"{first}; kappa {found.kappa:.2f}"))
    tiles.append(Tile("Best threshold", f"{best:.3g}", f"by Youden's J, {first}"))
    if bins:
        error = formats.decimal(calibration_error(bins))
        tiles.append(Tile("Calibration error", error, "mean distance of score and share right"))
    return tuple(tiles)


def _warnings(area: Area) -> tuple[str, ...]:
    if area.high < 0.5:
        return ("The scores rank wrong candidates above right ones (AUC below 0.5): is the label's meaning reversed?",)
    if area.low <= 0.5 <= area.high:
        return ("The scores do not tell right from wrong better than a coin: the AUC's interval holds 0.5.",)
    return ()


def _best_threshold(rows: Labelled) -> float:
    """Where true positive rate - false positive rate is greatest (Youden, 1950, Index for rating diagnostic tests)."""
    curve = roc_curve(rows.scores, rows.rights, most=5_000)
    gain = curve.true_positives - curve.false_positives
    return float(curve.thresholds[1:][np.argmax(gain[1:])])


def _numbers(rows: Labelled, area: Area, found: Confusion) -> dict[str, Any]:
    return {
        "rows": len(rows.scores),
        "right": int(rows.rights.sum()),
        "auc": formats.plain_number(area.value),
        "auc_low": formats.plain_number(area.low),
        "auc_high": formats.plain_number(area.high),
        **found._asdict(),
        **{name: formats.plain_number(getattr(found, name)) for name in _MEASURES},
    }


_MEASURES = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall (true positive rate)",
    "false_positive_rate": "False positive rate",
    "f1": "F1",
    "kappa": "Cohen's kappa",
}


def _measures(
    sets: dict[str, Labelled],
    areas: dict[str, Area],
    found: dict[str, Confusion],
    bins: Any,
    first: str,
    threshold: float,
) -> Table:
    rows: list[list[Any]] = [
        ["AUC", *(formats.decimal(area.value) for area in areas.values())],
        [
            "AUC, 95 % interval",
            *(f"{formats.decimal(area.low)} to {formats.decimal(area.high)}" for area in areas.values()),
        ],
    ]
    rows.append(["Rows", *(formats.count(len(each.scores)) for each in sets.values())])
    for name, words in _MEASURES.items():
        rows.append([f"{words} at {threshold:g}", *(formats.decimal(getattr(each, name)) for each in found.values())])
    rows.append(["Brier score", *(formats.decimal(brier(each.scores, each.rights)) for each in sets.values())])
    if bins:
        own = [formats.decimal(calibration_error(bins)) if name == first else None for name in sets]
        rows.append(["Expected calibration error", *own])
    return table("Measures of agreement", [Column("measure"), *(Column(name, str) for name in sets)], rows)


class _OfSource(NamedTuple):
    name: str
    rows: int
    right: float
    area: Area


def _by_source(scored: Scored) -> list[_OfSource]:
    """The areas of the data sources with most rows, as far as their judged rows have both labels."""
    counts = np.bincount(scored.source, minlength=len(scored.sources))
    found = []
    for code in np.argsort(-counts, kind="stable")[:_MOST_SOURCES]:
        own = labelled(scored, (scored.source == code) & scored.of_kind(Kind.JUDGED))
        if own is not None:
            name = source_name(scored, int(code))
            found.append(_OfSource(name, len(own.scores), float(own.rights.mean()), area_of(own)))
    return found


def _source_table(sources: list[_OfSource]) -> Table:
    rows = [
        (each.name, each.rows, each.right, each.area.value, f"{each.area.low:.3f} to {each.area.high:.3f}")
        for each in sources
    ]
    columns = [
        Column("data source"),
        Column("rows", formats.count),
        Column("right", formats.share),
        Column("AUC", formats.decimal),
        Column("95 % interval", str),
    ]
    return table("AUC by data source, judged rows", columns, rows)
