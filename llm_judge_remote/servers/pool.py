"""The choice of a server, and how long to wait for one when none answers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from llm_judge_remote.errors import ServerUnavailableError
from llm_judge_remote.logs import logger
from llm_judge_remote.servers.affinity import preference
from llm_judge_remote.servers.server import Server

__all__ = ["Patience", "ServerPool"]

log = logger(__name__)

_MOST_KEYS = 65_536
_FIRST_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call waits, in seconds, while no server answers.

    Attributes:
        outage: For servers that have stopped answering.
        busy: For one that is there and turns everything away: as long as for one that is slow.
        startup: For one that has not answered yet, counted from the first attempt.
    """

    outage: float = 5.0
    busy: float = 60.0
    startup: float = 0.0


class ServerPool:
    """The servers of one setting; they may come and go.

    The samples of a group go to the server that comes first in the group's order (`affinity.preference`), unless it has
    its fair share and `slack` more already; then to the next. The fair share is what goes with the server's weight, of
    all that has been let in, under way or in line; so no server ever holds more than `(1 + slack)` times its share
    (consistent hashing with bounded loads, Mirrokni, Thorup and Zadimoghaddam, 2018). Other samples go to the server
    that has the least in flight for its weight.

    While none answers, requests wait for a trial to succeed, but a call waits no longer than `patience` says: an outage
    costs that once, not once per sample, and a restarted server is found by the next call.

    Not safe in threads by itself: the dispatcher holds the lock. Times are monotonic seconds.

    Args:
        servers: In any number; with weights as a mapping.
        patience: How long to wait when none answers.
        most: Conversations in flight at each server.
        most_requests: Requests that carry them.
        slack: See above; None for a choice by what is in flight alone.

    Attributes:
        servers: Those that are in it now.
        absence: Why there is none, where that is known.
    """

    def __init__(
        self,
        servers: Sequence[Server] | Mapping[Server, float],
        *,
        patience: Patience | None = None,
        most: int = 256,
        most_requests: int = 1028,
        slack: float | None = 0.25,
    ) -> None:
        self.most = most
        self.absence = ""
        self._patience = Patience() if patience is None else patience
        self._most_requests = most_requests
        self._slack = slack
        self._empty_since: float | None = None
        self._startup_until: float | None = None
        self._said_to_wait = False
        self.servers: tuple[Server, ...] = ()
        self._weights: dict[Server, float] = {}
        self._orders: dict[str, tuple[Server, ...]] = {}
        self._turn = 0
        self._turns: dict[Server, int] = {}
        self.replace(servers)

    def replace(self, servers: Sequence[Server] | Mapping[Server, float]) -> None:
        """From now on these are the servers; what is under way at others goes on."""
        if any(server.has_answered for server in self.servers):
            self._startup_until = -math.inf  # one that answered may leave before anybody has had to wait
        self._weights = dict(servers) if isinstance(servers, Mapping) else dict.fromkeys(servers, 1.0)
        self.servers = tuple(self._weights)
        self._orders.clear()
        self._turns = {server: self._turns.get(server, 0) for server in self.servers}
        if self.servers:
            self._empty_since = None

    @property
    def is_down(self) -> bool:
        """Whether no server answers."""
        return all(server.down_since is not None for server in self.servers)

    @property
    def has_choice(self) -> bool:
        """Whether it matters which group goes where."""
        return len(self.servers) > 1 and self._slack is not None

    def choose(
        self,
        now: float,
        avoid: Collection[str] = (),
        *,
        without: Collection[str] = (),
        key: str | None = None,
        waiting: int = 0,
    ) -> Server | None:
        """A server with room, or one that is down and due for a trial; None when there is neither.

        Args:
            now: The time.
            avoid: Addresses that already failed this request; taken only when no other has room.
            without: Addresses that would refuse it; taken only when no other answers.
            key: The group's, if siblings are to go the same way.
            waiting: Conversations in line.
        """
        up = [server for server in self.servers if server.down_since is None]
        for server in self.servers:
            if server.wants_trial(now) and not (up and server.address in avoid):
                return server
        fit = [server for server in up if server.address not in without] or up
        free = [server for server in fit if self._has_room(server)]
        fresh = [server for server in free if server.address not in avoid] or free
        if not fresh:
            return None
        if key is not None and self.has_choice:
            for server in self._order(key):
                if server in fresh and self.share(server, waiting) > server.in_flight:
                    return server
        chosen = min(fresh, key=lambda server: ((server.in_flight + 1) / self._weights[server], self._turns[server]))
        self._turn += 1
        self._turns[chosen] = self._turn
        return chosen

    def home(self, key: str, waiting: int) -> Server | None:
        """The first of the servers that answer, in a group's order; None while it is full."""
        home = next((server for server in self._order(key) if server.down_since is None), None)
        if home is None or not self._has_room(home) or self.share(home, waiting) <= home.in_flight:
            return None
        return home

    def share(self, server: Server, waiting: int) -> int:
        """Conversations that a server may have in flight, now that so many wait."""
        if not self.has_choice or self._slack is None:
            return self.most
        up = [each for each in self.servers if each.down_since is None] or self.servers
        let_in = sum(each.in_flight for each in up) + max(waiting, 1)
        part = self._weights[server] / sum(self._weights[each] for each in up)
        return math.ceil((1 + self._slack) * part * let_in)

    def has_trial(self, now: float) -> bool:
        """Whether a server is down, and the next request is to see if it answers again."""
        return any(server.wants_trial(now) for server in self.servers)

    def due_for_probe(self, now: float) -> Server | None:
        """A server that is down, and to be asked now whether it is well."""
        return next((server for server in self.servers if server.wants_probe(now)), None)

    def next_trial(self, now: float) -> float:
        """When the next trial is due; infinity while one is under way."""
        return now + min((server.trial_due(now) for server in self.servers), default=math.inf)

    def patience(self, now: float, since: float) -> float:
        """Seconds that a call begun at `since` still waits, while all servers are down.

        No call gives up before a trial was made for it: one that would is waited for, as long again at most.
        """
        if not self.servers:
            return self._patience_with_none(now)
        outage = self._patience.outage
        startup_until = self._wait_for_startup(now)
        ends: list[float] = []
        left: list[float] = []
        for server in self.servers:
            grace = max(outage, self._patience.busy if server.is_busy else 0.0)
            down_since = server.down_since or 0.0
            end = down_since + grace
            if not server.has_answered:
                end = max(end, min(down_since + self._patience.startup, startup_until))
            ends.append(end)
            left.append(max(end, since + grace) - now)
        tried_in_vain = any(server.failed_trial >= since for server in self.servers)
        if tried_in_vain and now >= max(ends):
            return 0.0
        self._say_that_it_waits()
        if max(left) > 0 or tried_in_vain:
            return max(left)
        return max(server.hasten_trial(now) for server in self.servers) + outage - now

    def unavailable(self) -> ServerUnavailableError:
        """What to tell those who waited long enough."""
        servers = self.servers
        if not servers:
            return ServerUnavailableError(
                f"there is no judge server: {self.absence or 'they are being looked up'}", sent=False
            )
        worst = servers[0]
        msg = f"no judge server answers; {worst.address}: {worst.last_error}"
        if len(servers) > 1:
            msg = f"none of {len(servers)} judge servers answers; {worst.address}: {worst.last_error}"
        return ServerUnavailableError(msg, server=worst.address, sent=False)

    def _wait_for_startup(self, now: float) -> float:
        """Until when servers are waited for that have never answered: once, and not after one of them has."""
        if self._startup_until is None:
            self._startup_until = now + self._patience.startup
        if any(server.has_answered for server in self.servers):
            self._startup_until = -math.inf
        return self._startup_until

    def _patience_with_none(self, now: float) -> float:
        if self._empty_since is None:
            self._empty_since = now
        until = max(self._empty_since + self._patience.outage, self._wait_for_startup(now))
        if not self.absence:  # nobody has looked yet
            until = max(until, self._empty_since + _FIRST_LOOK_S)
        self._say_that_it_waits()
        return max(until - now, 0.0)

    def _has_room(self, server: Server) -> bool:
        return server.room(self.most) > 0 and server.requests < self._most_requests

    def _order(self, key: str) -> tuple[Server, ...]:
        order = self._orders.get(key)
        if order is None:
            if len(self._orders) >= _MOST_KEYS:
                self._orders.clear()
            by_address = {server.address: server for server in self.servers}
            weights = {server.address: weight for server, weight in self._weights.items()}
            order = self._orders[key] = tuple(by_address[address] for address in preference(key, weights))
        return order

    def _say_that_it_waits(self) -> None:
        """Once: a process that starts together with its servers waits, and is not to be thought dead meanwhile."""
        if self._said_to_wait or not self._patience.startup or self._startup_until == -math.inf:
            return
        if not (self.servers or self.absence):
            return  # somebody is just looking them up
        self._said_to_wait = True
        what = "; ".join(f"{server.address}: {server.last_error}" for server in self.servers) or self.absence
        log.warning("waiting up to %g s (startup_timeout) for a judge server: %s", self._patience.startup, what)
