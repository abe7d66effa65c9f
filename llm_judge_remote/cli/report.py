"""`llm-judge-remote report`: one page about a scored file, to look at and to pass on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_judge_remote.cli.judge_options import Template
from llm_judge_remote.cli.terminal import command, console, print_json
from llm_judge_remote.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from llm_judge_remote.report import Report

__all__ = ["report"]

_DEFAULT_PAGE = Path("report.html")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        msg = f"{value} is no score"
        raise typer.BadParameter(msg)
    return value


def report(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="SCORED",
            help="What `llm-judge-remote score` wrote: parquet, or JSON lines or an array (.gz or not), with a column "
            "`score` at least.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The page. [default: report.html; with --json none]",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Whether candidates are right: truth values, numbers (right from 0.5 on) or words. By itself found "
            "are label, is_correct and correct.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            callback=_finite, metavar="SCORE", help="Score from which on a candidate counts as taken for right."
        ),
    ] = 0.5,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="What the candidates of one problem share. By itself found are uid, the problem and the prompt.",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="When a row was judged: timestamps, ISO 8601, seconds since 1970, or steps. Without it, rows are in "
            "the order of the file.",
            show_default=False,
        ),
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="What was judged. By itself found are candidate, solution_str, response and completion.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="OTHER", help="The same rows scored by another judge: A against B.", show_default=False),
    ] = None,
    examples: Annotated[int, typer.Option(min=0, metavar="N", help="Most rows to read of each sort.")] = 8,
    template: Template = None,
    png: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Save the figures there as PNG too (needs matplotlib: the extra `report`).",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as one JSON document.")] = False,
) -> None:
    """Make one page of a scored file: figures, numbers, and rows to read.

    Shown are the scores by data source, outcomes, agreement with a column of labels (ROC, AUC with its interval,
    calibration, confusion), the spread within groups, latency and tokens, fallbacks over time, and the failed and most
    extreme rows with prompt and reply. Only `score` is needed: what else is missing, its part of the page says. Columns
    within structs are named with dots, as in extra_info.split.

    The page is one file that loads nothing and sends nothing, for a phone too, by day and by night. Nobody is asked
    anything. A prompt that the file does not hold is rendered anew by the settings of the environment and --template.

    \b
    Exit code:
      0  the page is written
      1  it cannot be written
      2  the command line or the file is of no use

    \b
    Examples:
      llm-judge-remote report scored.parquet
      llm-judge-remote report scored.parquet --label is_correct -o page.html
      llm-judge-remote report judge_a.parquet --against judge_b.parquet --png figures
      llm-judge-remote report scored.parquet --json | jq .agreement
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    with command():
        page = output if output is not None or as_json else _DEFAULT_PAGE
        _spare(page, file, against)
        errors = console(stderr=True)
        made, written = _made(
            errors,
            file,
            against,
            {"label": label, "group": group, "time": time, "candidate": candidate},
            threshold,
            examples,
            template,
            output=page,
            png=png,
        )
        if as_json:
            print_json(made.to_dict())
        else:
            _show(console(), made)
        for path in written:
            errors.print(f"Written: {path}", markup=False, soft_wrap=True)


def _spare(page: Path | None, *inputs: Path | None) -> None:
    """Refuse a page that would take the place of what it is about, or of a device or folder."""
    if page is None or not page.exists():
        return
    if not page.is_file():
        msg = f"{page} is no file that a page could be written over; name another with --output"
        raise ConfigError(msg)
    for each in inputs:
        if each is not None and each.exists() and page.samefile(each):
            msg = f"{page} is what the report is about, and would be written over; name another file with --output"
            raise ConfigError(msg)


def _made(
    errors: Console,
    file: Path,
    against: Path | None,
    columns: dict[str, str | None],
    threshold: float,
    examples: int,
    template: str | None,
    *,
    output: Path | None,
    png: Path | None,
) -> tuple[Report, list[Path]]:
    """The report, and what was written of it."""
    try:
        from llm_judge_remote.report import (  # noqa: PLC0415 (heavy, and an extra)
            ReportOptions,
            Wanted,
            make_report,
            save_png,
            write_page,
        )
    except ImportError as error:
        msg = f"report needs {error.name}: pip install 'llm-judge-remote[data]'"
        raise ConfigError(msg) from None
    wanted = Wanted(**{name: value or "" for name, value in columns.items()})
    options = ReportOptions(wanted, threshold, against, examples, template or "")
    with errors.status(Text(f"Reading {file.name} ...")) as status:

        def say(done: int, total: int | None) -> None:
            of_all = f" of {total:,}" if total else ""
            status.update(Text(f"Reading {file.name}: {done:,}{of_all} rows ..."))

        try:
            made = make_report(file, options, say)
        except DatasetError as error:  # nothing was done
            raise ConfigError(str(error)) from None
        status.update("Drawing ...")
        if png is not None:  # first: matplotlib may not be there
            save_png(tuple(made.figures), png)
        if output is not None:
            write_page(made, file, output)
    return made, [each for each in (output, png) if each is not None]


def _show(screen: Console, made: Report) -> None:
    """The first numbers, and what the reader should not miss."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for tile in made.headline:
        table.add_row(tile.name, tile.value, tile.note, style=None)
    screen.print(table)
    for words in made.warnings:
        screen.print(f"Note: {words}", markup=False)
