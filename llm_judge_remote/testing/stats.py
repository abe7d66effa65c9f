"""What the server has seen."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Counters", "RecordedRequest", "ServerStats"]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as it arrived.

    Attributes:
        method: `GET` or `POST`.
        path: Without the query.
        headers: Names in lower case.
        body: The parsed JSON; the bytes themselves if they are none; None if there were none.
        query: What came after the path's question mark; "" if there was none.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any = field(repr=False)
    query: str = ""

    @property
    def conversations(self) -> list[Any]:
        """The messages of each conversation asked about, as they came: one list, or several of a batch."""
        messages = self.body.get("messages", []) if isinstance(self.body, dict) else []
        return messages if messages and isinstance(messages[0], list) else [messages] if messages else []


@dataclass(frozen=True, slots=True)
class ServerStats:
    """Counts since the server was made; restarts do not reset them.

    Attributes:
        requests: HTTP requests read, whatever became of them.
        by_path: The same by path; paths that the server does not know are under `(unknown)`.
        statuses: Answers by HTTP status; those that a `reset` or `drop` keeps from arriving are not here.
        conversations: Conversations taken into service: a batch counts each of its own.
        connections: TCP connections accepted.
        open_connections: Of these, how many are open now.
        in_service: Conversations in a slot now.
        queued: Conversations that wait for a slot now.
        peak_concurrency: The most that were in service at once. Without a service time a conversation is in
            service for no time at all.
        peak_queued: The most that waited at once.
        faults: Faults that struck, by kind.
        aborted: Requests whose client went away before the answer was sent.
        unauthorized: Requests without the right key.
        sleeps: How often a client put the server to sleep while it was awake.
        wakeups: How often a client woke it while it slept.
        prompt_tokens: Of all conversations answered, by the server's rule.
        generation_tokens: The same for the replies.
        finished: Replies by finish reason.
    """

    requests: int
    by_path: Mapping[str, int]
    statuses: Mapping[int, int]
    conversations: int
    connections: int
    open_connections: int
    in_service: int
    queued: int
    peak_concurrency: int
    peak_queued: int
    faults: Mapping[str, int]
    aborted: int
    unauthorized: int
    sleeps: int
    wakeups: int
    prompt_tokens: int
    generation_tokens: int
    finished: Mapping[str, int]


_NUMBERS = (
    "requests",
    "conversations",
    "connections",
    "open_connections",
    "in_service",
    "queued",
    "peak_concurrency",
    "peak_queued",
    "aborted",
    "unauthorized",
    "sleeps",
    "wakeups",
    "prompt_tokens",
    "generation_tokens",
)


class Counters:
    """The counts while they change.

    Args:
        keep_requests: How many requests are kept; older ones are forgotten.

    Attributes:
        changed: Lock of all counts, those of the slots included; notified with every change.
    """

    def __init__(self, keep_requests: int) -> None:
        self.changed = threading.Condition(threading.Lock())
        self.numbers: Counter[str] = Counter()
        self.paths: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self.recorded: deque[RecordedRequest] = deque(maxlen=keep_requests)

    def add(self, **amounts: int) -> None:
        """Raise some of the plain numbers."""
        with self.changed:
            for name, amount in amounts.items():
                self.numbers[name] += amount
            self.changed.notify_all()

    def record(self, request: RecordedRequest, path: str) -> None:
        """Count and keep a request."""
        with self.changed:
            self.numbers["requests"] += 1
            self.paths[path] += 1
            self.recorded.append(request)
            self.changed.notify_all()

    def fault(self, kind: str) -> None:
        """Count a fault that struck."""
        with self.changed:
            self.faults[kind] += 1
            self.changed.notify_all()

    def sent(self, status: int) -> None:
        """Count an answer that was sent."""
        with self.changed:
            self.statuses[status] += 1
            self.changed.notify_all()

    def replied(self, prompt_tokens: int, generation_tokens: int, finish_reason: str) -> None:
        """Count one conversation's reply."""
        with self.changed:
            self.numbers["prompt_tokens"] += prompt_tokens
            self.numbers["generation_tokens"] += generation_tokens
            self.finished[finish_reason] += 1

    def wait_until(self, condition: Callable[[ServerStats], bool], timeout: float) -> ServerStats:
        """The first snapshot that fulfils the condition.

        Raises:
            TimeoutError: None did within `timeout` seconds.
        """
        with self.changed:
            seen = self.snapshot()
            until = time.monotonic() + timeout
            while not condition(seen):
                if not self.changed.wait(until - time.monotonic()):
                    msg = f"not so after {timeout:g} s: {seen}"
                    raise TimeoutError(msg)
                seen = self.snapshot()
            return seen

    def snapshot(self) -> ServerStats:
        """The counts now; the caller holds `changed`."""
        numbers = {name: self.numbers[name] for name in _NUMBERS}
        return ServerStats(
            by_path=dict(self.paths),
            statuses=dict(self.statuses),
            faults=dict(self.faults),
            finished=dict(self.finished),
            **numbers,
        )
