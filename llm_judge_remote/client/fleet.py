"""The servers of one channel: those that are named, and those that registries list at the moment."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.dispatcher import Dispatcher
from llm_judge_remote.client.shared_limit import SharedLimit
from llm_judge_remote.servers.registry import Watch
from llm_judge_remote.servers.server import Server
from llm_judge_remote.setting_types import split_weight

__all__ = ["Fleet"]

_POLL_S = 0.02


class Fleet:
    """Keeps a channel's pool as its registries say.

    Args:
        channel: Whose servers they are.
        named: Addresses that the settings name.
        watches: The registries that they name.
        server: The process's `Server` for an address.
        shared_limit: The limit of an address that processes share, or None for none.
    """

    def __init__(
        self,
        channel: Channel,
        named: Sequence[str],
        watches: Sequence[Watch],
        server: Callable[[str], Server],
        shared_limit: Callable[[str], SharedLimit] | None,
    ) -> None:
        self.channel = channel
        self._named = named
        self._watches = watches
        self._server = server
        self._shared_limit = shared_limit
        self._lock = threading.Lock()  # or of two registries that change at once the older news might win

    def update(self, dispatcher: Dispatcher) -> list[str]:
        """Take in who has come and let go of who has gone; the addresses of the latter.

        Raises:
            ConfigError: `shared_limit` cannot be used.
        """
        with self._lock:
            return self._update(dispatcher)

    def wait(self, timeout: float) -> None:
        """Wait until each registry has been looked up once, or so many seconds."""
        until = time.monotonic() + timeout
        while time.monotonic() < until and not all(watch.looked for watch in self._watches):
            time.sleep(_POLL_S)

    def _update(self, dispatcher: Dispatcher) -> list[str]:
        listed = [address for watch in self._watches for address in watch.addresses]
        weights = dict(split_weight(address) for address in [*listed, *self._named])
        addresses = list(weights)
        random.shuffle(addresses)  # or all processes would begin with the same one
        if self._shared_limit is not None:
            for address in addresses:
                if address not in self.channel.shared_limits:
                    self.channel.shared_limits[address] = self._shared_limit(address)
        gone = [server.address for server in self.channel.pool.servers if server.address not in weights]
        pool = self.channel.pool

        def put() -> None:
            pool.absence = self._absence()
            pool.replace({self._server(address): weights[address] for address in addresses})

        self.channel.exchange.welcome(addresses)
        dispatcher.change(put)
        self.channel.exchange.retire(gone)
        for address in gone:
            self.channel.shared_limits.pop(address, None)
        return gone

    def _absence(self) -> str:
        """Why there is no server, if there is none; "" before all have been looked up."""
        if not all(watch.looked for watch in self._watches):
            return ""
        return "; ".join(watch.error or f"{watch.registry.name} lists none" for watch in self._watches)
