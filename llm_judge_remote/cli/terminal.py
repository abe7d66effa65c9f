"""What all commands do alike: where they print, how they end, and with which exit code."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import typer
from rich.console import Console

from llm_judge_remote.errors import ConfigError, JudgeError

__all__ = ["FAILED", "FINE", "INTERRUPTED", "TERMINATED", "UNKNOWN", "UNUSABLE", "command", "console", "print_json"]

FINE = 0
"""What was asked for is done, and well."""
FAILED = 1
"""It is done and something is wrong, or it failed on the way."""
UNUSABLE = 2
"""The command line, a setting or a file is of no use: nothing was done."""
UNKNOWN = 3
"""Too little could be found out to say."""
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

_PLAIN_WIDTH = 140


def console(*, stderr: bool = False) -> Console:
    """A console of the terminal's width, or, where there is none, without colours and wide enough for a table."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=_PLAIN_WIDTH)


def print_json(document: Any) -> None:
    """One JSON document on the standard output."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@contextlib.contextmanager
def command(stopped: str = "Stopped.") -> Iterator[None]:
    """Around what a command does: its errors become a line on the standard error, and an exit code.

    ConfigError ends in `UNUSABLE`, any other JudgeError in `FAILED`, Ctrl-C in `INTERRUPTED`, SIGTERM in `TERMINATED`
    (by `SystemExit`, so that what is open is closed on the way out).

    Args:
        stopped: What to say after Ctrl-C.
    """
    # A shell's background job has SIGINT ignored, and would not be stopped by it.
    wanted = {signal.SIGTERM: _end, signal.SIGINT: signal.default_int_handler}
    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # not in the main thread, where signals are somebody else's
        before.update({number: signal.signal(number, handler) for number, handler in wanted.items()})
    errors = console(stderr=True)
    try:
        yield
    except KeyboardInterrupt:
        errors.print(stopped)
        raise typer.Exit(INTERRUPTED) from None
    except JudgeError as error:
        errors.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(UNUSABLE if isinstance(error, ConfigError) else FAILED) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signal module's contract)
    sys.exit(TERMINATED)
