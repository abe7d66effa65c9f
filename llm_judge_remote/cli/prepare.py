"""`llm-judge-remote prepare`: a data set becomes rows that a trainer reads, and pairs that measure membership."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from llm_judge_remote.cli.judge_options import read_assignment
from llm_judge_remote.cli.terminal import command, console
from llm_judge_remote.errors import ConfigError

__all__ = ["prepare"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PREFIX = "llm_judge_remote_"
_PAIRING = "random_pairing:"
_PAIRINGS = ("same_problem", "full_random")
_METHODS = (*(f"{_PAIRING}{each}" for each in _PAIRINGS), "unused_examples", "perturbed_solution", "separate_dataset")

_Texts = list[str] | None


def prepare(
    name: Annotated[
        str, typer.Argument(help=f"Name of the data set; its data_source is {_PREFIX}NAME.", show_default=False)
    ],
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|NAME",
            help="JSON lines, JSON, CSV or parquet; a glob or a folder of such; or a hub's data set. Again for more.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Parquet to write; NAME.parquet if not given."),
    ] = None,
    problem: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the problem; a usual name if not given.")
    ] = None,
    reference: Annotated[
        _Texts,
        typer.Option(metavar="COLUMN", help="Column of the reference; again for more, the first is the solution."),
    ] = None,
    messages: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of chat messages, which become the prompt.")
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="NAME", help="Split of a hub's data set, and extra_info.split.")
    ] = "train",
    hub_config: Annotated[str | None, typer.Option(metavar="NAME", help="Configuration of a hub's data set.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave rows out that cannot be used, and count them; else they end it.")
    ] = False,
    ability: Annotated[str, typer.Option(metavar="WORD", help="verl's column of that name.")] = "math",
    style: Annotated[str, typer.Option(metavar="WORD", help="reward_model.style.")] = "model",
    system_prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="First turn of each prompt.")] = None,
    prompt_template: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The user's turn, with {problem} where the problem belongs.")
    ] = None,
    all_references: Annotated[
        bool, typer.Option("--all-references", help="ground_truth is the list of all references, not the first one.")
    ] = False,
    judge_setting: Annotated[
        _Texts,
        typer.Option(
            metavar="NAME=VALUE",
            help="A setting of the judge, put into each row; they belong rather into the trainer's configuration.",
        ),
    ] = None,
    layout: Annotated[str, typer.Option(metavar="verl|skyrl", help="Whose columns.")] = "verl",
    mia: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD", help=f"Write members and non-members for membership inference: {', '.join(_METHODS)}."
        ),
    ] = None,
    pairs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Members, and non-members; as many as can be if not given.")
    ] = None,
    separate_input: Annotated[
        _Texts, typer.Option(metavar="FILE|NAME", help="Where separate_dataset has its non-members from.")
    ] = None,
    reverse_member: Annotated[
        bool, typer.Option("--reverse-member", help="Members and non-members change their roles.")
    ] = False,
    include_target_gt: Annotated[
        bool, typer.Option("--include-target-gt", help="Put extra_info.target_gt, the references, into rows.")
    ] = False,
    augment_target_gt: Annotated[
        str | None,
        typer.Option(
            metavar="HOW:K[:MODEL]",
            help="Add K other solutions to target_gt: random ones, the lexical or the embedding nearest.",
        ),
    ] = None,
    assistant_prefix_ratio: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Let the prompt end in this share of the solution, as the assistant.",
        ),
    ] = 0.0,
    subset_size: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Take N rows of the input, drawn by the seed.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of all that is drawn.")] = 0,
    row_group_rows: Annotated[int, typer.Option(min=1, metavar="N", help="Most rows of a parquet row group.")] = 16_384,
    recipe: Annotated[str, typer.Option(hidden=True)] = "llm-judge-remote prepare",
) -> None:
    """Write a data set as parquet that verl or SkyRL reads, and pairs that measure membership inference.

    Each row has data_source, prompt, ability, reward_model (style, ground_truth) and extra_info (index, split, problem,
    and what is asked for). With --mia the rows are the members, and beside FILE.parquet stand FILE_members.jsonl,
    FILE_nonmembers.jsonl and FILE_summary.json. The same input, options and seed give the same bytes.

    Files appear when they are complete. A run that was stopped leaves its work in a hidden folder beside the output,
    and the same command goes on from there.

    \b
    Exit code:
      0  the files are written
      1  the input cannot be read, or the output cannot be written
      2  the command line or a setting is of no use

    \b
    Examples:
      llm-judge-remote prepare math500 --input math500_test.jsonl --split test --output test.parquet
      llm-judge-remote prepare mine --input 'part-*.csv' --problem task --reference key --skip-bad
      llm-judge-remote prepare math500 --input math500_test.jsonl --mia random_pairing:same_problem --pairs 100
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    given = {each: value for each, value in locals().items() if each not in ("name", "inputs", "output", "recipe")}
    with command(stopped="Stopped; the same command goes on from here."):
        _prepare(name, inputs, output or Path(f"{name}.parquet"), recipe, given)


