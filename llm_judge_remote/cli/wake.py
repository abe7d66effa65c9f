"""`llm-judge-remote wake`: have judge servers that sleep judge again."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_judge_remote.cli.judge_options import ConfigFile, ServerUrl, Settings, given_settings
from llm_judge_remote.cli.sleeping import Done, for_each_server
from llm_judge_remote.cli.terminal import command
from llm_judge_remote.client.session import Session
from llm_judge_remote.client.sleep_mode import SleepMode
from llm_judge_remote.monitoring.look import look

__all__ = ["wake"]


def wake(
    server_url: ServerUrl = None,
    level: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2,
            metavar="1|2",
            help="The level at which it was put to sleep. Without it, what its /metrics say, else 1.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Most seconds for a server to be up again.")
    ] = 300.0,
    settings: Settings = None,
    config: ConfigFile = None,
) -> None:
    """Wake judge servers that sleep, and wait until they can be asked.

    After level 2 the weights are loaded again on the way: woken as if from level 1, such a server would answer with
    gibberish. vLLM tells the level in its /metrics.

    \b
    Exit code:
      0  all servers are awake
      1  one is not: it has no sleep mode, refused, or is not up in time
      2  the command line or a setting is of no use

    \b
    Examples:
      llm-judge-remote wake --server-url http://HOST:8000
      llm-judge-remote wake --level 2 --timeout 900 --server-url http://HOST:8000
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)

    def put(session: Session, until: float) -> Done:
        asleep = SleepMode(session).is_sleeping(until)
        if asleep is None:
            return Done.not_able()
        if not asleep:
            return Done(True, "is awake already")
        known = level or look(session, timeout).figures.sleep_level or 1
        SleepMode(session, known).wake(until)
        return Done(True, f"is awake; it slept at level {known}")

    with command():
        code = for_each_server(given_settings(server_url, assignments=settings, config=config), put, timeout)
    raise typer.Exit(code)
