"""The choice of a server, and the wait for one when none answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

from llm_judge_remote.errors import ServerUnavailableError
from llm_judge_remote.servers.server import Server

__all__ = ["ServerPool"]


class ServerPool:
    """The servers of one setting, shared by all threads of this process.

    A request goes to the server with the least in flight among those that answer. While none does, requests wait for
    a trial to succeed, but a call waits no longer than `outage_grace` seconds in all: an outage costs that once, not
    once per sample, and a restarted server is found by the next call.

    Args:
        addresses: At least one.
        outage_grace: Seconds.
        clock: Seconds from any fixed point; for tests.
    """

    def __init__(
        self, addresses: Sequence[str], outage_grace: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._servers = [Server(address) for address in addresses]
        self._grace = outage_grace
        self._clock = clock
        self._condition = threading.Condition()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The servers' addresses."""
        return tuple(server.address for server in self._servers)

    def acquire(self, *, since: float, until: float | None = None, avoid: Collection[str] = ()) -> Server:
        """A server to send one request to; give it back with `answered`, `failed` or `abandoned`.

        Args:
            since: When the call began, on the pool's clock.
            until: When the call must be over, or None.
            avoid: Addresses that already failed this request; taken only when there is no other.

        Raises:
            ServerUnavailableError: No server answers, and the call has waited long enough.
        """
        with self._condition:
            while True:
                now = self._clock()
                server = self._choose(now, avoid)
                if server is not None:
                    server.in_flight += 1
                    return server
                patience = self._patience(now, since)
                if until is not None:
                    patience = min(patience, until - now)
                if patience <= 0:
                    raise self._unavailable()
                due = min(server.trial_due(now) for server in self._servers)
                self._condition.wait(min(due, patience))

    def answered(self, server: Server) -> None:
        """Give a server back that answered, if only to say no."""
        with self._condition:
            server.in_flight -= 1
            server.succeeded()
            self._condition.notify_all()

    def failed(self, server: Server, error: str) -> None:
        """Give a server back that did not answer."""
        with self._condition:
            server.in_flight -= 1
            server.failed(self._clock(), error)
            self._condition.notify_all()

    def abandoned(self, server: Server) -> None:
        """Give a server back whose answer nobody waited for."""
        with self._condition:
            server.in_flight -= 1
            server.abandoned()
            self._condition.notify_all()

    def _choose(self, now: float, avoid: Collection[str]) -> Server | None:
        up = [server for server in self._servers if server.down_since is None]
        for server in self._servers:
            if server.down_since is not None and server.trial_due(now) <= 0 and not (up and server.address in avoid):
                server.begin_trial(now)
                return server
        fresh = [server for server in up if server.address not in avoid]
        return min(fresh or up, key=lambda server: server.in_flight, default=None)

    def _patience(self, now: float, since: float) -> float:
        """Seconds that a call begun at `since` still waits, now that all servers are down."""
        outage = max(server.down_since or 0.0 for server in self._servers)
        tried_in_vain = any(server.failed_trial >= since for server in self._servers)
        if tried_in_vain and now >= outage + self._grace:
            return 0.0
        return max(outage, since) + self._grace - now

    def _unavailable(self) -> ServerUnavailableError:
        worst = self._servers[0]
        msg = f"no judge server answers; {worst.address}: {worst.last_error}"
        if len(self._servers) > 1:
            msg = f"none of {len(self._servers)} judge servers answers; {worst.address}: {worst.last_error}"
        return ServerUnavailableError(msg, server=worst.address, sent=False)