def _prepare(
    name: str,
    inputs: Sequence[str],
    output: Path,
    recipe: str,
    given: dict[str, Any],
) -> None:
    try:
        from llm_judge_remote.dataset import job, rows, source  # noqa: PLC0415 (pyarrow is heavy, and an extra)
    except ImportError as error:
        msg = f"data preparation needs pyarrow and pandas: pip install 'llm-judge-remote[data]' ({error})"
        raise ConfigError(msg) from None
    if not _NAME.fullmatch(name):
        msg = f"{name!r} is no name for a data set: letters, digits, dots, dashes and underscores will do"
        raise ConfigError(msg)
    columns = source.Columns(given["problem"], tuple(given["reference"] or ()), given["messages"])

    def opened(names: Sequence[str]) -> source.Source:
        return source.open_source(
            names, columns=columns, split=given["split"], name=given["hub_config"], skip_bad=given["skip_bad"]
        )

    options = rows.RowOptions(
        f"{_PREFIX}{name}",
        judge_settings=dict(read_assignment(each, "--judge-setting") for each in given["judge_setting"] or ()),
        **{
            each: given[each]
            for each in (
                "split",
                "ability",
                "style",
                "system_prompt",
                "prompt_template",
                "all_references",
                "include_target_gt",
                "assistant_prefix_ratio",
                "layout",
            )
        },
    )
    membership = None
    if given["mia"] is not None:
        others = opened(given["separate_input"]) if given["separate_input"] else None
        membership = job.Membership(_method(given["mia"]), given["pairs"], others, given["reverse_member"])
    else:
        for option in ("pairs", "separate_input", "reverse_member"):
            if given[option]:
                msg = f"--{option.replace('_', '-')} says how members and non-members are made: --mia is missing"
                raise ConfigError(msg)
    arguments = {each: given[each] for each in ("problem", "reference", "messages", "hub_config", "skip_bad")}
    errors = console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
        disable=not errors.is_terminal,
    ) as bar:
        task = bar.add_task("rows", total=None)
        made = job.prepare(
            opened(inputs),
            output,
            options,
            recipe=recipe,
            arguments=arguments,
            membership=membership,
            targets=given["augment_target_gt"],
            subset_size=given["subset_size"],
            seed=given["seed"],
            row_group_rows=given["row_group_rows"],
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _tell(made)


def _tell(made: Any) -> None:
    if made.taken_over:
        typer.echo(f"{made.taken_over} rows were taken over from a run that was stopped.")
    typer.echo(f"{made.rows} rows in {made.files[0]}")
    for file in made.files[1:]:
        typer.echo(f"  beside it {file.name}")
    if made.skipped.count:
        typer.echo(f"Rows of the input that were left out: {made.skipped.count}")
        for file, line, why in made.skipped.first:
            typer.echo(f"  {file}, {line}: {why}")


def _method(given: str) -> str:
    """A method as the package calls it."""
    if given not in _METHODS:
        msg = f"--mia {given}: there is no such method; there are {', '.join(_METHODS)}"
        raise ConfigError(msg)
    return given.removeprefix(_PAIRING)
