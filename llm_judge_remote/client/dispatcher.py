"""What is in flight: jobs in order, a bounded number at once, in threads that all callers share."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from llm_judge_remote.client.chat import ChatReply, ChatRequest

__all__ = ["Dispatcher", "Job"]

Result = TypeVar("Result")

Job = Generator[ChatRequest, ChatReply, Result]
"""A conversation with the judge that knows nothing of the wire: it yields requests, is sent replies, or has the error
thrown into it, and returns its result. It does not run before its turn, so a waiting job holds no prompt."""

_IDLE_S = 10.0


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Result]):
    job: Job[Result]
    ask: Callable[[ChatRequest], ChatReply]
    width: int
    future: Future[Result]


class Dispatcher:
    """Runs jobs first in, first out.

    Threads start when there is work for them and end after ten idle seconds. They are daemons: a process that exits
    does not wait for a judge.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: deque[_Entry[Any]] = deque()
        self._threads = 0
        self._running = 0
        self._idle = 0
        self._closed = False

    def submit(self, job: Job[Result], ask: Callable[[ChatRequest], ChatReply], width: int) -> Future[Result]:
        """Run a job in its turn.

        Args:
            job: Started in a worker thread.
            ask: Gets the reply to one of the job's requests, or raises what is thrown into the job.
            width: The job starts only while fewer than this many run.

        Returns:
            The job's result, or what it raised. Cancelling it before its turn leaves the job unstarted.
        """
        future: Future[Result] = Future()
        with self._condition:
            if self._closed:
                msg = "the judge was closed"
                raise RuntimeError(msg)
            self._waiting.append(_Entry(job, ask, width, future))
            if len(self._waiting) > self._idle and self._threads < width:
                self._start_thread()
            else:
                self._condition.notify()
        return future

    def close(self) -> None:
        """Cancel what waits; what runs ends when its attempt does."""
        with self._condition:
            self._closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
            self._condition.notify_all()
        for entry in waiting:
            entry.future.cancel()
            entry.future.set_running_or_notify_cancel()  # wakes those who wait for it

    def _start_thread(self) -> None:
        self._threads += 1
        self._running += 1  # counted from the start, so that a burst of submissions starts no thread too many
        threading.Thread(target=self._work, name="judge-worker", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._condition:
                entry = self._next()
                if entry is None:
                    self._threads -= 1
                    return
                if self._waiting and self._running < self._waiting[0].width:
                    # The next one's turn has come with this one's.
                    if self._idle:
                        self._condition.notify()
                    elif self._threads < self._waiting[0].width:
                        self._start_thread()
            if entry.future.set_running_or_notify_cancel():
                _run(entry)

    def _next(self) -> _Entry[Any] | None:
        """The next entry for a thread that has just finished one; None when the thread is to end."""
        if self._waiting and self._running <= self._waiting[0].width:
            return self._waiting.popleft()
        self._running -= 1
        self._idle += 1
        try:
            woken = self._condition.wait_for(
                lambda: self._closed or (self._waiting and self._running < self._waiting[0].width), _IDLE_S
            )
        finally:
            self._idle -= 1
        if not woken or not self._waiting:
            return None
        self._running += 1
        return self._waiting.popleft()


def _run(entry: _Entry[Any]) -> None:
    try:
        request = next(entry.job)
        while True:
            try:
                reply = entry.ask(request)
            except Exception as error:  # noqa: BLE001, PERF203 (the job knows what to make of it)
                request = entry.job.throw(error)
            else:
                request = entry.job.send(reply)
    except StopIteration as end:
        entry.future.set_result(end.value)
    except BaseException as error:  # noqa: BLE001 (it belongs to whoever waits for the future)
        entry.future.set_exception(error)
