"""Who is in service, who waits, and for how long."""

from __future__ import annotations

import heapq
import math
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from llm_judge_remote.testing.stats import Counters

__all__ = ["ClientGoneError", "CutError", "ServerStoppedError", "Slots"]


class CutError(Exception):
    """There is nobody to answer, or nobody who would: the connection ends here."""


class ClientGoneError(CutError):
    """The client closed its connection while it was waiting."""


class ServerStoppedError(CutError):
    """The server was stopped meanwhile."""


@dataclass(slots=True, eq=False)
class _Stay:
    """One conversation on its way through queue and slot."""

    visit: _Visit
    seconds: float
    state: Literal["queued", "in_service", "over"] = "queued"


@dataclass(slots=True, eq=False)
class _Visit:
    """The conversations of one request, and the thread that waits for them."""

    client: socket.socket
    stays: list[_Stay] = field(default_factory=list)
    left: int = 0
    watched: bool = True
    over: threading.Event = field(default_factory=threading.Event)
    error: CutError | None = None


class Slots:
    """A number of slots and a first-in-first-out queue before them.

    One thread keeps the time for all conversations and notices clients that go away: their conversations
    leave slot and queue at once, as vLLM's do.

    Args:
        limit: How many conversations are in service at once; None for any number.
        counters: Where `conversations`, `in_service`, `queued` and the peaks are kept; its lock is the lock
            here.

    Attributes:
        running: Whether conversations can come in.
        proceed: Clear while paused; set again by `resume` and by `stop`.
    """

    def __init__(self, limit: int | None, counters: Counters) -> None:
        self._limit = math.inf if limit is None else limit
        self._lock = counters.changed
        self._numbers = counters.numbers
        self._visits: set[_Visit] = set()
        self._queue: deque[_Stay] = deque()
        self._due: list[tuple[float, int, _Stay]] = []  # a heap; the number keeps equal times in order
        self._entered = 0
        self._next_look = math.inf  # when the thread will look at `_due` by itself
        self._paused = False
        self._asleep = False
        self.running = False
        self.proceed = threading.Event()

    def start(self) -> None:
        """Open; conversations can come in."""
        self._selector = selectors.DefaultSelector()
        self._waker, woken = socket.socketpair()
        self._waker.setblocking(False)
        self._selector.register(woken, selectors.EVENT_READ, None)
        self.running = True
        if self._paused:
            self.proceed.clear()
        else:
            self.proceed.set()
        self._thread = threading.Thread(target=self._run, args=(woken,), name="judge-server-slots", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send everybody away with `ServerStoppedError`; returns when the thread has ended."""
        with self._lock:
            self.running = False
            for visit in list(self._visits):
                self._end(visit, ServerStoppedError())
            self._queue.clear()
            self._due.clear()
            self.proceed.set()
        self._wake()
        self._thread.join()
        self._waker.close()

    def pause(self) -> None:
        """Let nobody out; conversations still take their slots and their places in the queue."""
        with self._lock:
            self._paused = True
            if self.running:
                self.proceed.clear()

    def resume(self) -> None:
        """Let out whoever is due."""
        with self._lock:
            self._paused = False
            self.proceed.set()
            if self.running:
                self._wake()

    def sleep(self, asleep: bool) -> None:
        """Let no conversation out while asleep; all else is still answered."""
        with self._lock:
            self._asleep = asleep
            if self.running:
                self._wake()

    def serve(self, seconds: Sequence[float], client: socket.socket) -> None:
        """Take conversations through queue and service; returns when the last one is done.

        Args:
            seconds: Service time of each conversation; infinite for one that never ends.
            client: Its connection, watched meanwhile.

        Raises:
            ClientGoneError: The client closed the connection.
            ServerStoppedError: `stop` was called.
        """
        with self._lock:
            if not self.running:
                raise ServerStoppedError
            self._numbers["conversations"] += len(seconds)
            together = self._numbers["in_service"] + len(seconds)
            if not (self._held or self._queue or together > self._limit or any(seconds)):
                self._numbers["peak_concurrency"] = max(self._numbers["peak_concurrency"], together)
                return
            visit = _Visit(client, left=len(seconds))
            visit.stays.extend(_Stay(visit, each) for each in seconds)
            self._visits.add(visit)
            self._queue.extend(visit.stays)
            self._numbers["queued"] += len(seconds)
            self._fill()
            self._selector.register(client, selectors.EVENT_READ, visit)
            if self._due and self._due[0][0] < self._next_look:
                self._wake()
        visit.over.wait()
        if visit.error is not None:
            raise visit.error

    def _wake(self) -> None:
        # Full of wake-ups, or the thread has ended already: either way it need not be woken.
        with suppress(BlockingIOError, BrokenPipeError):
            self._waker.send(b"\0")

    def _run(self, woken: socket.socket) -> None:
        with self._selector as selector, woken:
            while True:
                with self._lock:
                    if not self.running:
                        return
                    wait = self._look()
                for key, _ in selector.select(wait):
                    if key.data is None:
                        woken.recv(4096)
                        continue
                    with self._lock:
                        self._listen(key.data)

    # The rest is called with the lock held.

    @property
    def _held(self) -> bool:
        return self._paused or self._asleep

    def _look(self) -> float | None:
        """Let out whoever is due; seconds until the next one is, None if nobody will be."""
        now = time.monotonic()
        while self._due and not self._held and self._due[0][0] <= now:
            stay = heapq.heappop(self._due)[2]
            if stay.state == "in_service":
                self._leave(stay)
                stay.visit.left -= 1
                if not stay.visit.left:
                    self._end(stay.visit)
        self._fill()
        self._next_look = self._due[0][0] if self._due and not self._held else math.inf
        return None if self._next_look == math.inf else min(max(0.0, self._next_look - now), 3600.0)

    def _fill(self) -> None:
        """Give free slots to those who wait longest."""
        numbers = self._numbers
        now = time.monotonic()
        while self._queue and numbers["in_service"] < self._limit:
            stay = self._queue.popleft()
            if stay.state == "over":
                continue
            stay.state = "in_service"
            numbers["queued"] -= 1
            numbers["in_service"] += 1
            self._entered += 1
            if stay.seconds != math.inf:
                heapq.heappush(self._due, (now + stay.seconds, self._entered, stay))
        numbers["peak_concurrency"] = max(numbers["peak_concurrency"], numbers["in_service"])
        numbers["peak_queued"] = max(numbers["peak_queued"], numbers["queued"])
        self._lock.notify_all()

    def _leave(self, stay: _Stay) -> None:
        if stay.state != "over":
            self._numbers[stay.state] -= 1
            stay.state = "over"

    def _end(self, visit: _Visit, error: CutError | None = None) -> None:
        """The visit is over: its thread goes on, with an error if there is one."""
        self._visits.discard(visit)
        self._unwatch(visit)
        for stay in visit.stays:
            self._leave(stay)
        visit.error = error
        visit.over.set()

    def _unwatch(self, visit: _Visit) -> None:
        if visit.watched:
            visit.watched = False
            self._selector.unregister(visit.client)

    def _listen(self, visit: _Visit) -> None:
        """The client's connection can be read: it has closed it, or sends the next request early."""
        if visit not in self._visits:
            return
        try:
            gone = not visit.client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self._end(visit, ClientGoneError())
            self._fill()
        else:
            self._unwatch(visit)
