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
from collections.abc import Callable, Iterator
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

__all__ = ["AbortedError", "Attempt", "AttemptGuard"]

_IDLE_LIMIT_S = 4.0  # uvicorn, under vLLM and SGLang, closes a connection that was idle for 5 s
_RECHECK_S = 0.05
_LARGE_BODY = 65536  # more than a socket's buffer surely takes


class AbortedError(Exception):
    """The attempt was given up from outside."""


class Attempt:
    """One attempt under way.

    Args:
        on_waiting: Called once, by the thread that makes the attempt, when it is about to wait for the server.

    Attributes:
        expired: Its time was up before it was done.
        aborted: It was given up before it was done.
    """

    __slots__ = ("_guard", "_on_waiting", "aborted", "connection", "done", "expired")

    def __init__(self, on_waiting: Callable[[], None] | None = None) -> None:
        self._on_waiting = on_waiting
        self._guard: AttemptGuard | None = None
        self.connection: Any = None
        self.done = False
        self.expired = False
        self.aborted = False

    def waiting(self) -> None:
        """The server has the next word."""
        on_waiting, self._on_waiting = self._on_waiting, None
        if on_waiting is not None:
            on_waiting()

    def abort(self) -> None:
        """Give it up, from any thread: its connection is closed, and whoever waits for it wakes with an error."""
        self.aborted = True
        guard = self._guard
        if guard is not None:
            guard.end(self)

    def begin(self, guard: AttemptGuard) -> None:
        """It is watched by this guard from now on."""
        self._guard = guard
        self.done = False


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
    def watched(self, attempt: Attempt, timeout: float) -> Iterator[None]:
        """The calling thread makes an attempt that may take `timeout` seconds."""
        attempt.begin(self)
        self._current.attempt = attempt
        with self._condition:
            self._watch(attempt, time.monotonic() + timeout)
        try:
            yield
        finally:
            self._current.attempt = None
            with self._condition:
                attempt.done = True
                attempt.connection = None

    def claim(self, connection: Any) -> None:
        """Note that the calling thread's attempt uses this connection from now on.

        Raises:
            AbortedError: The attempt was given up meanwhile, its time is up, or the session was closed.
        """
        attempt = getattr(self._current, "attempt", None)
        with self._condition:
            connection.attempt = attempt
            if attempt is not None:
                attempt.connection = connection
            if self.closed or (attempt is not None and (attempt.aborted or attempt.expired)):
                raise AbortedError

    def end(self, attempt: Attempt) -> None:
        """Shut down the attempt's connection."""
        with self._condition:
            self._shut(attempt)
            if not attempt.done:
                self._watch(attempt, time.monotonic() + _RECHECK_S)

    def close(self) -> None:
        """End all attempts and the thread."""
        with self._condition:
            self.closed = True
            for _, _, attempt in self._heap:
                attempt.expired = True
                self._shut(attempt)
            self._condition.notify()

    def _watch(self, attempt: Attempt, at: float) -> None:
        while self._heap and self._heap[0][2].done:  # what is over must not be kept until its time would have been up
            heapq.heappop(self._heap)
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
                    attempt.expired = not attempt.aborted
                    self._shut(attempt)
                    # A connection that was still being opened has no socket to shut down yet.
                    self._watch(attempt, now + _RECHECK_S)

    @staticmethod
    def _shut(attempt: Attempt) -> None:
        """Shut down the attempt's socket; the lock keeps the connection from passing to another attempt meanwhile."""
        if attempt.done:
            return
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
        self.guard.claim(self)  # over TLS, or through a proxy, it connects before there is a request
        if self.attempt is not None:
            self.attempt.waiting()
        super().connect()  # type: ignore[misc]
        self.in_use = self.sock  # type: ignore[attr-defined]
        self._idle_since = time.monotonic()
        self.guard.claim(self)  # until now there was no socket to shut down

    def request(self, *args: Any, **kwargs: Any) -> None:
        self.guard.claim(self)
        body = kwargs.get("body")
        if self.attempt is not None and body is not None and len(body) > _LARGE_BODY:
            self.attempt.waiting()  # sending may have to wait for a server that does not read
        if self.sock is not None and time.monotonic() - self._idle_since > _IDLE_LIMIT_S:  # type: ignore[attr-defined]
            self.close()  # type: ignore[attr-defined]
        super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        if self.attempt is not None:
            self.attempt.waiting()
        response = super().getresponse()  # type: ignore[misc]
        self._idle_since = time.monotonic()
        return response
