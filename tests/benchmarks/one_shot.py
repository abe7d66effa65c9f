"""A measurement in a process of its own, which takes it by itself and prints it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from processes import BenchmarkError

__all__ = ["measured_by"]

_SECONDS = 3600.0
_LAST_LINES = 12


def measured_by(
    command: Sequence[str],
    *,
    what: str,
    environment: Mapping[str, str] | None = None,
    core: int | None = None,
    seconds: float = _SECONDS,
) -> dict[str, Any]:
    """Run a program, without settings of the judge in its environment; the JSON of its last line.

    Args:
        command: The program and its arguments.
        what: It measures, for messages.
        environment: Variables that it gets beside this process's.
        core: CPU to keep to, or None.
        seconds: That it may take.

    Raises:
        BenchmarkError: It failed, or took too long.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLM_JUDGE_")}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**kept, **(environment or {})},
            timeout=seconds,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
        )
    except subprocess.TimeoutExpired:
        msg = f"{what}: not done after {seconds:g} s"
        raise BenchmarkError(msg) from None
    if done.returncode:
        msg = f"{what}: the client failed\n" + "\n".join(done.stderr.splitlines()[-_LAST_LINES:])
        raise BenchmarkError(msg)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
