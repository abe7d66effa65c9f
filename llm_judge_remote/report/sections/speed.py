"""How long the judge took, and how much it read and wrote."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llm_judge_remote.report import formats
from llm_judge_remote.report.plots.figure import Figure
from llm_judge_remote.report.scored import Kind, Scored
from llm_judge_remote.report.section import Section, Tile
from llm_judge_remote.report.sections.histogram import Layer, log_histogram
from llm_judge_remote.report.table import Column, Table, table
from llm_judge_remote.report.values import BoolArray, FloatArray

__all__ = ["speed"]

_SHARES = (0.5, 0.9, 0.95, 0.99)
_MOST_SERVERS = 30
_WHAT = (
    ("judge_latency_s", "latency, waiting included", formats.seconds),
    ("judge_queued_s", "waiting for the first request", formats.seconds),
    ("judge_service_s", "the server's own time", formats.seconds),
    ("judge_prompt_tokens", "prompt tokens", formats.amount),
    ("judge_completion_tokens", "completion tokens", formats.amount),
    ("judge_attempts", "requests sent", formats.amount),
)
_FLAGS = (
    ("judge_hedged", "asked once more, being slow"),
    ("judge_shared", "reply of an equal request"),
    ("judge_cached", "reply known from before"),
    ("judge_constrained", "reply held to the grammar"),
    ("judge_candidate_cut", "candidate cut to fit"),
)


def speed(scored: Scored) -> Section:
    """Latencies and tokens of the rows for which the judge was asked."""
    title = "Latency and tokens"
    known = [each for each in _WHAT if each[0] in scored.numbers]
    if not known:
        return Section("speed", title, missing="The file has none of the columns judge_latency_s, judge_*_tokens.")
    asked = _asked(scored)
    if not asked.any():
        return Section("speed", title, missing="For no row a request was sent to the judge.")
    columns = {name: scored.numbers[name][asked & np.isfinite(scored.numbers[name])] for name, _, _ in known}
    columns = {name: values for name, values in columns.items() if len(values)}
    totals = {name: float(values.sum()) for name, values in columns.items() if name.endswith("_tokens")}
    flags = {
        name: float(np.nanmean(scored.numbers[name][asked]))
        for name, _ in _FLAGS
        if name in scored.numbers and np.isfinite(scored.numbers[name][asked]).any()
    }
    servers = _by_server(scored, asked)
    tables = [_quantiles(columns), *([servers] if len(servers.rows) else [])]
    if flags:
        told = [(words, flags[name]) for name, words in _FLAGS if name in flags]
        shares = [Column("what was special"), Column("share of rows asked about", formats.share)]
        tables.append(table("How replies came about", shares, told))
    numbers = {
        "rows_asked": int(asked.sum()),
        **{name: _summary(values) for name, values in columns.items()},
        "tokens": {name.removeprefix("judge_").removesuffix("_tokens"): int(total) for name, total in totals.items()},
        "shares": {name.removeprefix("judge_"): value for name, value in flags.items()},
    }
    lead = (
        f"Of the {formats.count(asked.sum())} rows for which the judge was asked; the horizontal axes are logarithmic."
    )
    return Section(
        "speed", title, lead, _tiles(columns, totals), _figures(scored, asked, columns), tuple(tables), numbers=numbers
    )


def _asked(scored: Scored) -> BoolArray:
    attempts = scored.numbers.get("judge_attempts")
    if attempts is not None:
        return attempts > 0
    return scored.of_kind(Kind.JUDGED)


def _tiles(columns: dict[str, FloatArray], totals: dict[str, float]) -> tuple[Tile, ...]:
    tiles = []
    latency = columns.get("judge_latency_s")
    if latency is not None:
        p50, p99 = np.quantile(latency, [0.5, 0.99])
        tiles += [Tile("Latency, median", formats.seconds(p50)), Tile("Latency, 99 %", formats.seconds(p99))]
    for name, total in totals.items():
        words = name.removeprefix("judge_").replace("_", " ").capitalize()
        tiles.append(Tile(words, formats.short(total), f"{formats.amount(float(columns[name].mean()))} a row"))
    return tuple(tiles)


def _figures(scored: Scored, asked: BoolArray, columns: dict[str, FloatArray]) -> tuple[Figure, ...]:
    figures = []
    if "judge_latency_s" in columns:
        p50, p99 = np.quantile(columns["judge_latency_s"], [0.5, 0.99])
        says = f"Half of the rows took at most {formats.seconds(p50)}, 99 % at most {formats.seconds(p99)}."
        figures.append(
            _by_kind("latency", "Latency", "seconds from call to score", "judge_latency_s", scored, asked, says)
        )
    for name, title in (("judge_prompt_tokens", "Tokens read"), ("judge_completion_tokens", "Tokens written")):
        if name in columns and columns[name].any():
            mean, most = formats.amount(float(columns[name].mean())), formats.count(columns[name].max())
            says = f"{mean} tokens a row on average, {most} at most."
            key = name.removeprefix("judge_").replace("_", "-")
            figures.append(_by_kind(key, title, "tokens of a row's requests", name, scored, asked, says))
    return tuple(figures)


def _by_kind(key: str, title: str, label: str, name: str, scored: Scored, asked: BoolArray, says: str) -> Figure:
    values = scored.numbers[name]
    sound = asked & np.isfinite(values) & (values > 0)
    unjudged = scored.of_kind(Kind.FALLBACK, Kind.FAILED)
    layers = [
        Layer("judged", "judged", values[sound & ~unjudged]),
        Layer("not judged", "fallback", values[sound & unjudged]),
    ]
    return log_histogram(key, title, label, layers, says)


def _summary(values: FloatArray) -> dict[str, float]:
    found = np.quantile(values, _SHARES)
    told = {f"p{100 * share:g}": float(value) for share, value in zip(_SHARES, found, strict=True)}
    return {"mean": float(values.mean()), **told, "max": float(values.max())}


def _quantiles(columns: dict[str, FloatArray]) -> Table:
    rows = []
    for name, words, form in _WHAT:
        if name in columns:
            write: Callable[[float], str] = form
            rows.append((words, *map(write, _summary(columns[name]).values())))
    names = ("mean", "median", *(f"{100 * share:g} %" for share in _SHARES[1:]), "longest")
    return table("Quantiles over rows", [Column("of a row"), *(Column(name, str) for name in names)], rows)


def _by_server(scored: Scored, asked: BoolArray) -> Table:
    counts = np.bincount(scored.server[asked], minlength=len(scored.servers))
    latency = scored.numbers.get("judge_latency_s")
    rows = []
    for code in np.argsort(-counts, kind="stable")[:_MOST_SERVERS]:
        if not counts[code] or not scored.servers[code]:
            continue
        own = asked & (scored.server == code)
        unjudged = float(np.mean(scored.of_kind(Kind.FALLBACK, Kind.FAILED)[own]))
        known = latency[own & np.isfinite(latency)] if latency is not None else np.zeros(0)
        p50, p99 = np.quantile(known, [0.5, 0.99]).tolist() if len(known) else (None, None)
        rows.append((scored.servers[code], counts[code], counts[code] / asked.sum(), unjudged, p50, p99))
    columns = [
        Column("server"),
        Column("rows", formats.count),
        Column("share", formats.share),
        Column("not judged", formats.share),
        Column("latency, median", formats.seconds),
        Column("99 %", formats.seconds),
    ]
    return table("Servers (that gave the reply, or were asked last)", columns, rows)
