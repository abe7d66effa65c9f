"""What is asked, and the HTTP requests that carry it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.chat import ChatRequest
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.retry import Retries
from llm_judge_remote.client.submission import Entry
from llm_judge_remote.errors import ServerError
from llm_judge_remote.servers.server import Server

__all__ = ["Load", "Question", "has_fresh_server"]


@dataclass(slots=True, eq=False)
class Question:
    """One chat request under way, for one job or for several that ask the same.

    Attributes:
        channel: Where it is asked.
        request: The request.
        identity: Equal for questions that ask the same.
        entries: The jobs that wait for the answer.
        attempts: Requests sent for it.
        queued_s: Seconds until the first of them.
        loads: The requests that are under way for it now.
        failed_at: Addresses that failed it.
        rejections: How often a busy server turned it away.
        retries: Made at the first failure.
        hedges: How often it was asked once more because it took so long.
        held_back: How often it has waited for room at a server that has not failed it.
        is_delayed: Whether it waits until its next attempt is due.
        is_rushed: Whether it is among those that go next.
        settled: Answered, given up, or failed for good.
    """

    channel: Channel
    request: ChatRequest
    identity: Hashable
    entries: list[Entry]
    attempts: int = 0
    queued_s: float = 0.0
    loads: list[Load] = field(default_factory=list)
    failed_at: list[str] = field(default_factory=list)
    rejections: int = 0
    retries: Retries | None = None
    hedges: int = 0
    held_back: int = 0
    is_delayed: bool = False
    is_rushed: bool = False
    settled: bool = False

    @property
    def kind(self) -> Hashable:
        """What `Refusals` goes by."""
        return self.entries[0].task.kind

    def key(self) -> str:
        """What tells where its group belongs."""
        return self.entries[0].key()

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for the answer."""
        return any(not entry.submission.closed for entry in self.entries)


@dataclass(slots=True, eq=False)
class Load:
    """One HTTP request: a question, or a chunk of them, on its way to a server.

    Attributes:
        channel: What it belongs to.
        attempt: The attempt that carries it.
        server: Where it goes; None when it goes nowhere, because of `error`.
        entries: Jobs that have yet to say what they ask.
        questions: What is asked.
        taken: Conversations that it was given room for.
        beside: Others in flight at the server then.
        shared_limit: What it holds slots of, if its server's limit is shared.
        shared: How many.
        error: Why it is not sent at all.
        sent_at: Monotonic time.
        until: Monotonic time at which the first of those who wait gives up.
        is_chunk: Whether it was to carry several.
        is_trial: Whether it decides if its server answers again.
        is_probe: Whether it asks the server only if it is well.
        is_hedge: Whether all of it is asked once more because it takes long elsewhere.
        was_hedged: Whether all of it was.
    """

    channel: Channel
    attempt: Attempt
    server: Server | None = None
    entries: Sequence[Entry] = ()
    questions: list[Question] = field(default_factory=list)
    taken: int = 0
    beside: int = 0
    shared_limit: Any = None
    shared: int = 0
    error: ServerError | None = None
    sent_at: float = 0.0
    until: float = math.inf
    is_chunk: bool = False
    is_trial: bool = False
    is_probe: bool = False
    is_hedge: bool = False
    was_hedged: bool = False


def has_fresh_server(question: Question) -> bool:
    """Whether a server answers that has not failed this question."""
    pool = question.channel.pool
    return any(server.down_since is None and server.address not in question.failed_at for server in pool.servers)
