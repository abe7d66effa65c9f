"""What is known of one server: what it has in flight, whether it answers, how much it takes, how long that takes."""

from __future__ import annotations

import random
from typing import Protocol

from llm_judge_remote.logs import logger
from llm_judge_remote.servers.chunk_size import ChunkSize
from llm_judge_remote.servers.latencies import Latencies
from llm_judge_remote.servers.limit import Limit

__all__ = ["Breakers", "Server"]

log = logger(__name__)

_FAILURES_TO_OPEN = 5
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 2.0
_BUSY_PAUSE_S = 0.2
_RECHECK_S = 60.0
_FAILED_CHUNKS = 3


class Breakers(Protocol):
    """Is told when a server's breaker opens or closes; at once, as the dispatcher waits."""

    def opened(self, address: str, error: str) -> None:
        """The server counts as down."""

    def closed(self, address: str) -> None:
        """It answers again."""


class Server:
    """One address, with a circuit breaker, shared by all that this process sends there.

    After five failures in a row the server counts as down; one that has not answered yet and refuses does so at once,
    as it is still starting. No request goes to it then: a quarter of a second after the last failure, and then at
    doubling intervals up to two seconds, it is asked whether it is well (`/health`), and if it is, gets a single
    request as a trial. The first success ends that. The same goes for a server that is busy with the requests of others
    and turns all of ours away, but for the question, and for the intervals: a place there is free for moments only.
    Not safe in threads by itself: the dispatcher holds the lock.

    Args:
        address: Without a path.
        most: Conversations in flight at most, as long as nothing else is said.
        breakers: Is told of this one; None for nobody.

    Attributes:
        address: See above.
        in_flight: Conversations under way from this process.
        requests: Requests that carry them.
        has_answered: Whether it ever did.
        answered_at: When it did last; minus infinity if never.
        down_since: Clock time when it stopped answering, or None.
        failed_trial: When the last trial began that failed; minus infinity while it answers.
        last_error: What it failed with last.
        is_busy: Whether it is down only in so far as it turns everything away.
        limit: How many conversations it is given at once.
        latencies: Of conversations that were sent alone.
        chunks: How many conversations to send in one request.
        has_batch_endpoint: None until it was tried.
    """

    __slots__ = (
        "_breakers",
        "_failed_chunks",
        "_failures",
        "_is_trying_chunk",
        "_is_well",
        "_pause",
        "_retry_at",
        "_trial_began",
        "_without_since",
        "address",
        "answered_at",
        "chunks",
        "down_since",
        "failed_trial",
        "has_answered",
        "has_batch_endpoint",
        "in_flight",
        "is_busy",
        "last_error",
        "latencies",
        "limit",
        "requests",
    )

    def __init__(self, address: str, most: int = 256, breakers: Breakers | None = None) -> None:
        self.address = address
        self._breakers = breakers
        self.in_flight = 0
        self.requests = 0
        self.is_busy = False
        self.limit = Limit(most)
        self.latencies = Latencies()
        self.chunks = ChunkSize(self.latencies)
        self.has_batch_endpoint: bool | None = None
        self.has_answered = False
        self.answered_at = float("-inf")
        self.down_since: float | None = None
        self.last_error = ""
        self.failed_trial = float("-inf")
        self._trial_began: float | None = None
        self._is_well = False
        self._failures = 0
        self._pause = _FIRST_PAUSE_S
        self._retry_at = 0.0
        self._failed_chunks = 0
        self._without_since = 0.0
        self._is_trying_chunk = False

    def room(self, most: int) -> int:
        """How many more conversations it may be given, of `most` in all."""
        return max(min(int(self.limit.value), most) - self.in_flight, 0)

    def trial_due(self, now: float) -> float:
        """Seconds until a trial may be sent; infinite while one is under way."""
        return float("inf") if self._trial_began is not None else max(self._retry_at - now, 0.0)

    def hasten_trial(self, now: float) -> float:
        """Make a trial due at once, unless one is under way; when it begins or began."""
        if self._trial_began is not None:
            return self._trial_began
        self._retry_at = now
        return now

    def wants_probe(self, now: float) -> bool:
        """Whether it is to be asked if it is well, before it gets a trial."""
        return self._is_due(now) and not self._is_ready

    def wants_trial(self, now: float) -> bool:
        """Whether its next request is to be a trial."""
        return self._is_due(now) and self._is_ready

    def begin_trial(self, now: float) -> None:
        """The request that is sent now, or the question whether it is well, decides whether it answers again."""
        self._trial_began = now

    def seems_well(self, now: float) -> None:
        """It says that it is: the next request is a trial."""
        self._is_well = True
        self._trial_began = None
        self._retry_at = now

    def succeeded(self, now: float = float("-inf")) -> None:
        """It answered, if only to say no."""
        self.answered_at = max(self.answered_at, now)
        if self.down_since is not None:
            log.warning("judge server %s answers%s", self.address, " again" if self.has_answered else "")
            if self._breakers is not None:
                self._breakers.closed(self.address)
        self.has_answered = True
        self._is_well = False
        self._failures = 0
        self._pause = _FIRST_PAUSE_S
        self._trial_began = None
        self.down_since = None
        self.is_busy = False
        self.failed_trial = float("-inf")

    def failed(
        self, now: float, error: str, *, is_busy: bool = False, is_trial: bool = True, is_absent: bool = False
    ) -> None:
        """It did not answer: refused, dropped, out of time, broken, or busy with others.

        Args:
            now: The time.
            error: What it said, or did.
            is_busy: Whether it turned the request away.
            is_trial: Whether the request was sent to see if it answers again, if it is down.
            is_absent: Whether it is as if it were not there, or not ready.
        """
        self._failures += 1
        self.is_busy = is_busy
        self.last_error = error
        is_starting = is_absent and not self.has_answered
        if self.down_since is None and (self._failures >= _FAILURES_TO_OPEN or is_starting):
            self.down_since = now
            self._retry_at = now + self._pause
            # What comes back may be another server.
            self.has_batch_endpoint = None
            if is_starting:
                log.warning("judge server %s does not answer yet: %s", self.address, error)
            else:
                what = "judge server %s is down after %d failures in a row: %s"
                log.warning(what, self.address, self._failures, error)
            if self._breakers is not None:
                self._breakers.opened(self.address, error)
        elif self._trial_began is not None and is_trial:
            self.failed_trial = self._trial_began
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_S)
            self._retry_at = now + (random.uniform(0.5, 1.0) * _BUSY_PAUSE_S if is_busy else self._pause)  # noqa: S311
            self._trial_began = None
            self._is_well = False

    def fell_silent(self, now: float, error: str) -> None:
        """It holds requests, and has answered nothing for far too long: down, until it says that it is well."""
        self._failures = _FAILURES_TO_OPEN - 1
        self.failed(now, error)

    def retire(self) -> None:
        """It is used no more; what becomes of the requests under way there says nothing to anybody."""
        if self._breakers is not None:
            self._breakers.closed(self.address)
            self._breakers = None

    def abandoned(self) -> None:
        """The request was given up before it showed anything."""
        self._trial_began = None

    @property
    def _is_ready(self) -> bool:
        """Whether it may get a trial without being asked first: one that is only busy is well."""
        return self._is_well or (self.is_busy and self.has_answered)

    def _is_due(self, now: float) -> bool:
        return self.down_since is not None and self.trial_due(now) <= 0

    def takes_chunks(self, now: float) -> bool:
        """Whether to use the batch endpoint.

        As long as nothing is known of it, one chunk at a time tries it. Where there was none, one does after a minute:
        it may have come with a restart.
        """
        if self.has_batch_endpoint:
            return True
        is_unknown = self.has_batch_endpoint is None or now - self._without_since > _RECHECK_S
        return is_unknown and not self._is_trying_chunk

    def sends_chunk(self) -> None:
        """A chunk is on its way."""
        self._is_trying_chunk = True

    def chunk_is_back(self) -> None:
        """A chunk is not on its way any more, whatever came of it."""
        self._is_trying_chunk = False

    def lacks_batch_endpoint(self, now: float) -> None:
        """There is none, or it is of no use."""
        self.has_batch_endpoint = False
        self._failed_chunks = 0
        self._without_since = now

    def took_chunk(self) -> None:
        """The batch endpoint answered a chunk."""
        self.has_batch_endpoint = True
        self._failed_chunks = 0

    def failed_chunk(self, now: float) -> None:
        """A chunk failed; after three in a row, conversations go one by one for a while."""
        self._failed_chunks += 1
        if self._failed_chunks >= _FAILED_CHUNKS:
            self.lacks_batch_endpoint(now)
