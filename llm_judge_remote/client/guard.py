"""A bound on a whole attempt.

requests' timeout is per read: a reply that drips a byte at a time never trips it. Here one thread per session watches
the attempts that are under way and shuts down the socket of one whose time is up; whoever is blocked on it wakes with
an error at once, wherever the attempt stands: sending, waiting for the status line, or in the body.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

__all__ = ["Attempt", "AttemptGuard"]

_IDLE_LIMIT_S = 4.0  # uvicorn, under vLLM and SGLang, closes a connection that was idle for 5 s
_RECHECK_S = 0.05


class Attempt:
    """One attempt under way; `expired` once its time was up before it was done."""

    __slots__ = ("connection", "done", "expired", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.connection: Any = None
        self.done = False
        self.expired = False


class AttemptGuard:
    """Watches the attempts of one session; the thread that does it starts with the first attempt."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heap: list[tuple[float, int, Attempt]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self.closed = False
        self._current = threading.local()

    def pool_classes(self) -> dict[str, type[HTTPConnectionPool]]:
        """urllib3 pool classes whose connections this guard watches, by scheme."""
        plain = type("GuardedHTTPConnection", (_Guarded, HTTPConnection), {"guard": self})
        secure = type("GuardedHTTPSConnection", (_Guarded, HTTPSConnection), {"guard": self})
        return {
            "http": type("GuardedHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("GuardedHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }

    @contextlib.contextmanager
    def attempt(self, timeout: float) -> Iterator[Attempt]:
        """An attempt that may take `timeout` seconds, made by the calling thread."""
        attempt = Attempt(time.monotonic() + timeout)
        self._current.attempt = attempt
        with self._condition:
            self._watch(attempt, attempt.until)
        try:
            yield attempt
        finally:
            self._current.attempt = None
            with self._condition:
                attempt.done = True
                attempt.connection = None

    def claim(self, connection: Any) -> None:
        """Note that the calling thread's attempt uses this connection from now on."""
        attempt = getattr(self._current, "attempt", None)
        with self._condition:
            connection.attempt = attempt
            if attempt is not None:
                attempt.connection = connection

    def close(self) -> None:
        """End all attempts and the thread."""
        with self._condition:
            self.closed = True
            for _, _, attempt in self._heap:
                self._end(attempt)
            self._condition.notify()

    def _watch(self, attempt: Attempt, at: float) -> None:
        earliest = self._heap[0][0] if self._heap else None
        heapq.heappush(self._heap, (at, next(self._numbers), attempt))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="judge-timeouts", daemon=True)
            self._thread.start()
        elif earliest is None or at < earliest:
            self._condition.notify()

    def _run(self) -> None:
        with self._condition:
            while not self.closed:
                if not self._heap:
                    self._condition.wait()
                    continue
                at, _, attempt = self._heap[0]
                now = time.monotonic()
                if not attempt.done and at > now:
                    self._condition.wait(at - now)
                    continue
                heapq.heappop(self._heap)
                if not attempt.done:
                    self._end(attempt)
                    # A connection that was still being opened has no socket to shut down yet.
                    self._watch(attempt, now + _RECHECK_S)

    @staticmethod
    def _end(attempt: Attempt) -> None:
        """Shut down the attempt's socket; the lock keeps the connection from passing to another attempt meanwhile."""
        if attempt.done:
            return
        attempt.expired = True
        connection = attempt.connection
        if connection is not None and connection.attempt is attempt and connection.in_use is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection.in_use, socket.SHUT_RDWR)


class _Guarded:
    """Mixin for urllib3 connections: tells the guard who uses it, and drops a connection that lay idle too long."""

    guard: AttemptGuard
    attempt: Attempt | None = None
    # `sock` is None as soon as the head says that the connection will close, while the body is still to come.
    in_use: socket.socket | None = None
    _idle_since = 0.0

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.in_use = self.sock  # type: ignore[attr-defined]

    def request(self, *args: Any, **kwargs: Any) -> None:
        self.guard.claim(self)
        if self.sock is not None and time.monotonic() - self._idle_since > _IDLE_LIMIT_S:  # type: ignore[attr-defined]
            self.close()  # type: ignore[attr-defined]
        super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        response = super().getresponse()  # type: ignore[misc]
        self._idle_since = time.monotonic()
        return response
