"""What `llm-judge-remote inspect` shows: tables, examples and findings."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_judge_remote.dataset.findings import Finding
from llm_judge_remote.dataset.inspection_report import Example, Inspection

__all__ = ["show"]

_PLAIN_WIDTH = 80
_WIDEST = 100
_MOST_FIELDS = 60
_MOST_SOURCES = 20
_LONGEST_TOLD = 400
_NAMES = {"judge_prompt": "judge's prompt"}
_STYLES = {"error": "red", "warning": "yellow"}
_INDENT = 9
# A terminal obeys these; what is piped is left as it is.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def show(report: Inspection) -> None:
    """Print a report; the findings come last, where they are seen."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)  # there is no terminal to ask for its width
    _line(console, _head(report))
    if report.metadata:
        _line(console, f"written by: {_told(report.metadata)}")
    console.print()
    for table in (_fields(report), _sources(report), _lengths(report)):
        if table.row_count:
            console.print(table)
            console.print()
    for example in report.examples:
        _show_example(console, example)
    for finding in report.findings:
        _show_finding(console, finding)
    _line(console, _conclusion(report))


def _head(report: Inspection) -> str:
    columns = "columns for compute_score" if report.layout == "columns" else f"{report.layout}'s columns"
    return f"{report.file}: {_rows(report.rows)}, {report.format} with {columns}"


def _told(metadata: Mapping[str, Any]) -> str:
    """What is set in a file's metadata, digests aside; the recipe first."""
    said = dict(_settings({"recipe": metadata.get("recipe"), **metadata}))
    text = ", ".join([said.pop("recipe", "an unknown recipe"), *(f"{name}={value}" for name, value in said.items())])
    return text if len(text) <= _LONGEST_TOLD else text[:_LONGEST_TOLD] + "…"


def _settings(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _settings(value)
        elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            for each in value:
                yield from _settings(each)
        elif value is not None and value is not False and value not in ("", []) and "digest" not in name:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _fields(report: Inspection) -> Table:
    table = _table("field", "type")
    for name, kind in report.columns[:_MOST_FIELDS]:
        table.add_row(_clean(name), _clean(kind))
    if len(report.columns) > _MOST_FIELDS:
        table.add_row("…", f"{len(report.columns) - _MOST_FIELDS} more")
    return table


def _sources(report: Inspection) -> Table:
    table = _table("data_source", "rows", "share")
    named = list(report.data_sources.items())
    for name, rows in named[:_MOST_SOURCES]:
        table.add_row(_clean(name) if name else Text("(none)"), f"{rows:,}", f"{rows / report.rows:.1%}")
    if len(named) > _MOST_SOURCES:
        rest = sum(rows for _, rows in named[_MOST_SOURCES:])
        table.add_row(f"{len(named) - _MOST_SOURCES} others", f"{rest:,}", f"{rest / report.rows:.1%}")
    return table


def _lengths(report: Inspection) -> Table:
    table = _table("characters", "median", "95 %", "longest", "in row")
    for name, length in report.lengths.items():
        figures = (length.median, length.p95, length.max, length.longest_row)
        table.add_row(_NAMES.get(name, name), *(f"{figure:,}" for figure in figures))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, overflow="fold", justify="left" if name == "type" else "right")
    return table


def _show_example(console: Console, example: Example) -> None:
    source = example.data_source or "no data source"
    console.rule(Text(f"row {example.row}, {_printable(source)}"), align="left", characters="-")
    if example.overrides:
        _line(console, f"The row's own settings: {', '.join(example.overrides)}.")
    if not example.shown.conversations:
        _line(console, f"The judge is sent nothing: {example.shown.why_not}.")
        console.print()
        return
    count = len(example.shown.conversations)
    asked = "" if count == 1 else f"; the first of {count} conversations, one for each reference"
    _line(console, f"What {example.shown.model} is sent{asked}:")
    for message in example.shown.conversations[0]:
        console.print(Text(f"[{message['role']}]", style="bold"))
        content = message["content"]
        typer.echo(_printable(content) if console.is_terminal else content)
    console.print()


def _show_finding(console: Console, finding: Finding) -> None:
    label = Text(f"{finding.level:{_INDENT}}", style=_STYLES[finding.level])
    first, *others = _wrapped(console, f"{finding.message}{_where(finding)}")
    console.print(label + first, highlight=False)
    for line in others:
        console.print(" " * _INDENT + line, markup=False, highlight=False)


def _where(finding: Finding) -> str:
    if not finding.rows:
        return "."
    rows = _rows(finding.rows)
    if not finding.first_rows:
        return f": {rows}."
    more = ", …" if finding.rows > len(finding.first_rows) else ""
    return f": {rows} ({', '.join(map(str, finding.first_rows))}{more})."


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _conclusion(report: Inspection) -> str:
    errors = sum(finding.level == "error" for finding in report.findings)
    warnings = len(report.findings) - errors
    told = "No errors" if not errors else f"{errors} error{'s' * (errors > 1)}"
    told += f", {warnings or 'no'} warning{'s' * (warnings != 1)}."
    return f"{told} One candidate for each row: {report.requests:,} conversations with the judge."


def _line(console: Console, text: str) -> None:
    for line in _wrapped(console, text, 0):
        console.print(line, markup=False, highlight=False)


def _wrapped(console: Console, text: str, indent: int = _INDENT) -> Iterable[str]:
    width = min(console.width, _WIDEST) - indent
    return textwrap.wrap(_printable(text), width, break_on_hyphens=False) or [""]


def _clean(text: str) -> Text:
    return Text(_printable(text).replace("\n", " "))


def _printable(text: str) -> str:
    return _CONTROLS.sub("\ufffd", text)
