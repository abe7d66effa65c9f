"""What a process has open: its dispatcher, its connections, and what it knows of its servers."""

from __future__ import annotations

import functools
import threading
from collections.abc import Hashable

from llm_judge_remote.client.breaker_notes import BreakerNotes
from llm_judge_remote.client.cache import ReplyCache, open_cache
from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.dialects import Dialects
from llm_judge_remote.client.dispatcher import Dispatcher
from llm_judge_remote.client.exchange import Exchange
from llm_judge_remote.client.fleet import Fleet
from llm_judge_remote.client.measure import Measure
from llm_judge_remote.client.sessions import Connection
from llm_judge_remote.client.shared_limit import SharedLimit
from llm_judge_remote.client.stats import DispatchStats
from llm_judge_remote.servers.pool import Patience, ServerPool
from llm_judge_remote.servers.registry import Watch, open_registry
from llm_judge_remote.servers.server import Server
from llm_judge_remote.setting_types import is_registry
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Runtime"]


class Runtime:
    """Everything of one judge that belongs to one process; made on first use, and anew after a fork."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher()
        self.measure = Measure()
        self._lock = threading.Lock()
        self._channels: dict[Hashable, Channel] = {}
        # One for each address, whatever settings lead there: a limit is a server's, not a setting's.
        self._servers: dict[str, Server] = {}
        self._shared_limits: dict[tuple[str, str], SharedLimit] = {}
        self._caches: dict[str, ReplyCache] = {}
        self._notes: dict[str, BreakerNotes] = {}
        self._dialects = Dialects()
        self._fleets: list[Fleet] = []
        self._watches: dict[tuple[str, float], Watch] = {}

    def channel(self, settings: JudgeSettings) -> Channel:
        """The way to the servers that these settings name.

        Raises:
            ConfigError: A registry or `shared_limit` cannot be used.
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
            settings.startup_timeout,
            settings.registry_refresh,
            settings.affinity,
            settings.affinity_slack,
            settings.routing_header,
            settings.batch_endpoint,
            settings.hedging,
            settings.shared_limit,
        )
        channel = self._channels.get(key)
        if channel is None:
            with self._lock:
                channel = self._channels.get(key) or self._channels.setdefault(key, self._open(settings))
        return channel

    def addresses(self, settings: JudgeSettings, timeout: float) -> list[str]:
        """The servers that these settings lead to now; a registry is waited for so many seconds, the first time.

        Raises:
            ConfigError: A registry cannot be used.
            ServerUnavailableError: There is no server.
        """
        channel = self.channel(settings)
        fleet = next(fleet for fleet in self._fleets if fleet.channel is channel)
        fleet.wait(timeout)
        found = [server.address for server in channel.pool.servers]
        if not found:
            raise channel.pool.unavailable()
        return found

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
        for watch in self._watches.values():
            watch.close()
        self.dispatcher.close()
        for channel in self._channels.values():
            channel.exchange.close()
        for cache in self._caches.values():
            cache.close()
        for limit in self._shared_limits.values():
            limit.close()
        for notes in self._notes.values():
            notes.close()

    def _open(self, settings: JudgeSettings) -> Channel:
        connection = Connection.of(settings)
        pool = ServerPool(
            {},
            patience=Patience(settings.outage_grace, settings.timeout, settings.startup_timeout),
            most=settings.max_in_flight,
            most_requests=settings.max_connections,
            slack=settings.affinity_slack if settings.affinity == "on" else None,
        )
        channel = Channel(
            Exchange(connection, self._dialects, self.measure),
            pool,
            max_retries=settings.max_retries,
            use_chunks=settings.batch_endpoint == "auto",
            hedge=settings.hedging == "on",
        )
        fleet = Fleet(
            channel,
            [address for address in settings.server_url if not is_registry(address)],
            [self._watch(url, settings.registry_refresh) for url in settings.server_url if is_registry(url)],
            functools.partial(self._server, most=settings.max_in_flight, breaker_folder=settings.breaker_folder),
            functools.partial(self._shared_limit, settings.shared_limit, most=settings.max_in_flight)
            if settings.shared_limit
            else None,
        )
        self._fleets.append(fleet)
        fleet.update(self.dispatcher)
        return channel

    def _watch(self, url: str, refresh: float) -> Watch:
        watch = self._watches.get((url, refresh))
        if watch is None:
            watch = self._watches[url, refresh] = Watch(open_registry(url), refresh, self._look)
        return watch

    def _look(self) -> None:
        """A registry lists other servers than before."""
        gone: list[str] = []
        for fleet in list(self._fleets):
            gone += fleet.update(self.dispatcher)
        for address in set(gone) - {server.address for fleet in self._fleets for server in fleet.channel.pool.servers}:
            server = self._servers.pop(address, None)
            if server is not None:
                self.dispatcher.change(server.retire)
            for key in [key for key in self._shared_limits if key[1] == address]:
                self._shared_limits.pop(key).close()

    def _server(self, address: str, most: int, breaker_folder: str | None) -> Server:
        server = self._servers.get(address)
        if server is None:
            notes = None
            if breaker_folder is not None:
                notes = self._notes.setdefault(breaker_folder, BreakerNotes(breaker_folder))
            server = self._servers[address] = Server(address, most, notes)
        server.limit.allow(most)
        return server

    def _shared_limit(self, path: str, address: str, most: int) -> SharedLimit:
        limit = self._shared_limits.get((path, address))
        if limit is None:
            limit = self._shared_limits[path, address] = SharedLimit(path, address, most)
        return limit
