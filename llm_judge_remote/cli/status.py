"""`llm-judge-remote status`: how the servers are, and what they are doing."""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

import typer

from llm_judge_remote.cli.judge_options import ConfigFile, ServerUrl, Settings, given_settings
from llm_judge_remote.cli.status_table import document, json_lines, live, rendered
from llm_judge_remote.cli.terminal import FAILED, FINE, command, console, print_json
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.monitoring.fleet import WatchedFleet
from llm_judge_remote.settings import JudgeSettings

__all__ = ["status"]


def status(
    server_url: ServerUrl = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float,
        typer.Option(min=0.1, max=3600.0, metavar="SECONDS", help="Seconds between two looks, for rates and --watch."),
    ] = 2.0,
    settings: Settings = None,
    config: ConfigFile = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON document in place of a table; with --watch a line for each look."),
    ] = False,
) -> None:
    """Show how the servers are and what they are doing: a row for each.

    Asked are /health and /metrics of every server that the address leads to, or that a registry lists. Tokens per
    second are what their counters grew by between two looks, so that one look takes an interval too.

    \b
    Columns:
      state   well; asleep (see wake); unwell: answers, but cannot work; down
      run     requests that are worked on     wait    requests that wait for it
      KV      share of the KV cache in use; near 100 % requests are preempted
      prefix  share of prompt tokens found in the prefix cache, since the last
              look if there were any, else since the server started
      in/s    prompt tokens per second        out/s   tokens of replies
      breaker shown when one is open: how many clients take the server for down,
              each until its own next row finds it well

    A breaker is each client's own. Those of this user's processes on this machine are known by themselves; for those
    of others, let all clients and this command have the same breaker_folder, on a file system that they share.

    \b
    Exit code:
      0  at least one server is well or asleep; --watch ended by Ctrl-C
      1  none is, or no server is registered
      2  the command line or a setting is of no use

    \b
    Examples:
      llm-judge-remote status --server-url http://HOST:8000
      llm-judge-remote status --watch --server-url file:///shared/exp/trial/judge
      llm-judge-remote status --json | jq '.servers[].running'
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    with command():
        made = JudgeSettings(**given_settings(server_url, assignments=settings, config=config))
        if not made.server_url:
            msg = "no address: give --server-url, or set LLM_JUDGE_SERVER_URL"
            raise ConfigError(msg)
        with WatchedFleet(made) as fleet:
            code = _watch(fleet, interval, as_json) if watch else _once(fleet, interval, as_json)
    raise typer.Exit(code)


def _once(fleet: WatchedFleet, interval: float, as_json: bool) -> int:
    statuses = fleet.look()
    if any(each.is_well for each in statuses):
        time.sleep(interval)
        statuses = fleet.look()
    if as_json:
        print_json(document(statuses, fleet.troubles))
    else:
        console().print(rendered(statuses, fleet.troubles))
    return FINE if any(each.is_well for each in statuses) else FAILED


def _watch(fleet: WatchedFleet, interval: float, as_json: bool) -> int:
    """Look until Ctrl-C."""
    display = contextlib.nullcontext(json_lines) if as_json else live(console())
    with contextlib.suppress(KeyboardInterrupt), display as show:
        while True:
            began = time.monotonic()
            show(fleet.look(), fleet.troubles)
            time.sleep(max(interval - (time.monotonic() - began), 0.0))
    return FINE
