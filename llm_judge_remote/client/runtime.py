"""What a process has open: its dispatcher, its connections, and what it knows of its servers."""

from __future__ import annotations

import threading
from collections.abc import Hashable

from llm_judge_remote.client.cache import ReplyCache, open_cache
from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.dialects import Dialects
from llm_judge_remote.client.dispatcher import Dispatcher
from llm_judge_remote.client.exchange import Connection, Exchange
from llm_judge_remote.client.shared_limit import SharedLimit
from llm_judge_remote.client.stats import DispatchStats
from llm_judge_remote.servers.pool import ServerPool
from llm_judge_remote.servers.server import Server
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Runtime"]


class Runtime:
    """Everything of one judge that belongs to one process; made on first use, and anew after a fork."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher()
        self._lock = threading.Lock()
        self._channels: dict[Hashable, Channel] = {}
        # One for each address, whatever settings lead there: a limit is a server's, not a setting's.
        self._servers: dict[str, Server] = {}
        self._shared_limits: dict[tuple[str, str], SharedLimit] = {}
        self._caches: dict[str, ReplyCache] = {}
        self._dialects = Dialects()

    def channel(self, settings: JudgeSettings) -> Channel:
        """The way to the servers that these settings name.

        Raises:
            ConfigError: `shared_limit` cannot be used.
        """
        key = (
            settings.server_url,
            settings.api_key,
            settings.trust_env,
            settings.timeout,
            settings.connect_timeout,
            settings.max_retries,
            settings.max_connections,
            settings.max_in_flight,
            settings.outage_grace,
            settings.batch_endpoint,
            settings.hedging,
            settings.shared_limit,
        )
        channel = self._channels.get(key)
        if channel is None:
            with self._lock:
                channel = self._channels.get(key) or self._channels.setdefault(key, self._open(settings))
        return channel

    def cache(self, settings: JudgeSettings) -> ReplyCache | None:
        """The replies to keep, where `cache` asks for it.

        Raises:
            ConfigError: The file cannot be used.
        """
        if not settings.cache:
            return None
        cache = self._caches.get(settings.cache)
        if cache is None:
            with self._lock:
                cache = self._caches.get(settings.cache) or open_cache(settings.cache)
                if cache is not None:
                    self._caches[settings.cache] = cache
        return cache

    def stats(self) -> DispatchStats:
        """The counts now."""
        cached = sum(cache.hits for cache in self._caches.values())
        return self.dispatcher.stats(list(self._servers.values()), cached=cached)

    def close(self) -> None:
        """End what is under way, and close all connections and files."""
        self.dispatcher.close()
        for channel in self._channels.values():
            channel.exchange.close()
        for cache in self._caches.values():
            cache.close()
        for limit in self._shared_limits.values():
            limit.close()

    def _open(self, settings: JudgeSettings) -> Channel:
        connection = Connection(
            api_key=settings.api_key.get_secret_value() if settings.api_key else None,
            timeout=settings.timeout,
            connect_timeout=settings.connect_timeout,
            max_connections=settings.max_connections,
            trust_env=settings.trust_env,
        )
        servers = [self._server(address, settings.max_in_flight) for address in settings.server_url]
        pool = ServerPool(
            servers,
            outage_grace=settings.outage_grace,
            timeout=settings.timeout,
            most=settings.max_in_flight,
            most_requests=settings.max_connections,
        )
        shared = {}
        if settings.shared_limit:
            path, most = settings.shared_limit, settings.max_in_flight
            shared = {address: self._shared_limit(path, address, most) for address in settings.server_url}
        return Channel(
            Exchange(settings.server_url, connection, self._dialects),
            pool,
            max_retries=settings.max_retries,
            use_chunks=settings.batch_endpoint == "auto",
            hedge=settings.hedging == "on",
            shared_limits=shared,
        )

    def _server(self, address: str, most: int) -> Server:
        server = self._servers.get(address)
        if server is None:
            server = self._servers[address] = Server(address, most)
        server.limit.allow(most)
        return server

    def _shared_limit(self, path: str, address: str, most: int) -> SharedLimit:
        limit = self._shared_limits.get((path, address))
        if limit is None:
            limit = self._shared_limits[path, address] = SharedLimit(path, address, most)
        return limit
