"""The threads that carry requests, shared by all callers of a process."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.exchange import NoBatchEndpointError
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.question import Load
from llm_judge_remote.client.schedule import Schedule
from llm_judge_remote.client.settlement import Outcome
from llm_judge_remote.client.stats import DispatchStats, ServerStats
from llm_judge_remote.client.submission import Entry, Submission, Task
from llm_judge_remote.client.wakeups import Wakeups
from llm_judge_remote.errors import InvalidReplyError, ServerError, ServerUnavailableError
from llm_judge_remote.logs import logger
from llm_judge_remote.servers.server import Server

__all__ = ["Dispatcher"]

log = logger(__name__)

Result = TypeVar("Result")

_IDLE_S = 10.0


class Dispatcher:
    """Runs jobs: asks what they yield, sends them the replies, keeps what they return.

    Each request is carried by one thread, from the making of its prompts to the reading of its replies; what goes next
    is up to the `Schedule`. One thread at a time makes requests ready, and lets the next one do so when it has nothing
    left but to wait for its server: so threads do not fight for the interpreter, and there are hardly more of them
    than requests under way. They start when there is work, end after ten idle seconds, and
    are daemons: a process that exits does not wait for a judge.
    """

    def __init__(self) -> None:
        self.wakeups = Wakeups()
        self._schedule = Schedule()
        self._condition = threading.Condition(threading.Lock())
        self._preparing = False
        self._ready: deque[Load] = deque()
        self._threads = 0
        self._idle = 0
        self._watched_until = math.inf
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def submit(
        self,
        tasks: Sequence[Task[Result]],
        width: int,
        *,
        began: float,
        linger: float = 0.0,
        until: float | None = None,
    ) -> Submission[Result]:
        """Run jobs.

        Args:
            tasks: In any number.
            width: Most of them under way at once.
            began: Monotonic time when the call began.
            linger: Seconds that they may wait for others to travel with.
            until: Monotonic time at which the caller gives up.

        Returns:
            Their results to be, in order.
        """
        ready_at = began + linger if linger else 0.0
        submission = Submission(tasks, width, began, ready_at, math.inf if until is None else until)
        with self._condition:
            self._schedule.submit(submission)
            if self._closed:
                self._schedule.clear(_closed())
                submission.wake()
            elif tasks and not self._preparing:
                try:
                    self._call_thread()
                except RuntimeError as error:
                    refusal = ServerUnavailableError(f"no thread can be started: {error}", sent=False)
                    for stranded in self._schedule.clear(refusal):
                        stranded.wake()
        return submission

    def cancel(self, submission: Submission[Any]) -> None:
        """Forget what has not ended; requests that nobody else waits for are closed."""
        with self._condition:
            self._schedule.drop(submission)

    def change(self, move: Callable[[], None]) -> None:
        """Change what the schedule goes by, at a moment when nobody else does, and look what goes next."""
        with self._condition:
            move()
            if not (self._closed or self._preparing or self._schedule.is_idle):
                self._call_thread()

    def stats(self, servers: Iterable[Server], *, cached: int = 0) -> DispatchStats:
        """The counts now.

        Args:
            servers: To be told about.
            cached: Replies that were known, which never came here.
        """
        with self._condition:
            described = tuple(map(ServerStats.of, servers))
            waiting = self._schedule.waiting
            return self._schedule.counters.snapshot(waiting=waiting, cached=cached, servers=described)

    def close(self) -> None:
        """End all jobs with an error; what is under way ends when its connection is closed."""
        with self._condition:
            self._closed = True
            unfinished = self._schedule.clear(_closed())
            self._condition.notify_all()
        for submission in unfinished:
            submission.wake()

    # A thread's life. The condition's lock guards the schedule; it is never held while jobs run or sockets wait.

    def _work(self) -> None:
        while self._carry_next():
            pass

    def _carry_next(self) -> bool:
        """Carry a load; False when the thread is to end. It holds on to nothing of it afterwards."""
        load = self._next()
        if load is None:
            return False
        try:
            self._carry(load)
        except Exception as error:
            log.exception("a bug in the dispatcher")
            self._break_off(load, error)
        finally:
            load.attempt.waiting()  # if it came to nothing before it had to wait
        return True

    def _next(self) -> Load | None:
        """The next load for a thread that has none; None when the thread is to end."""
        with self._condition:
            expired = False
            while not self._closed:
                now = time.monotonic()
                wake = math.inf
                if not self._ready and not self._preparing:
                    wake = self._prepare(now)
                if self._ready:
                    return self._ready.popleft()
                # Looked once more after its time was up: a call may have come to nothing because it was for this one.
                if expired and wake >= self._watched_until:
                    break
                expired = not self._wait_for_work(now, wake)
            self._threads -= 1
            return None

    def _prepare(self, now: float) -> float:
        """Put the next load in `_ready`, if there is one; else say when to look again."""
        load, wake = self._schedule.next(now)
        if load is not None:
            load.attempt = Attempt(self._let_next)
            self._ready.append(load)
            self._preparing = True
        return wake

    def _wait_for_work(self, now: float, wake: float) -> bool:
        """Wait idly; False when the thread is not needed any more."""
        watches = wake < self._watched_until
        if watches:
            self._watched_until = wake
        self._idle += 1
        called = self._condition.wait(min(wake - now, _IDLE_S) if watches else _IDLE_S)
        self._idle -= 1
        if watches and self._watched_until == wake:
            self._watched_until = math.inf
        return called or (watches and not self._schedule.is_idle)

    def _let_next(self) -> None:
        """The calling thread has nothing left to do but wait: let another one make a request ready, if there is any."""
        with self._condition:
            self._preparing = False
            if self._closed:
                return
            wake = self._prepare(time.monotonic())
            if self._ready or wake < self._watched_until:
                self._call_thread()

    def _call_thread(self) -> None:
        """Have a thread look for work."""
        if self._idle:
            self._condition.notify()
            return
        thread = threading.Thread(target=self._work, name="judge-worker", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had: those that there are have to do
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _carry(self, load: Load) -> None:
        """Take a load through: make its requests, send them, and give the jobs the replies."""
        if load.is_probe:
            self._probe(load)
            return
        cpu_began = time.thread_time()
        steps = [_advance(entry, None) for entry in load.entries if not entry.submission.closed]
        asked = [(step.entry, step.request, step.request.identity) for step in steps if step.request is not None]
        with self._condition:
            worth_sending = self._schedule.asks(load, asked)
            over = self._note([step for step in steps if step.request is None])
            if worth_sending and load.server is not None:
                self._schedule.sent(load, time.monotonic())
        _wake(over)
        if not worth_sending:
            return
        outcome = _send(load)
        with self._condition:
            told = self._schedule.settle(load, outcome, time.monotonic())
        steps = [_advance(entry, answer) for entry, answer in told]
        with self._condition:
            over = self._note(steps)
            self._schedule.cost(load, time.thread_time() - cpu_began, failed=isinstance(outcome, Exception))
        _wake(over)

    def _probe(self, load: Load) -> None:
        """Ask a server that is down whether it is well."""
        failure: ServerError | None = None
        try:
            if load.server is not None:
                load.channel.exchange.probe(load.server.address, load.attempt)
        except ServerError as error:
            failure = error
        with self._condition:
            self._schedule.probed(load, failure, time.monotonic())

    def _break_off(self, load: Load, error: Exception) -> None:
        """Nobody may wait for ever for what a bug of ours has stopped."""
        entries = [*load.entries, *(entry for question in load.questions for entry in question.entries)]
        with self._condition:
            self._schedule.break_off(load)
            over = self._note([_Step(entry, result=error) for entry in entries])
        _wake(over)

    def _note(self, steps: Sequence[_Step]) -> list[Submission[Any]]:
        """Note what jobs returned or ask next; the submissions that are over with it."""
        over: list[Submission[Any]] = []
        for step in steps:
            if step.request is not None:
                self._schedule.follow(step.entry, step.request, step.request.identity)
            elif self._schedule.ended(step.entry, step.result):
                over.append(step.entry.submission)
        return over


@dataclass(frozen=True, slots=True)
class _Step:
    """What a job said: a request, or its result."""

    entry: Entry
    request: ChatRequest | None = None
    result: Any = None


def _advance(entry: Entry, answer: ChatReply | Exception | None) -> _Step:
    """Start a job, or tell it what came of its request, up to its next request or its end."""
    try:
        if entry.job is None:
            entry.job = entry.task.start()
        if isinstance(answer, Exception):
            return _Step(entry, request=entry.job.throw(answer))
        return _Step(entry, request=next(entry.job) if answer is None else entry.job.send(answer))
    except StopIteration as end:
        return _Step(entry, result=end.value)
    except Exception as error:  # noqa: BLE001 (it belongs to whoever waits for the result)
        return _Step(entry, result=error)


def _send(load: Load) -> Outcome:
    if load.server is None:
        return load.error or ServerUnavailableError("there is no server", sent=False)
    requests = [question.request for question in load.questions]
    if load.is_trial and not load.server.is_busy:  # one that was only busy is the same as before
        load.channel.exchange.forget(load.server.address)
    try:
        return load.channel.exchange.send(load.server.address, requests, load.attempt, load.questions[0].key)
    except (ServerError, NoBatchEndpointError) as failure:
        return failure
    except Exception as error:
        log.exception("a request could not be made")
        return InvalidReplyError(f"{type(error).__name__}: {error}", server=load.server.address)


def _closed() -> ServerUnavailableError:
    return ServerUnavailableError("the judge was closed", sent=False)


def _wake(submissions: Sequence[Submission[Any]]) -> None:
    for submission in submissions:
        submission.wake()
