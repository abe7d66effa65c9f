"""Printing that keeps nobody waiting."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading

__all__ = ["Printer"]

_MOST_LINES = 10_000
_CLOSE_S = 2.0


class Printer:
    """Prints lines from a thread of its own.

    Where nobody reads them (a full pipe, a terminal that is gone) lines are lost, and whoever had them printed goes on.
    """

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_LINES)
        encoding = sys.stdout.encoding if sys.stdout is not None else None
        self._encoding = encoding or "utf-8"
        self._thread = threading.Thread(target=self._print, name="judge-printer", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Have a line printed, if there is room for it."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(line)

    def close(self) -> None:
        """Print what is left, for two seconds at most."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=_CLOSE_S)
        self._thread.join(_CLOSE_S)

    def _print(self) -> None:
        # Not through sys.stdout: its lock, held by a thread that is stuck, would end the process in a bad way.
        with contextlib.suppress(OSError):
            while (line := self._lines.get()) is not None:
                data = f"{line}\n".encode(self._encoding, "replace")
                while data:
                    data = data[os.write(1, data) :]
