"""The parent of an engine: ends it when the process that wanted it is gone.

`Engine` starts this file as a script, in a session of its own, and the guard starts the engine in that same process
group. The guard holds the reading end of a pipe whose writing end only `Engine`'s process has. When that process ends,
even by SIGKILL, the pipe closes, and the guard ends the whole group. Unlike Linux's parent death signal this does not
depend on the thread that started the engine, and it reaches the engine's own children.

This file imports the standard library only: it starts at once, whatever is installed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

__all__ = ["LINGER_S", "group_members", "main"]

LINGER_S = 3.0
"""Seconds that what the engine leaves behind in its group has to end on SIGTERM."""

_POLL_S = 0.05
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def group_members(group: int) -> list[int]:
    """Process ids of a process group that still run, zombies left out; [] where there is no /proc."""
    members = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # "pid (name) state ppid pgrp ...", and the name may hold spaces and brackets.
            state, _, pgrp = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
        except (OSError, ValueError):  # it ended meanwhile
            continue
        if int(pgrp) == group and state not in "ZX":
            members.append(int(entry.name))
    return members


def _adopt_orphans() -> None:
    """Have the engine's orphans become children of this process, which reaps them; where Linux's prctl is there."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end_when_alone(lifeline: int, grace: float) -> None:
    """Wait for the pipe to close, then SIGTERM to the group, and SIGKILL, to this process too, after the grace."""
    os.read(lifeline, 1)  # returns when the last holder of the other end is gone
    os.killpg(0, signal.SIGTERM)
    time.sleep(grace)  # if all goes well, the main thread ends this process meanwhile
    os.killpg(0, signal.SIGKILL)


def _end_rest() -> None:
    """End what the engine has left behind in its group."""
    own = [os.getpid()]
    until = time.monotonic() + LINGER_S
    told = False
    while group_members(os.getpgrp()) != own:
        if not told:
            os.killpg(0, signal.SIGTERM)
            told = True
        if time.monotonic() > until:
            os.killpg(0, signal.SIGKILL)
        time.sleep(_POLL_S)
        _reap()
    _reap()


def main(arguments: list[str]) -> int:
    """Run `arguments[2:]` until it ends or the pipe closes.

    Args:
        arguments: File descriptor of the pipe's reading end, seconds between SIGTERM and SIGKILL, then the command.

    Returns:
        The command's exit code, or 128 + the signal that ended it.
    """
    lifeline, grace, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    # A handler, not SIG_IGN: that one the engine would inherit. The group's SIGTERM must not end the guard, which has
    # to see the others end.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    _adopt_orphans()
    try:
        engine = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 (the caller's own command)
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr)  # noqa: T201 (this is the log)
        return 127
    threading.Thread(target=_end_when_alone, args=(lifeline, grace), daemon=True).start()
    code = None
    while code is None:
        pid, status = os.wait()  # the engine, or an orphan of its
        if pid == engine.pid:
            code = engine.returncode = os.waitstatus_to_exitcode(status)
    _end_rest()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
