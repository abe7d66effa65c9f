"""What changed from the first row to the last, or over a column of times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import numpy as np

from llm_judge_remote.report import formats
from llm_judge_remote.report.plots.axis import Axis, linear_axis, share_axis, time_axis, unit_axis
from llm_judge_remote.report.plots.figure import Colour, Dot, Dots, Figure, Line, Mark
from llm_judge_remote.report.scored import Kind, Scored
from llm_judge_remote.report.section import Section
from llm_judge_remote.report.sections.scores import score_axis
from llm_judge_remote.report.table import Column, table
from llm_judge_remote.report.values import FloatArray, IntArray

__all__ = ["over_time"]

_TITLE = "Over time"
_MOST_BINS = 60
_FEWEST_ROWS = 20  # of a bin, on average
_EARLIEST = 3e8  # seconds, 1979: smaller numbers are steps, epochs or seconds of a run, not dates


def over_time(scored: Scored) -> Section:
    """Fallbacks, scores and latencies along the file, or along the column of times."""
    where = np.arange(scored.rows, dtype=np.float64) if scored.time is None else scored.time
    sound = np.isfinite(where)
    count = int(sound.sum())
    if count < 2:
        return Section(
            "over_time",
            _TITLE,
            missing="There are fewer than two rows" + (" with a time." if scored.time is not None else "."),
        )
    low, high = float(where[sound].min()), float(where[sound].max())
    bins = int(np.clip(count // _FEWEST_ROWS, 1, _MOST_BINS))
    width = (high - low) / bins or 1.0
    place = np.full(scored.rows, -1, dtype=np.int64)
    place[sound] = np.minimum((where[sound] - low) / width, bins - 1).astype(np.int64)
    axis = _axis(scored, low, high)
    middles: FloatArray = (low + (np.arange(bins) + 0.5) * width).astype(np.float64)
    rows = np.bincount(place[sound], minlength=bins)
    shares = {
        kind: np.bincount(place[sound & (scored.kind == kind)], minlength=bins) / np.maximum(rows, 1)
        for kind in (Kind.FALLBACK, Kind.FAILED)
    }
    figures = [_fallback(axis, middles, rows, shares), _scores(axis, middles, rows, scored, place)]
    latency = scored.numbers.get("judge_latency_s")
    if latency is not None and np.any(latency[sound] > 0):
        figures.append(_latency(axis, middles, latency, place))
    unjudged = shares[Kind.FALLBACK] + shares[Kind.FAILED]
    worst = int(np.argmax(unjudged))
    overall = float(np.mean(scored.of_kind(Kind.FALLBACK, Kind.FAILED)[sound]))
    told: tuple[str, ...] = ()
    if unjudged[worst] > max(3 * overall, 0.05) and rows[worst] >= _FEWEST_ROWS // 2:
        part, place_said = formats.share(float(unjudged[worst])), _at(axis, float(middles[worst]))
        told = (f"Fallbacks come in a burst: {part} of the rows about {place_said}.",)
    by = "row" if scored.time is None else scored.columns.time
    numbers = {
        "by": by,
        "bins": [
            {"from": float(low + index * width), "rows": int(rows[index]), "not_judged": float(unjudged[index])}
            for index in range(bins)
        ],
    }
    order = (
        "in the order of the file; name a column with --time for another"
        if scored.time is None
        else f"by the column “{by}”"
    )
    lead = f"The rows {order}, in {bins} part{'s' * (bins != 1)}."
    return Section("over_time", _TITLE, lead, figures=tuple(figures), warnings=told, numbers=numbers)


def _axis(scored: Scored, low: float, high: float) -> Axis:
    if scored.time is None:
        made = linear_axis("row (number in the file)", 0, high)
        return Axis(made.label, low, max(high, low + 1), tuple(tick for tick in made.ticks if tick.value <= high))
    name = scored.columns.time
    if low > _EARLIEST:
        return time_axis(f"{name} (UTC)", low, high)
    made = linear_axis(f"{name} (as in the file)", low, high)
    return Axis(made.label, made.low, made.high, made.ticks)


def _at(axis: Axis, value: float) -> str:
    told = _form(axis)(value)
    return f"{told} UTC" if axis.label.endswith("(UTC)") else f"{axis.label.split(' (')[0]} {told}"


def _fallback(axis: Axis, middles: FloatArray, rows: IntArray, shares: dict[Kind, FloatArray]) -> Figure:
    there = rows > 0
    highest = max(float((each[there]).max(initial=0)) for each in shares.values())
    marks: list[Mark] = []
    for kind, name in ((Kind.FALLBACK, "fallback"), (Kind.FAILED, "failed")):
        if kind is Kind.FAILED and not shares[kind].any():
            continue
        points = tuple(zip(middles[there].tolist(), shares[kind][there].tolist(), strict=True))
        marks += _line(name, "fallback" if kind is Kind.FALLBACK else "failed", points)
    columns = [
        Column(axis.label, _form(axis)),
        Column("rows", formats.count),
        Column("fallback", formats.share),
        Column("failed", formats.share),
    ]
    told = zip(middles[there], rows[there], shares[Kind.FALLBACK][there], shares[Kind.FAILED][there], strict=True)
    title = "Rows that were not judged"
    says = (
        f"At worst {formats.share(highest)} of a part's rows."
        if highest
        else "Every row has the judge's score, or a rule's."
    )
    y = share_axis("share of the part's rows (%)", highest)
    return Figure("fallback-over-time", title, axis, y, tuple(marks), says, table(title, columns, told))


def _scores(axis: Axis, middles: FloatArray, rows: IntArray, scored: Scored, place: IntArray) -> Figure:
    known = (place >= 0) & scored.has_score
    counts = np.bincount(place[known], minlength=len(rows))
    total = np.bincount(place[known], weights=scored.score[known], minlength=len(rows))
    there = counts > 0
    means = total[there] / counts[there]
    y = score_axis(means, "mean score (0 to 1)") if len(means) else unit_axis("mean score (0 to 1)")
    points = tuple(zip(middles[there].tolist(), means.tolist(), strict=True))
    title = "Mean score"
    says = (
        f"From {formats.decimal(means[0])} in the first part to {formats.decimal(means[-1])} in the last."
        if len(means)
        else ""
    )
    columns = [Column(axis.label, _form(axis)), Column("rows", formats.count), Column("mean score", formats.decimal)]
    data = table(title, columns, zip(middles[there], counts[there], means, strict=True))
    return Figure("score-over-time", title, axis, y, tuple(_line("mean score", "first", points)), says, data)


def _latency(axis: Axis, middles: FloatArray, latency: FloatArray, place: IntArray) -> Figure:
    known = (place >= 0) & (latency > 0)
    order = np.argsort(place[known], kind="stable")
    parts = np.split(latency[known][order], np.cumsum(np.bincount(place[known], minlength=len(middles)))[:-1])
    found = [
        (float(x), len(part), *np.quantile(part, [0.5, 0.99]).tolist())
        for x, part in zip(middles, parts, strict=True)
        if len(part)
    ]
    marks = [
        *_line("99 %", "second", tuple((each[0], each[3]) for each in found)),
        *_line("median", "first", tuple((each[0], each[2]) for each in found)),
    ]
    title = "Latency"
    y = linear_axis("seconds from call to score", 0.0, max(each[3] for each in found), most=5)
    columns = [
        Column(axis.label, _form(axis)),
        Column("rows", formats.count),
        Column("median", formats.seconds),
        Column("99 %", formats.seconds),
    ]
    says = "Median and 99 % quantile of each part's rows that took any time."
    return Figure("latency-over-time", title, axis, y, tuple(marks), says, table(title, columns, found))


def _line(name: str, colour: Colour, points: tuple[tuple[float, float], ...]) -> list[Mark]:
    """A line; a dot where there is a single point."""
    if len(points) == 1:
        return [Dots(name, colour, (Dot(*points[0], 1.0, name),))]
    return [Line(name, colour, points)]


def _form(axis: Axis) -> Callable[[float], str]:
    """How the axis' values are written in tables."""
    return _date if axis.label.endswith("(UTC)") else lambda value: f"{value:,.0f}"


def _date(value: float) -> str:
    return datetime.fromtimestamp(value, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
