"""The choice of a server, and how long to wait for one when none answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from llm_judge_remote.errors import ServerUnavailableError
from llm_judge_remote.servers.server import Server

__all__ = ["ServerPool"]


class ServerPool:
    """The servers of one setting.

    A request goes to the server with the least in flight among those that answer and have room. While none answers,
    requests wait for a trial to succeed, but a call waits no longer than `outage_grace` seconds in all: an outage
    costs that once, not once per sample, and a restarted server is found by the next call. A server that is there, and
    busy, is waited for like one that is slow: `timeout` seconds.

    Not safe in threads by itself: the dispatcher holds the lock. Times are monotonic seconds.

    Args:
        servers: At least one.
        outage_grace: Seconds.
        timeout: Seconds of a whole attempt.
        most: Conversations in flight at each server.
        most_requests: Requests that carry them.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        outage_grace: float,
        timeout: float,
        most: int = 256,
        most_requests: int = 1028,
    ) -> None:
        self.servers = tuple(servers)
        self.most = most
        self._outage_grace = outage_grace
        self._timeout = timeout
        self._most_requests = most_requests

    @property
    def is_down(self) -> bool:
        """Whether no server answers."""
        return all(server.down_since is not None for server in self.servers)

    def choose(self, now: float, avoid: Collection[str] = ()) -> Server | None:
        """A server with room, or one that is down and due for a trial; None when there is neither.

        Args:
            now: The time.
            avoid: Addresses that already failed this request; taken only when no other has room.
        """
        up = [server for server in self.servers if server.down_since is None]
        for server in self.servers:
            if server.down_since is not None and server.trial_due(now) <= 0 and not (up and server.address in avoid):
                return server
        free = [server for server in up if server.room(self.most) and server.requests < self._most_requests]
        fresh = [server for server in free if server.address not in avoid]
        return min(fresh or free, key=lambda server: server.in_flight, default=None)

    def next_trial(self, now: float) -> float:
        """When the next trial is due; infinity while one is under way."""
        return now + min(server.trial_due(now) for server in self.servers)

    def patience(self, now: float, since: float) -> float:
        """Seconds that a call begun at `since` still waits, while all servers are down.

        No call gives up before a trial was made for it: one that would is waited for, as long again at most.
        """
        grace = self._outage_grace
        if any(server.is_busy for server in self.servers):
            grace = max(grace, self._timeout)
        outage = max(server.down_since or 0.0 for server in self.servers)
        tried_in_vain = any(server.failed_trial >= since for server in self.servers)
        if tried_in_vain and now >= outage + grace:
            return 0.0
        left = max(outage, since) + grace - now
        if left > 0 or tried_in_vain:
            return left
        return max(server.hasten_trial(now) for server in self.servers) + grace - now

    def unavailable(self) -> ServerUnavailableError:
        """What to tell those who waited long enough."""
        worst = self.servers[0]
        msg = f"no judge server answers; {worst.address}: {worst.last_error}"
        if len(self.servers) > 1:
            msg = f"none of {len(self.servers)} judge servers answers; {worst.address}: {worst.last_error}"
        return ServerUnavailableError(msg, server=worst.address, sent=False)
