"""How the rows came by their scores, and why some were not judged."""

from __future__ import annotations

import numpy as np

from llm_judge_remote.report import formats
from llm_judge_remote.report.plots.axis import category_axis, share_axis
from llm_judge_remote.report.plots.figure import Box, Boxes, Figure
from llm_judge_remote.report.scored import Kind, Scored
from llm_judge_remote.report.section import Section, Tile
from llm_judge_remote.report.sections.scores import COLOURS, source_name
from llm_judge_remote.report.table import Column, Table, table

__all__ = ["outcomes"]

_MOST_SOURCES = 12
_MOST_REASONS = 15
_MUCH = 0.01  # share of rows without the judge's score that is worth a warning


def outcomes(scored: Scored) -> Section:
    """Rows by outcome and data source, and the reasons of those that were not judged."""
    if not any(scored.outcomes):
        missing = "The file has no column judge_outcome (nor judge_ok and judge_fallback): all scores count as judged."
        return Section("outcomes", "Outcomes", missing=missing)
    shares = {kind: float(np.mean(scored.kind == kind)) if scored.rows else 0.0 for kind in Kind}
    tiles = tuple(
        Tile(kind.words.capitalize(), formats.share(shares[kind]), formats.rows(np.sum(scored.kind == kind)))
        for kind in Kind
    )
    unjudged = shares[Kind.FALLBACK] + shares[Kind.FAILED]
    warnings: tuple[str, ...] = ()
    if unjudged >= _MUCH:
        warnings = (f"{formats.share(unjudged)} of the rows were not judged: what they have is a stand-in or 0.",)
    elif shares[Kind.FAILED]:
        warnings = (f"{formats.rows(np.sum(scored.kind == Kind.FAILED))} failed: that score of 0 is nobody's opinion.",)
    reasons = _reasons(scored)
    tables = (_by_outcome(scored), *((reasons,) if reasons.rows else ()))
    counts = np.bincount(scored.outcome, minlength=len(scored.outcomes))
    numbers = {
        "rows": scored.rows,
        **{f"share_{kind.name.lower()}": shares[kind] for kind in Kind},
        "outcomes": {name or "(none)": int(rows) for name, rows in zip(scored.outcomes, counts, strict=True) if rows},
        "reasons": {row[0].text: int(row[1].number or 0) for row in reasons.rows},
    }
    lead = "How the rows came by their scores. A failure is not a zero: what the judge did not score is told apart."
    return Section("outcomes", "Outcomes", lead, tiles, (_figure(scored),), tables, warnings, numbers=numbers)


def _figure(scored: Scored) -> Figure:
    counts = np.zeros((len(scored.sources), len(Kind)), dtype=np.int64)
    np.add.at(counts, (scored.source, scored.kind), 1)
    order = np.argsort(-counts.sum(axis=1), kind="stable")[:_MOST_SOURCES]
    order = order[counts[order].sum(axis=1) > 0]
    names = [source_name(scored, int(code)) for code in order]
    y = category_axis("data source", names)
    marks = []
    starts = np.zeros(len(order))
    for kind in Kind:
        shares = counts[order, kind] / np.maximum(counts[order].sum(axis=1), 1)
        boxes = tuple(
            Box(
                float(starts[index]),
                float(starts[index] + shares[index]),
                y.ticks[index].value - 0.36,
                y.ticks[index].value + 0.36,
                f"{names[index]}, {kind.words}: {counts[order[index], kind]:,} rows ({formats.share(shares[index])})",
            )
            for index in np.flatnonzero(shares)
        )
        if boxes:
            marks.append(Boxes(kind.words, COLOURS[kind], boxes))
        starts = starts + shares
    title = "Outcomes by data source"
    columns = [Column("data source"), *(Column(kind.words, formats.count) for kind in Kind)]
    data = table(title, columns, [(name, *counts[code]) for name, code in zip(names, order, strict=True)])
    judged = formats.share(float(np.mean(scored.kind == Kind.JUDGED)))
    says = f"The judge gave the score of {judged} of all rows."
    return Figure("outcomes", title, share_axis("share of the data source's rows (%)"), y, tuple(marks), says, data)


def _by_outcome(scored: Scored) -> Table:
    counts = np.bincount(scored.outcome, minlength=len(scored.outcomes))
    rows = []
    for code in np.argsort(-counts, kind="stable"):
        if counts[code]:
            own = scored.score[(scored.outcome == code) & scored.has_score]
            mean = float(own.mean()) if len(own) else None
            rows.append((scored.outcomes[code] or "(none)", counts[code], counts[code] / scored.rows, mean))
    columns = [Column("outcome"), Column("rows", formats.count), Column("share", formats.share)]
    return table("Rows by outcome", [*columns, Column("mean score", formats.decimal)], rows)


def _reasons(scored: Scored) -> Table:
    chosen = scored.of_kind(Kind.FALLBACK, Kind.FAILED)
    counts = np.bincount(scored.reason[chosen], minlength=len(scored.reasons))
    order = [code for code in np.argsort(-counts, kind="stable")[:_MOST_REASONS] if counts[code]]
    rows = [
        (scored.reasons[code] or "(no reason told)", counts[code], counts[code] / max(chosen.sum(), 1))
        for code in order
    ]
    caption = "Why rows were not judged (reasons that differ in numbers only are counted as one)"
    return table(caption, [Column("reason"), Column("rows", formats.count), Column("share", formats.share)], rows)
