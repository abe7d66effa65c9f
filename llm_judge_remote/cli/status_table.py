"""What `status` prints: a line about all servers, a row for each, and what is wrong."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from llm_judge_remote.monitoring.look import State
from llm_judge_remote.monitoring.status import ServerStatus

__all__ = ["Show", "document", "json_lines", "live", "rendered"]

Show = Callable[[Sequence[ServerStatus], Sequence[str]], None]
"""Shows servers, and what is wrong with registries."""

_COLOURS: Mapping[State, str] = {"well": "green", "asleep": "cyan", "unwell": "yellow", "down": "red"}
_NONE = "-"
_LEAST_WIDTH = 10  # of the addresses, however narrow the terminal


def rendered(statuses: Sequence[ServerStatus], troubles: Sequence[str], *, for_long: bool = False) -> RenderableType:
    """The servers as people read them.

    Args:
        statuses: Of all servers.
        troubles: What is wrong with registries.
        for_long: Whether they have been looked at for long enough to tell since when one is not well.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("server", overflow="fold", min_width=_LEAST_WIDTH)
    table.add_column("state", no_wrap=True)
    with_breakers = any(each.open_breakers for each in statuses)
    for name in ("run", "wait", "KV", "prefix", "in/s", "out/s", *(["breaker"] if with_breakers else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for each in statuses:
        table.add_row(
            Text(each.address.removeprefix("http://")),
            Text(_state(each, for_long), style=_COLOURS[each.state]),
            _number(each.running),
            _number(each.waiting),
            _share(each.kv_cache),
            _share(each.prefix_hit_rate),
            _number(each.prompt_tokens_per_s),
            _number(each.generation_tokens_per_s),
            *([f"open {len(each.open_breakers)}" if each.open_breakers else _NONE] if with_breakers else []),
        )
    notes = [Text(_printable(each.note), style=_COLOURS[each.state]) for each in statuses if each.note]
    notes += [Text(_printable(_breakers(each)), style="yellow") for each in statuses if each.open_breakers]
    notes += [Text(_printable(trouble), style="red") for trouble in troubles]
    return Group(Text(_summary(statuses)), *([table] if statuses else []), *notes)


def document(statuses: Sequence[ServerStatus], troubles: Sequence[str]) -> dict[str, object]:
    """The servers as programs read them."""
    return {"servers": [each.to_dict() for each in statuses], "troubles": list(troubles)}


@contextlib.contextmanager
def live(console: Console) -> Iterator[Show]:
    """Show the servers in place, on a screen of their own, and leave the last look behind.

    Without a terminal the looks are printed one after the other.
    """
    if not console.is_terminal:
        yield lambda statuses, troubles: console.print(_stamped(statuses, troubles), "")
        return
    last: RenderableType = ""
    try:
        with Live(console=console, screen=True, auto_refresh=False) as display:

            def show(statuses: Sequence[ServerStatus], troubles: Sequence[str]) -> None:
                nonlocal last
                last = _stamped(statuses, troubles)
                display.update(Group(last, Text("\nCtrl-C ends this.", style="dim")), refresh=True)

            yield show
    finally:
        console.print(last)


def json_lines(statuses: Sequence[ServerStatus], troubles: Sequence[str]) -> None:
    """A line for each look, with the time of it."""
    typer.echo(json.dumps({"time": time.time(), **document(statuses, troubles)}, ensure_ascii=False))


def _stamped(statuses: Sequence[ServerStatus], troubles: Sequence[str]) -> RenderableType:
    return Group(Text(time.strftime("%H:%M:%S"), style="dim"), rendered(statuses, troubles, for_long=True))


def _summary(statuses: Sequence[ServerStatus]) -> str:
    states = Counter(each.state for each in statuses)
    parts = [f"{len(statuses)} server{'' if len(statuses) == 1 else 's'}"]
    parts += [f"{states[state]} {state}" for state in _COLOURS if states[state]]
    running, waiting = (_sum([getattr(each, name) for each in statuses]) for name in ("running", "waiting"))
    if running is not None:
        parts.append(f"{_number(running)} running, {_number(waiting)} waiting")
    models = sorted({each.model for each in statuses if each.model})
    return " | ".join([*parts, *models])


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _state(status: ServerStatus, for_long: bool) -> str:
    """The state, and for how long it has been so if that is news."""
    if status.state == "well" or not for_long:
        return status.state
    minutes, seconds = divmod(int(status.state_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{status.state} {hours}:{minutes:02}:{seconds:02}" if hours else f"{status.state} {minutes}:{seconds:02}"


def _breakers(status: ServerStatus) -> str:
    """Who takes a server for down, since when and why."""
    first, *others = status.open_breakers
    more = f", and of {len(others)} more" if others else ""
    since = time.strftime("%H:%M:%S", time.localtime(first.since))
    why = "" if first.error == status.note else f": {first.error}"
    return f"{status.address}: the breaker of process {first.pid} on {first.host}{more} is open, since {since}{why}"


def _printable(text: str) -> str:
    """Without what would move a terminal's cursor or set its colours: servers, and other people's files, say it."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{value:.0%}"
