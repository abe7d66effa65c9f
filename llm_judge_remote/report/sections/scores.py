"""How the scores are distributed, over all rows and by data source."""

from __future__ import annotations

import numpy as np

from llm_judge_remote.report import formats
from llm_judge_remote.report.plots.axis import Axis, linear_axis, unit_axis
from llm_judge_remote.report.plots.figure import Colour, Figure
from llm_judge_remote.report.scored import Kind, Scored
from llm_judge_remote.report.section import Section, Tile
from llm_judge_remote.report.sections.histogram import Layer, histogram
from llm_judge_remote.report.table import Column, Table, table
from llm_judge_remote.report.values import BoolArray, FloatArray

__all__ = ["COLOURS", "score_axis", "scores", "source_name"]

COLOURS: dict[Kind, Colour] = {
    Kind.JUDGED: "judged",
    Kind.RULED: "ruled",
    Kind.FALLBACK: "fallback",
    Kind.FAILED: "failed",
}
_BINS = 20
_MOST_FIGURES = 6
_MOST_ROWS = 50
_BOTH_ENDS = 0.9


def scores(scored: Scored) -> Section:
    """Histograms of the scores, and their quartiles by data source."""
    there = scored.has_score
    if not there.any():
        words = "No row has a score."
        return Section("scores", "Scores", warnings=(words,), missing=words)
    values = scored.score[there]
    by_source = sorted(
        ((int(rows), code) for code, rows in enumerate(np.bincount(scored.source[there]))), key=lambda each: -each[0]
    )
    by_source = [each for each in by_source if each[0]]
    axis = score_axis(values)
    figures = [_figure("scores", "All scores", axis, scored, there)]
    if len(by_source) > 1:
        for number, (_, code) in enumerate(by_source[:_MOST_FIGURES], 1):
            chosen = there & (scored.source == code)
            figures.append(_figure(f"scores-{number}", source_name(scored, code), axis, scored, chosen))
    zeros, ones = float(np.mean(values <= 0)), float(np.mean(values >= 1))
    tiles = (
        Tile(
            "Mean score", formats.decimal(float(values.mean())), f"median {formats.decimal(float(np.median(values)))}"
        ),
        Tile("Standard deviation", formats.decimal(float(values.std()))),
        Tile("Scores of 0", formats.share(zeros)),
        Tile("Scores of 1", formats.share(ones)),
    )
    missing = scored.rows - len(values)
    warnings: tuple[str, ...] = (
        (f"{formats.rows(missing)} without a score: in no figure of scores.",) if missing else ()
    )
    if len(values) > 1 and values.min() == values.max():
        warnings += (f"All scores are {formats.decimal(float(values[0]))}: nothing can be learned from them.",)
    numbers = {
        "rows": len(values),
        "without_score": missing,
        **_summary(values),
        "share_of_0": zeros,
        "share_of_1": ones,
        "by_data_source": {
            source_name(scored, code): {"rows": rows, **_summary(scored.score[there & (scored.source == code)])}
            for rows, code in by_source[:_MOST_ROWS]
        },
    }
    lead = "The scores as the trainer sees them; colours tell whose they are."
    if len(by_source) > _MOST_FIGURES:
        lead += f" The {_MOST_FIGURES} data sources with most rows have a figure each, the table tells of more."
    sources = (_by_source(scored, there, by_source),)
    return Section("scores", "Scores", lead, tiles, tuple(figures), sources, warnings, numbers=numbers)


def score_axis(values: FloatArray, label: str = "score (0 worst, 1 best)") -> Axis:
    """From 0 to 1, or as far as scores of another making go."""
    if values.min(initial=0.0) >= 0 and values.max(initial=1.0) <= 1:
        return unit_axis(label)
    return linear_axis("score", float(values.min()), float(values.max()))


def source_name(scored: Scored, code: int) -> str:
    """A data source's name, in words where it has none."""
    return scored.sources[code] or "(no data source)"


def _figure(key: str, title: str, axis: Axis, scored: Scored, chosen: BoolArray) -> Figure:
    edges = np.linspace(axis.low, axis.high, _BINS + 1)
    layers = [Layer(kind.words, COLOURS[kind], scored.score[chosen & (scored.kind == kind)]) for kind in Kind]
    values = scored.score[chosen]
    says = f"{formats.rows(len(values))}, mean {formats.decimal(float(values.mean()))}. {_shape(values, axis)}"
    return histogram(key, title, axis, edges, layers, says.strip(), as_share=True)


def _shape(values: FloatArray, axis: Axis) -> str:
    tenth = (axis.high - axis.low) / 10
    ends = float(np.mean((values <= axis.low + tenth) | (values >= axis.high - tenth)))
    if ends >= _BOTH_ENDS:
        return f"{formats.share(ends)} lie in the lowest or highest tenth: the judge decides rather than weighs."
    return ""


def _summary(values: FloatArray) -> dict[str, float]:
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    names = ("mean", "std", "min", "p25", "median", "p75", "max")
    found = (values.mean(), values.std(), values.min(), *quartiles, values.max())
    return {name: float(value) for name, value in zip(names, found, strict=True)}


def _by_source(scored: Scored, there: BoolArray, by_source: list[tuple[int, int]]) -> Table:
    rows = []
    for count, code in by_source[:_MOST_ROWS]:
        chosen = there & (scored.source == code)
        summary = _summary(scored.score[chosen])
        judged = float(np.mean(scored.kind[chosen] == Kind.JUDGED))
        figures = [summary[name] for name in ("mean", "std", "p25", "median", "p75")]
        rows.append((source_name(scored, code), count, *figures, judged))
    left_out = len(by_source) - len(rows)
    caption = "Scores by data source" + (f" ({left_out:,} more data sources with fewer rows)" if left_out else "")
    names = ("mean", "std", "25 %", "median", "75 %")
    columns = [Column("data source"), Column("rows", formats.count), *(Column(name, formats.decimal) for name in names)]
    return table(caption, [*columns, Column("judged", formats.share)], rows)
