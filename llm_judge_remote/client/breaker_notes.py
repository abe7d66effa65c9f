"""Notes on disk of the servers that a process takes for down, as `status` shows them.

A breaker belongs to one process. Each process that has open ones keeps a file in a folder that it shares with whoever
looks, writes it again every few seconds, and takes it away when all are closed or it ends. What a killed process left
behind grows old, and counts no more.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Sequence

from llm_judge_remote.client.breaker_folder import OpenBreaker, absolute, write_open_breakers
from llm_judge_remote.logs import logger

__all__ = ["BreakerNotes"]

log = logger(__name__)

_AGAIN_S = 10.0
_END_S = 1.0
_MOST_WORDS = 500  # characters of an error


class BreakerNotes:
    """What one judge in one process notes; safe in threads, and quick: a thread of its own writes the file.

    That thread starts with the first breaker that opens. Where the file cannot be written this is logged, and nothing
    else suffers.

    Args:
        folder: Where the file is; `auto`: in a folder of this user's, in the system's for temporary files.
    """

    def __init__(self, folder: str) -> None:
        self._folder = absolute(folder)
        self._name = f"breakers-{os.getpid()}-{secrets.token_hex(4)}.json"
        self._open: dict[str, OpenBreaker] = {}
        self._is_changed = self._is_closed = False
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._trouble = ""

    def opened(self, address: str, error: str) -> None:
        """A server counts as down from now on."""
        words = error[:_MOST_WORDS].encode("utf-8", "replace").decode()
        noted = OpenBreaker(address, socket.gethostname(), os.getpid(), time.time(), words)
        with self._condition:
            self._open[address] = noted
            self._change()

    def closed(self, address: str) -> None:
        """A server answers again, or is used no more."""
        with self._condition:
            if self._open.pop(address, None) is not None:
                self._change()

    def close(self) -> None:
        """Take the file away."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        # The garbage collector closes a judge in whatever thread it works.
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_END_S)  # no longer, should the folder's file system have gone away

    def _change(self) -> None:
        self._is_changed = True
        if self._thread is not None:
            self._condition.notify()
        elif not self._is_closed:
            thread = threading.Thread(target=self._run, name="judge-breakers", daemon=True)
            with contextlib.suppress(RuntimeError):  # no thread is to be had: the next change tries again
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while (noted := self._next()) is not None:
            trouble = self._trouble_in_writing(noted)
            if trouble not in ("", self._trouble):  # said once, and not every few seconds
                log.warning("open breakers cannot be noted (breaker_folder=%r): %s", self._folder, trouble)
            self._trouble = trouble
        with contextlib.suppress(OSError):
            write_open_breakers(self._folder, self._name, ())

    def _next(self) -> Sequence[OpenBreaker] | None:
        """What is to be written, when it is time; None at the end."""
        with self._condition:
            while not (self._is_changed or self._is_closed):
                if not self._condition.wait(_AGAIN_S if self._open else None):
                    break
            self._is_changed = False
            return None if self._is_closed else list(self._open.values())

    def _trouble_in_writing(self, noted: Sequence[OpenBreaker]) -> str:
        try:
            write_open_breakers(self._folder, self._name, noted)
        except OSError as error:
            return str(error)
        return ""
