"""Show a log file while it grows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

__all__ = ["Follower"]

_LOOK_S = 0.2
_MOST_BYTES = 65_536  # of a line that does not end
_MOST_KEPT = 32 * 2**20  # of a file that has been shown


class Follower:
    """Gives the lines of a file to a function, those to come too, inside a `with` block.

    Args:
        path: Of the file; it need not be there yet. It is emptied when it has grown beyond 32 MiB and been shown: its
            writer must append.
        show: Called in a thread of its own with each line, without its end.
    """

    def __init__(self, path: Path, show: Callable[[str], None]) -> None:
        self._path = path
        self._show = show
        self._over = threading.Event()
        self._rest = b""
        self._place = 0
        self._thread = threading.Thread(target=self._follow, name="judge-log", daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(_LOOK_S):
            self._look()
        self._look()
        if self._rest:
            self._show(self._rest.decode("utf-8", "replace"))

    def _look(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                while piece := file.read(_MOST_BYTES):
                    self._place += len(piece)
                    *lines, self._rest = (self._rest + piece).split(b"\n")
                    if len(self._rest) > _MOST_BYTES:
                        lines, self._rest = [*lines, self._rest], b""
                    for line in lines:
                        self._show(line.rstrip(b"\r").decode("utf-8", "replace"))
            if self._place > _MOST_KEPT:
                os.truncate(self._path, 0)
                self._place = 0
        except FileNotFoundError:
            return
