"""`llm-judge-remote sleep`: have judge servers give their GPUs' memory back for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_judge_remote.cli.judge_options import ConfigFile, ServerUrl, Settings, given_settings
from llm_judge_remote.cli.sleeping import Done, for_each_server
from llm_judge_remote.cli.terminal import command
from llm_judge_remote.client.session import Session
from llm_judge_remote.client.sleep_mode import SleepMode
from llm_judge_remote.monitoring.look import look

__all__ = ["sleep"]


def sleep(
    server_url: ServerUrl = None,
    level: Annotated[
        int,
        typer.Option(
            min=1,
            max=2,
            metavar="1|2",
            help="1: keep the weights in the host's memory; 2: drop them, to be loaded again.",
        ),
    ] = 1,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Most seconds for a server to fall asleep.")
    ] = 300.0,
    force: Annotated[
        bool, typer.Option("--force", help="Do it though requests are under way: vLLM aborts them.")
    ] = False,
    settings: Settings = None,
    config: ConfigFile = None,
) -> None:
    """Put judge servers to sleep, so that others can have their GPUs' memory.

    For vLLM that was started with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1. A server that sleeps keeps its
    address, and whoever asks it waits. One that has requests under way is left alone. In a training run use
    Judge.awake(), which knows of other users.

    \b
    Exit code:
      0  all servers sleep
      1  one does not: it cannot, refused, is busy or does not answer
      2  the command line or a setting is of no use

    \b
    Examples:
      llm-judge-remote sleep --server-url http://HOST:8000
      llm-judge-remote sleep --level 2 --server-url file:///shared/exp/trial/judge
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)

    def put(session: Session, until: float) -> Done:
        sleep_mode = SleepMode(session, level)
        asleep = sleep_mode.is_sleeping(until)
        if asleep is None:
            return Done.not_able()
        if asleep:
            return Done(True, "sleeps already")
        figures = look(session, timeout).figures
        under_way = int((figures.running or 0) + (figures.waiting or 0))
        if under_way and not force:
            return Done(False, f"has {under_way} request{'s' * (under_way > 1)} under way; wait, or give --force")
        sleep_mode.sleep(until)
        return Done(True, f"sleeps, at level {level}")

    with command():
        code = for_each_server(given_settings(server_url, assignments=settings, config=config), put, timeout)
    raise typer.Exit(code)
