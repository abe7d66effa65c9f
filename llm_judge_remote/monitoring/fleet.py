"""The servers that settings lead to, looked at again and again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import TracebackType

from llm_judge_remote.client.breaker_folder import OpenBreaker, open_breakers
from llm_judge_remote.client.session import Session
from llm_judge_remote.client.sessions import Connection, Sessions
from llm_judge_remote.errors import RegistryError
from llm_judge_remote.monitoring.look import Look, look
from llm_judge_remote.monitoring.status import ServerStatus, status_of
from llm_judge_remote.servers.at_once import at_once
from llm_judge_remote.servers.registry import Registry, lookup, open_registry
from llm_judge_remote.setting_types import is_registry, split_weight
from llm_judge_remote.settings import JudgeSettings

__all__ = ["WatchedFleet"]

_TIMEOUT_S = 5.0


class WatchedFleet:
    """The servers that settings lead to. Use it as a context manager, or call `close`.

    Each look asks them all at the same time, and the registries which there are. A registry that cannot be asked leaves
    those that it listed last.

    Args:
        settings: Whose `server_url` it is; the key, `connect_timeout`, `trust_env` and `breaker_folder` are used too.
        timeout: Seconds that a server has for its answers.
        clock: Monotonic seconds.

    Attributes:
        troubles: What is wrong with registries and with the breakers' folder, as of the last look.

    Raises:
        ConfigError: A registry cannot be used.
    """

    def __init__(
        self, settings: JudgeSettings, *, timeout: float = _TIMEOUT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._timeout = timeout
        self._breaker_folder = settings.breaker_folder
        self._clock = clock
        self._named = [split_weight(url)[0] for url in settings.server_url if not is_registry(url)]
        self._registries = [open_registry(url) for url in settings.server_url if is_registry(url)]
        self._sessions = Sessions(
            Connection.of(settings)._replace(connect_timeout=min(settings.connect_timeout, timeout), max_connections=2)
        )
        self._listed: dict[str, list[str]] = {registry.name: [] for registry in self._registries}
        self._before: dict[str, Look] = {}
        self._since: dict[str, float] = {}
        self.troubles: list[str] = []

    def __enter__(self) -> WatchedFleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; looks under way end at once."""
        self._sessions.close()
        for registry in self._registries:
            with contextlib.suppress(Exception):  # other people's registries may raise anything, and we are leaving
                registry.close()

    def sessions(self) -> list[Session]:
        """A session of each server that there is now."""
        return [self._sessions.get(address) for address in self._sources()]

    def look(self) -> list[ServerStatus]:
        """Look at all; first those that were named, then those of the registries, each in their order."""
        sources = self._sources()
        breakers = self._open_breakers()
        looks = at_once(lambda address: look(self._sessions.get(address), self._timeout, self._clock), sources)
        statuses = []
        for now in looks:
            before = self._before.get(now.address)
            if before is None or before.state != now.state:
                self._since[now.address] = now.time
            statuses.append(
                status_of(
                    now,
                    before,
                    since=self._since[now.address],
                    source=sources[now.address],
                    open_breakers=breakers.get(now.address, ()),
                )
            )
        self._before = {each.address: each for each in looks}
        return statuses

    def _open_breakers(self) -> dict[str, list[OpenBreaker]]:
        if self._breaker_folder is None:
            return {}
        try:
            return open_breakers(self._breaker_folder)
        except OSError as error:
            self.troubles.append(f"breaker_folder={self._breaker_folder!r} cannot be read: {error.strerror or error}")
            return {}

    def _sources(self) -> dict[str, str]:
        """The addresses of the servers, and of each the registry that lists it."""
        answers = at_once(self._ask, self._registries)
        self.troubles = [trouble for trouble in answers if trouble]
        sources = dict.fromkeys(self._named, "")
        for name, addresses in self._listed.items():
            for address in addresses:
                sources.setdefault(address, name)
        return sources

    def _ask(self, registry: Registry) -> str:
        try:
            self._listed[registry.name] = sorted(split_weight(address)[0] for address in lookup(registry))
        except RegistryError as error:
            return str(error)
        return "" if self._listed[registry.name] else f"{registry.name} lists no server"
