"""What `llm-judge-remote check` shows: a table for each server, one of load, and a summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from llm_judge_remote.diagnosis.server import LoadLevel, Report, Section, knee
from llm_judge_remote.finding import Finding, Level

__all__ = ["section_table", "summary"]

_STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "error": "bold red", "skipped": "dim"}
_NAMES: dict[Level, tuple[str, str]] = {
    "error": ("error", "errors"),
    "warning": ("warning", "warnings"),
    "ok": ("ok", "ok"),
    "skipped": ("skipped", "skipped"),
}


def section_table(section: Section) -> RenderableType:
    """A line for each finding, and the table of load below them."""
    table = Table(box=box.SIMPLE, show_header=False, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in _gathered(section.findings):
        style = _STYLES[finding.level]
        table.add_row(Text(finding.level, style=style), Text(finding.name), _words(finding))
    parts: list[RenderableType] = [Text(section.title, style="bold"), table]
    if section.levels:
        parts.append(Padding(_load_table(section.levels), (1, 0, 0, 9)))
    return Group(*parts, Text())


def summary(report: Report) -> Text:
    """How many findings of each level there are, the worst first."""
    counts = report.counts
    told = [f"{count} {_NAMES[level][count != 1]}" for level, count in _worst_first(counts) if count]
    servers = sum(section.kind == "server" for section in report.sections)
    words = f"{servers} server{'s' * (servers != 1)}: {', '.join(told) or 'nothing was looked at'}."
    if not report.is_complete:
        words += " Stopped before all was looked at."
    worst: Level = "error" if counts["error"] else "warning" if counts["warning"] else "ok"
    return Text(words, style=_STYLES[worst])


def _gathered(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings, with those as one that follow each other and were skipped for the same reason."""
    for (level, message, _), group in groupby(findings, lambda each: (each.level, each.message, each.fix)):
        alike = list(group)
        if level == "skipped" and len(alike) > 1:
            names = ", ".join(finding.name for finding in alike)
            yield Finding(f"{len(alike)} others", level, f"{message}: {names}")
        else:
            yield from alike


def _worst_first(counts: dict[Level, int]) -> list[tuple[Level, int]]:
    return [(level, counts[level]) for level in _NAMES]


def _words(finding: Finding) -> Text:
    words = Text(_shown(finding.message), style="dim" if finding.level == "skipped" else "")
    if finding.fix:
        words.append("\nfix: ", style="bold").append(_shown(finding.fix))
    return words


def _shown(text: str) -> str:
    """A text without what would move the cursor: servers and their words are others'."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _load_table(levels: Sequence[LoadLevel]) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in ("at once", "rows/s", "p50 s", "p99 s", "rows", "failed", ""):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    bend = knee(levels)
    for level in levels:
        failed = Text(str(level.failures), style="red" if level.failures else "")
        times = [f"{level.p50:.2f}", f"{level.p99:.2f}"] if level.rows else ["-", "-"]
        mark = "<- knee" if level is bend else ""
        table.add_row(str(level.concurrency), f"{level.rate:,.1f}", *times, str(level.rows), failed, mark)
    return table
