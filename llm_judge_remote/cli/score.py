"""`llm-judge-remote score`: a file of candidates is judged."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge_remote.cli.judge_options import ConfigFile, Model, ServerUrl, Settings, Template, given_settings
from llm_judge_remote.cli.score_progress import Watcher, summary_lines
from llm_judge_remote.cli.terminal import FAILED, FINE, command, console, print_json
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.settings import JudgeSettings

if TYPE_CHECKING:
    from llm_judge_remote.offline.job import Scored

__all__ = ["score"]

_SIGNALLED = 128


class Engine(str, Enum):
    """Who judges."""

    LOCAL = "local"
    RAY = "ray"


def score(
    input: Annotated[  # noqa: A002 (the argument's name on the command line)
        Path,
        typer.Argument(
            metavar="IN",
            help="Rows to score: parquet, JSON lines or a JSON array (.gz or not).",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT.parquet", help="File to write.", show_default=False)],
    server_url: ServerUrl = None,
    model: Model = None,
    template: Template = None,
    settings: Settings = None,
    config: ConfigFile = None,
    candidate: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of the candidates. By itself found are candidate, solution_str, response, completion, output, "
            "prediction and generated_text.",
            show_default=False,
        ),
    ] = None,
    problem: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of the problems. Without it: problem or question of extra_info, a column problem or question, "
            "or the last user turn of prompt.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of the references. Without it: reward_model.ground_truth (verl), reward_spec.ground_truth "
            "(SkyRL), ground_truth, reference, references, answer or solution.",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option(metavar="TEXT", help="Put TEXT before the names of all new columns.", show_default=False)
    ] = "",
    failed_only: Annotated[
        bool,
        typer.Option(
            "--failed-only", help="IN was written by this command: judge again only what fell back or failed."
        ),
    ] = False,
    keep_prompts: Annotated[
        bool, typer.Option("--keep-prompts", help="Add the column judge_prompt: what the judge was sent.")
    ] = False,
    max_fallback: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, metavar="SHARE", help="Share of rows that may fall back or fail without exit code 1."
        ),
    ] = 0.0,
    engine: Annotated[
        Engine, typer.Option(help="Who judges: this process, or actors on the machines of a Ray cluster.")
    ] = Engine.LOCAL,
    actors: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="With --engine ray: actors. [default: one a machine]", show_default=False
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is there.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Drop what an unfinished run with other settings has left.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON document.")] = False,
) -> None:
    """Judge a file of candidates; OUT has all its columns, in its order, and the judgements'.

    Rows are verl's (data_source, reward_model, extra_info, prompt), SkyRL's, or plain columns. New columns are those of
    return_details=True, score first, and judge_reply, the judge's text. A column that is there already is replaced only
    if an earlier scoring wrote it. A field in a column of objects is named COLUMN.FIELD.

    Rows are asked about as in training, by the same settings, but for `deadline`, which has no meaning here. As many
    as `max_in_flight` are under way at each server. Where no server answers for a minute (`outage_grace`), or 200 rows
    in a row are not judged, it stops. With `fallback=group_mean` the rows of a group are to stand beside each other.

    However it is stopped, what was judged is kept in a hidden folder beside OUT, and the same command goes on from
    there. OUT appears when all rows are done.

    \b
    Exit code:
      0  all rows are scored, by the judge or by a rule
      1  more than --max-fallback of them fell back or failed; or it stopped, or a
         file cannot be read or written: see the message
      2  the command line or a setting is of no use: nothing was asked
      130, 143  stopped by Ctrl-C or SIGTERM; the same command goes on

    \b
    Examples:
      llm-judge-remote score rollouts.parquet scored.parquet --server-url http://HOST:8000
      llm-judge-remote score rollouts.jsonl scored.parquet --candidate answer --reference key --set temperature=0
      llm-judge-remote score scored.parquet better.parquet --failed-only
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    with command("Stopped; the same command goes on."):
        made = JudgeSettings(**given_settings(server_url, model, template, settings, config))
        try:
            from llm_judge_remote.offline.job import score_file  # noqa: PLC0415 (pyarrow is heavy, and an extra)
            from llm_judge_remote.offline.order import Order  # noqa: PLC0415
        except ImportError as error:
            msg = f"score needs pyarrow: pip install 'llm-judge-remote[data]' ({error})"
            raise ConfigError(msg) from None
        order = Order(
            input,
            output,
            candidate=candidate,
            problem=problem,
            reference=reference,
            prefix=prefix,
            failed_only=failed_only,
            keep_prompts=keep_prompts,
            engine=engine.value,
            actors=actors,
            max_not_judged=max_fallback,
            overwrite=overwrite,
            restart=restart,
        )
        with Watcher(console(stderr=True)) as watcher:
            scored = score_file(order, made, on_progress=watcher)
    code = _exit_code(scored, max_fallback)
    if as_json:
        print_json(_document(scored, code))
    told = console(stderr=as_json or bool(scored.stopped))
    for line in summary_lines(scored, max_fallback):
        if not (as_json and scored.is_complete):
            told.print(line, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _exit_code(scored: Scored, max_fallback: float) -> int:
    if scored.signal:
        return _SIGNALLED + scored.signal
    if scored.stopped or scored.tally.not_judged > max_fallback * scored.rows:
        return FAILED
    return FINE


def _document(scored: Scored, code: int) -> dict[str, Any]:
    tally = scored.tally
    return {
        "exit_code": code,
        "output": str(scored.output) if scored.is_complete else None,
        "work_folder": None if scored.work_folder is None else str(scored.work_folder),
        "stopped": scored.stopped,
        "rows": scored.rows,
        "rows_done": tally.rows,
        "rows_taken_over": scored.taken_over,
        "seconds": scored.seconds,
        "rows_per_s": scored.rows_per_s,
        "outcomes": dict(tally.outcomes),
        "not_judged": tally.not_judged,
        "reasons": dict(tally.reasons.most_common()),
        "answer_p50_s": tally.quantile(0.5),
        "answer_p99_s": tally.quantile(0.99),
        "prompt_tokens": tally.prompt_tokens,
        "completion_tokens": tally.completion_tokens,
    }
