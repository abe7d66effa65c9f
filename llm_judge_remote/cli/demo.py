"""See real rollouts scored by a real model: `python -m llm_judge_remote.cli.demo`, or `make demo`.

Without `--server-url` a vLLM server is started for the demo, with a model so small that its scores mean little.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import llm_judge_remote
from llm_judge_remote.agreement import area
from llm_judge_remote.cli.demo_report import score_table, summary_lines
from llm_judge_remote.cli.demo_rows import read_rollouts, verl_rows, write_parquet
from llm_judge_remote.cli.demo_server import running_server
from llm_judge_remote.cli.terminal import command, console
from llm_judge_remote.errors import JudgeError
from llm_judge_remote.serving.small_model import MODEL_NAME

__all__ = ["app"]

# What agrees best with labels, also with small models (`make bench REGIMES=agreement`): one word, weighed by its
# probability, and a rule for the answers that need no judge.
_BEST = {"prompt_template": "yes_no", "scoring": "expected", "gate": "both", "temperature": 0}

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    server_url: Annotated[
        str | None,
        typer.Option(
            envvar="LLM_JUDGE_SERVER_URL",
            metavar="URL",
            help="Ask this server; without it one is started.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            envvar="LLM_JUDGE_DEMO_MODEL",
            metavar="NAME",
            help=f"Start the server with this model (a hub's name or a folder) instead of {MODEL_NAME}.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the files go that are written.")] = Path(
        "demo-output"
    ),
    start_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Most time for the server to start.")
    ] = 1800.0,
) -> None:
    """Score the package's example rollouts with a real model behind a real server, and show the scores.

    \b
    Exit code:
      0  rollouts were judged
      1  none was, or the server did not start
      2  a setting is of no use

    \b
    Examples:
      llm-judge-remote demo
      llm-judge-remote demo --server-url http://HOST:8000
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    shown = console()
    with command():
        judged = _run(shown, server_url, model, output, start_timeout)
        if not judged:
            msg = "no rollout was judged: see the reasons above"
            raise JudgeError(msg)


def _run(console: Console, server_url: str | None, model: str | None, output: Path, start_timeout: float) -> bool:
    rollouts = output / "rollouts.parquet"
    with contextlib.ExitStack() as stack:
        if server_url:
            console.print(f"Using the server {server_url}.", highlight=False)
            name = os.environ.get("LLM_JUDGE_MODEL_NAME") or os.environ.get("LLM_JUDGE_MODEL") or "auto"
        else:
            name = model or MODEL_NAME
            log = output / "vllm.log"
            server_url = stack.enter_context(running_server(console, model=model, log=log, start_timeout=start_timeout))
        judged = _score(console, rollouts, output / "scored.parquet", server_url, name)
    if name == MODEL_NAME:
        console.print(
            f"\n{MODEL_NAME} is a tiny model, here to show that everything works: by itself it tells right from wrong "
            "little better than a coin. With a judge worth asking:\n  LLM_JUDGE_SERVER_URL=http://HOST:PORT make demo",
            highlight=False,
        )
    return judged


def _score(console: Console, rollouts: Path, scored: Path, server_url: str, model: str) -> bool:
    """Write the rollouts, read them back as a trainer would, score them, show and write the scores.

    Returns:
        Whether the judge judged any.
    """
    import pandas as pd  # noqa: PLC0415 (heavy, and an extra)

    write_parquet(pd.DataFrame(verl_rows()), rollouts)
    frame = read_rollouts(rollouts)
    console.print(f"Scoring the {len(frame)} rollouts of {rollouts} ...", highlight=False)
    score = functools.partial(
        llm_judge_remote.compute_score_batched,
        list(frame["data_source"]),
        list(frame["candidate"]),
        [reward_model["ground_truth"] for reward_model in frame["reward_model"]],
        list(frame["extra_info"]),
        server_url=server_url,
        model_name=model,
        timeout=300,
        return_details=True,
        **_BEST,
    )
    begin = time.monotonic()
    details = score()
    seconds = time.monotonic() - begin
    alone = score(gate="off")
    result = pd.concat([frame, pd.DataFrame(details)], axis=1)
    result["problem"] = [info["problem"] for info in frame["extra_info"]]
    rows: list[dict[str, Any]] = result.to_dict("records")
    console.print(score_table(rows))
    labels = [bool(label) for label in frame["label"]]
    lines = summary_lines(rows, seconds)
    lines.append("Agreement with the labels (AUC: 1.00 is perfect, 0.50 a coin):")
    lines.append(f"  gate and judge, as above: {area([each['score'] for each in details], labels):.2f}")
    unjudged = [each["judge_reason"] for each in alone if each["judge_fallback"]]
    why = f", where {len(unjudged)} rollouts were not judged: {unjudged[0]}" if unjudged else ""
    lines.append(f"  judge alone: {area([each['score'] for each in alone], labels):.2f}{why}")
    for line in lines:
        console.print(line, highlight=False, markup=False)
    write_parquet(result.drop(columns="problem"), scored)
    console.print(f"Written: {scored}", highlight=False)
    return any(each["judge_ok"] for each in alone)


if __name__ == "__main__":
    app()
