"""See real rollouts scored by a real model: `python -m llm_judge_remote.cli.demo`, or `make demo`.

Without `--server-url` a vLLM server is started for the demo, with a model so small that its scores mean little.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console

import llm_judge_remote
from llm_judge_remote.agreement import area
from llm_judge_remote.cli.demo_report import score_table, summary_lines
from llm_judge_remote.cli.demo_rows import read_rollouts, verl_rows, write_parquet
from llm_judge_remote.cli.demo_server import running_server
from llm_judge_remote.errors import JudgeError
from llm_judge_remote.serving.small_model import MODEL_NAME

__all__ = ["app"]

_PLAIN_WIDTH = 140
# What agrees best with labels, also with small models (`make bench REGIMES=agreement`): one word, weighed by its
# probability, and a rule for the answers that need no judge.
_BEST = {"prompt_template": "yes_no", "scoring": "expected", "gate": "both", "temperature": 0}
_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    server_url: Annotated[
        str | None,
        typer.Option(
            envvar="LLM_JUDGE_SERVER_URL", help="Ask this server; without it one is started.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            envvar="LLM_JUDGE_DEMO_MODEL",
            help=f"Start the server with this model (a hub's name or a folder) instead of {MODEL_NAME}.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the files that are written.")] = Path("demo-output"),
    start_timeout: Annotated[float, typer.Option(help="Most seconds for the server to start.")] = 1800.0,
) -> None:
    """Score the package's example rollouts with a real model behind a real server, and show the scores."""
    console = Console()
    if not console.is_terminal:
        # No terminal to ask for its width: as wide as the table needs.
        console = Console(width=_PLAIN_WIDTH)
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    # A shell's background job has SIGINT ignored, and would not be stopped by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        judged = _run(console, server_url, model, output, start_timeout)
    except KeyboardInterrupt:
        console.print("\nStopped.")
        raise typer.Exit(_INTERRUPTED) from None
    except JudgeError as error:
        console.print(f"The demo failed: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
    if not judged:
        console.print("No rollout was judged: see the reasons above.", style="red")
        raise typer.Exit(1)


def _exit_on_sigterm(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signal module's contract)
    """End as on an error, so that the server is stopped on the way out."""
    sys.exit(_TERMINATED)


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
