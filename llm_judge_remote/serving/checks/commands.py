"""How a check before the start of an engine asks the machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence

__all__ = ["Run", "run_command"]

Run = Callable[[Sequence[str]], str]
"""Runs a command and returns what it prints. Raises OSError if it is not there, SubprocessError if it fails."""

_TIMEOUT_S = 30.0  # nvidia-smi wakes up GPUs that sleep, and takes its time


def run_command(command: Sequence[str]) -> str:
    """What a command prints.

    Raises:
        OSError: It is not there.
        SubprocessError: It failed, or took more than half a minute.
    """
    # In plain English, whatever the user's language is: the output is read by us.
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(  # noqa: S603 (fixed commands, and the interpreter that the user names)
        command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S, env=environment
    )
    return done.stdout
