"""Jobs that are handed over together, and those who wait for them."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.wakeups import Wakeups
from llm_judge_remote.servers.affinity import group_key

__all__ = ["Entry", "Job", "Submission", "Task"]

Result = TypeVar("Result")

Job = Generator[ChatRequest, ChatReply, Result]
"""A conversation with the judge that knows nothing of the wire: it yields requests, is sent replies, or has the error
thrown into it, and returns its result. It does not run before its turn, so a waiting job holds no prompt."""


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    """A job to do.

    Attributes:
        start: Makes the job, in its turn.
        channel: Which servers it asks, and how: a `Channel` of the dispatcher.
        kind: Equal for jobs whose first requests may travel in one chunk.
        group: Equal for jobs whose prompts begin alike; they travel together.
        prefix: What their prompts begin with; groups whose prefix is the same go to the same server.
        alone: Whether its first request cannot travel in a chunk.
    """

    start: Callable[[], Job[Result]]
    channel: Any
    kind: Hashable
    group: Hashable
    prefix: tuple[str, ...] = ()
    alone: bool = False


@dataclass(slots=True, eq=False)
class Entry:
    """A task of a submission that has been let in: it waits, or is under way."""

    submission: Submission[Any]
    index: int
    task: Task[Any]
    has_siblings: bool = True
    job: Job[Any] | None = None
    is_in_line: bool = False
    is_paused: bool = False
    question: Any = None  # the `Question` that it waits for the answer to
    routing_key: str = ""

    def key(self) -> str:
        """What tells where its group belongs; made when it is first asked for."""
        if not self.routing_key:
            self.routing_key = group_key(self.task.prefix)
        return self.routing_key


@dataclass(eq=False)
class Submission(Generic[Result]):
    """Jobs handed over together; the dispatcher's lock guards all but the waiting.

    Its tasks are let in group by group, and no more of them than `width` at a time: so a call of any size leaves room
    for others, and what waits costs next to nothing.

    Attributes:
        tasks: In the caller's order.
        width: Most jobs of this submission that wait or are under way.
        began: Monotonic time when the call began.
        ready_at: Monotonic time until which it may wait for company.
        until: Monotonic time at which the caller gives up.
        results: What each job returned, or the exception that it raised; None for one that has not ended.
        outside: The tasks that have not been let in, by their place in `tasks`; the last one goes first.
        last_errors: Of jobs that are being retried.
        given_up: Requests sent for jobs that were given up, and the address that was asked last.
        active: The entries that have been let in and have not ended.
        paused: How many of them wait until their next attempt is due; their places are free meanwhile.
        returning: Questions whose next attempt is due, and that wait for a place.
    """

    tasks: Sequence[Task[Result]]
    width: int
    began: float
    ready_at: float = 0.0
    until: float = math.inf
    results: list[Result | BaseException | None] = field(init=False)
    outside: list[int] = field(init=False)
    last_errors: dict[int, Exception] = field(default_factory=dict)
    given_up: dict[int, tuple[int, str]] = field(default_factory=dict)
    active: dict[Entry, None] = field(default_factory=dict)
    paused: int = 0
    returning: deque[Any] = field(default_factory=deque)
    closed: bool = False

    def __post_init__(self) -> None:
        """Put the tasks into the order in which they are let in."""
        self.results = [None] * len(self.tasks)
        self.outside, self._loners = _in_order(self.tasks)
        self._left = len(self.tasks)
        self._has_ended = not self.tasks
        self._waiter: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come: all have ended, or it was cancelled."""
        return self.closed or not self._left

    @property
    def has_place(self) -> bool:
        """Whether one more of its jobs may wait or be under way."""
        return len(self.active) - self.paused < self.width

    def admit(self) -> Entry | None:
        """Let the next task in; None while there is no place for it, or no further one."""
        if not self.outside or self.closed or not self.has_place:
            return None
        index = self.outside.pop()
        entry = Entry(self, index, self.tasks[index], has_siblings=index not in self._loners)
        self.active[entry] = None
        return entry

    def end(self, entry: Entry, result: Result | BaseException) -> bool:
        """Note a result; True for the last one."""
        if self.closed or entry not in self.active:
            return False
        del self.active[entry]
        self.last_errors.pop(entry.index, None)
        self.results[entry.index] = result
        self._left -= 1
        return not self._left

    def wake(self) -> None:
        """Wake whoever waits; called without the lock."""
        self._has_ended = True
        if self._waiter is not None:
            self._waiter()

    # One waits at a time. Who comes to wait says so before he looks whether it has ended, so no end is missed.

    def wait(self, timeout: float | None) -> None:
        """Wait in this thread until all have ended, or `timeout` seconds."""
        over = threading.Event()
        self._waiter = over.set
        if not self._has_ended:
            over.wait(timeout)

    async def wait_async(self, timeout: float | None, wakeups: Wakeups) -> None:
        """Wait on the running event loop until all have ended, or `timeout` seconds."""
        self._waiter = over = wakeups.of(asyncio.get_running_loop()).wakeup()
        if self._has_ended:
            return
        if timeout is None:
            await over.future
        else:
            await asyncio.wait([over.future], timeout=timeout)


def _in_order(tasks: Sequence[Task[Any]]) -> tuple[list[int], Collection[int]]:
    """The places of tasks, group by group from the last to the first; and of those that are alone in their group."""
    if len(tasks) == 1:  # nobody knows: its siblings may come in calls of their own
        return [0], ()
    groups: dict[Hashable, list[int]] = {}
    for index, task in enumerate(tasks):
        groups.setdefault(task.group, []).append(index)
    order = [index for group in groups.values() for index in group]
    return order[::-1], {group[0] for group in groups.values() if len(group) == 1}
