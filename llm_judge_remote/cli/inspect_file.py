"""`llm-judge-remote inspect`: what a trainer's file holds, how it would be judged, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge_remote.cli.terminal import FAILED, FINE, command, console, print_json
from llm_judge_remote.errors import ConfigError, DatasetError
from llm_judge_remote.settings import JudgeSettings

if TYPE_CHECKING:
    from llm_judge_remote.dataset.inspection_report import Inspection

__all__ = ["inspect_file"]


def inspect_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="Parquet, or JSON lines or an array (.gz or not), with verl's columns, SkyRL's, or data_source, "
            "ground_truth and extra_info.",
            show_default=False,
        ),
    ],
    template: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Prompt template to show the rows in. Without it, that of the environment or the YAML file.",
            show_default=False,
        ),
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of candidates, if the file has some; by itself found are candidate, solution_str, response "
            "and completion.",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="TOKENS",
            help="Tokens that the judge's model takes, prompt and reply together. [default: 32768, Qwen3's]",
            show_default=False,
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Count by this tokenizer: a tokenizer.json, its folder, or a model's name on the hub (needs the "
            "package tokenizers). Without it, 4 bytes are taken for a token.",
            show_default=False,
        ),
    ] = None,
    examples: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Show so many rows as the judge would see them: the first of each data source and of each set of "
            "overridden settings, then the first of all.",
        ),
    ] = 3,
    row: Annotated[
        list[int] | None,
        typer.Option(
            min=0, metavar="N", help="Show this row, counted from 0, instead; again for more.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document in place of tables.")] = False,
) -> None:
    """Tell what a trainer's file holds, how its rows would be judged, and what is wrong with them.

    Shown are the fields, rows by data source, lengths, example rows in the very words that the judge would be sent,
    and findings: rows without a reference or a problem, rows too long for the judge, duplicates, settings that rows
    change, and more. Nobody is asked anything. Settings are those of a training run: the LLM_JUDGE_* environment, and
    the YAML file that LLM_JUDGE_CONFIG names.

    A file of any size is read in pieces, with little memory.

    \b
    Exit code:
      0  every row can be scored; there may be warnings
      1  some rows can never be scored, or the trainer cannot take the file
      2  the command line, a setting or the file is of no use

    \b
    Examples:
      llm-judge-remote inspect train.parquet
      llm-judge-remote inspect train.parquet --row 17 --template detailed
      llm-judge-remote inspect rollouts.jsonl --candidate answer --json | jq .findings
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    with command():
        try:
            report = _inspected(file, template, candidate, context, tokenizer, examples, row or [])
        except DatasetError as error:
            raise ConfigError(str(error)) from None  # nothing can be said of a file that cannot be read
        if as_json:
            print_json(report.to_dict())
        else:
            from llm_judge_remote.cli.inspect_report import show  # noqa: PLC0415 (as below)

            show(report)
    raise typer.Exit(FAILED if report.has_errors else FINE)


def _inspected(
    file: Path,
    template: str | None,
    candidate: str | None,
    context: int | None,
    tokenizer: str | None,
    examples: int,
    rows: list[int],
) -> Inspection:
    try:
        from llm_judge_remote.dataset.as_judged import Context, token_counter  # noqa: PLC0415 (heavy, and an extra)
        from llm_judge_remote.dataset.inspection import DEFAULT_CONTEXT  # noqa: PLC0415
        from llm_judge_remote.dataset.inspection import inspect_file as walk  # noqa: PLC0415
    except ImportError as error:
        msg = f"inspect needs {error.name}: pip install 'llm-judge-remote[data]'"
        raise DatasetError(msg) from None
    settings = JudgeSettings(**({"prompt_template": template} if template else {}))
    count = token_counter(tokenizer) if tokenizer else None
    errors = console(stderr=True)
    with errors.status(f"Reading {file.name} ...") as status:

        def say(done: int, total: int | None) -> None:
            of_all = f" of {total:,}" if total else ""
            status.update(f"Reading {file.name}: {done:,}{of_all} rows ...")

        return walk(
            file,
            settings,
            candidate=candidate,
            context=Context(context or DEFAULT_CONTEXT, count),
            examples=examples,
            wanted=rows,
            on_progress=say if errors.is_terminal else None,
        )
