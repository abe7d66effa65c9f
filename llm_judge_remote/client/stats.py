"""What the dispatcher counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from llm_judge_remote.servers.latencies import Latencies
from llm_judge_remote.servers.server import Server

__all__ = ["Counters", "DispatchStats", "ServerStats"]


@dataclass(frozen=True, slots=True)
class ServerStats:
    """One server, as this process sees it now.

    Attributes:
        address: Without a path.
        is_up: Whether it answers.
        in_flight: Conversations under way.
        limit: How many it is given at once.
        chunk_size: Conversations that go into one request.
        has_batch_endpoint: None until it was tried.
        service_p50_s: Median seconds of a conversation that was sent alone.
        service_p99_s: The same, 99th percentile.
    """

    address: str
    is_up: bool
    in_flight: int
    limit: int
    chunk_size: int
    has_batch_endpoint: bool | None
    service_p50_s: float
    service_p99_s: float

    @classmethod
    def of(cls, server: Server) -> ServerStats:
        """What is known of a server."""
        return cls(
            address=server.address,
            is_up=server.down_since is None,
            in_flight=server.in_flight,
            limit=int(server.limit.value),
            chunk_size=1 if server.has_batch_endpoint is False else server.chunks.size,
            has_batch_endpoint=server.has_batch_endpoint,
            service_p50_s=server.latencies.quantile(0.5),
            service_p99_s=server.latencies.quantile(0.99),
        )


@dataclass(frozen=True, slots=True)
class DispatchStats:
    """Counts since the judge was made, in conversations unless said otherwise.

    Attributes:
        requests: HTTP requests.
        chunks: Those of them with more than one conversation.
        sent: Conversations in these requests.
        retried: Asked again after a failure.
        rejected: Turned away by a busy server (429, 503).
        split: Chunks taken apart because the server refused one of their conversations.
        hedged: Asked once more because they took so long.
        hedges_won: Those for which the later request answered first.
        shared: Not sent, as the same was under way.
        cached: Not sent, as the reply was known.
        dropped: Given up because nobody waited any more.
        waiting: Waiting now.
        in_flight: Under way now.
        queue_p50_s: Median seconds until a conversation was sent, of the last few thousand.
        queue_p99_s: The same, 99th percentile.
        service_p50_s: Median seconds from a request to its answer, of the last few thousand conversations.
        service_p99_s: The same, 99th percentile.
        servers: Every server that was asked.
    """

    requests: int
    chunks: int
    sent: int
    retried: int
    rejected: int
    split: int
    hedged: int
    hedges_won: int
    shared: int
    cached: int
    dropped: int
    waiting: int
    in_flight: int
    queue_p50_s: float
    queue_p99_s: float
    service_p50_s: float
    service_p99_s: float
    servers: tuple[ServerStats, ...]


@dataclass(slots=True)
class Counters:
    """The running counts; see `DispatchStats`."""

    requests: int = 0
    chunks: int = 0
    sent: int = 0
    retried: int = 0
    rejected: int = 0
    split: int = 0
    hedged: int = 0
    hedges_won: int = 0
    shared: int = 0
    dropped: int = 0
    queued: Latencies = field(default_factory=lambda: Latencies(4096))
    service: Latencies = field(default_factory=lambda: Latencies(4096))

    def snapshot(self, *, waiting: int, cached: int, servers: tuple[ServerStats, ...]) -> DispatchStats:
        """The counts now."""
        return DispatchStats(
            requests=self.requests,
            chunks=self.chunks,
            sent=self.sent,
            retried=self.retried,
            rejected=self.rejected,
            split=self.split,
            hedged=self.hedged,
            hedges_won=self.hedges_won,
            shared=self.shared,
            cached=cached,
            dropped=self.dropped,
            waiting=waiting,
            in_flight=sum(server.in_flight for server in servers),
            queue_p50_s=self.queued.quantile(0.5),
            queue_p99_s=self.queued.quantile(0.99),
            service_p50_s=self.service.quantile(0.5),
            service_p99_s=self.service.quantile(0.99),
            servers=servers,
        )
