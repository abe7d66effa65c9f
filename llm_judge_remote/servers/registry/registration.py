"""A server says that it is there, for as long as it is."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import threading
from types import TracebackType
from urllib.parse import urlsplit

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.logs import logger
from llm_judge_remote.servers.registry.leaving import SignalChain
from llm_judge_remote.servers.registry.registry import Registry, open_registry
from llm_judge_remote.setting_types import server_address, without_secrets

__all__ = ["Registration", "register"]

log = logger(__name__)

_PATIENCE_S = 6.0  # a renewal under way when the entry is to go; longer than a registry takes to give up


def register(url_or_registry: str | Registry, address: str, ttl: float = 30.0) -> Registration:
    """Put a server's address into a registry and keep it there.

    A thread renews the entry's lease every `ttl` / 3 seconds. The entry goes when the registration is closed, when the
    process exits, and when it gets SIGTERM or SIGINT (if this is called in the main thread), before what these signals
    did until now. A process that is killed leaves it to the lease to run out.

    Args:
        url_or_registry: A registry, or its URL; the registration closes it.
        address: The server's, as clients reach it. Without TLS, a path or a weight, `host:port` is registered, which
            AReaL reads too; else the URL.
        ttl: Seconds that the entry outlives this process.

    Raises:
        ConfigError: There is no such registry, or `address` or `ttl` cannot be.
        RegistryError: The registry did not take the entry.
    """
    value = _written(address)
    if not 0 < ttl < float("inf"):
        msg = f"ttl={ttl!r} must be a number of seconds"
        raise ConfigError(msg)
    registry = open_registry(url_or_registry) if isinstance(url_or_registry, str) else url_or_registry
    try:
        entry = registry.add(value, ttl)
    except BaseException:
        registry.close()
        raise
    return Registration(registry, entry, value, ttl)


class Registration:
    """An entry that is kept; `register` makes it.

    Args:
        registry: Where the entry is.
        entry: Its id.
        value: The address, as it is registered.
        ttl: Seconds.

    Attributes:
        registry: Where the entry is.
        entry: Its id.
        value: The address, as it is registered.
    """

    def __init__(self, registry: Registry, entry: str, value: str, ttl: float) -> None:
        self.registry = registry
        self.entry = entry
        self.value = value
        self._ttl = ttl
        self._process = os.getpid()
        self._closing = False
        self._closed = threading.Event()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # an Event's lock would not bear a signal handler
        self._thread = threading.Thread(target=self._renew, name="judge-lease", daemon=True)
        self._thread.start()
        atexit.register(self.close)
        self._signals = SignalChain(self._before_signal)
        self._signals.install()

    def __enter__(self) -> Registration:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Registration of {self.value} in {self.registry.name}>"

    def close(self) -> None:
        """Remove the entry and stop renewing it; in a fork's child, which has no part in it, nothing happens.

        A registry that is down does not hinder it: the entry's lease runs out by itself.
        """
        if os.getpid() != self._process:
            return
        if self._closing:
            self._closed.wait(2 * _PATIENCE_S)  # another thread is at it; the process must not end before
            return
        self._leave()

    def _before_signal(self) -> bool:
        if os.getpid() != self._process or self._closed.is_set():
            return True
        if self._closing:
            return False
        self._leave()
        return True

    def _leave(self) -> None:
        self._closing = True
        self._wake.put(None)
        self._thread.join(_PATIENCE_S)
        try:
            self.registry.remove(self.entry)
        except Exception as error:  # noqa: BLE001 (other people's registries may raise anything, and we are leaving)
            log.warning("%s stays registered for up to %g s: %s", self.value, self._ttl, error)
        self.registry.close()
        self._closed.set()
        atexit.unregister(self.close)
        self._signals.left()

    def _renew(self) -> None:
        down = False
        while not self._woken(self._ttl / (12 if down else 3)):
            error = self._renewed()
            if error and not down:
                log.warning("the registration of %s cannot be renewed, and is retried: %s", self.value, error)
            elif down and not error:
                log.warning("%s is registered again in %s", self.value, self.registry.name)
            down = bool(error)
        if self._closed.is_set() and not down:  # that renewal took so long that the entry was removed before it
            with contextlib.suppress(Exception):
                self.registry.remove(self.entry)

    def _woken(self, seconds: float) -> bool:
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=seconds)
            return True
        return False

    def _renewed(self) -> str:
        """Renews the lease; returns why that failed, or ""."""
        try:
            self.registry.keep(self.entry, self._ttl)
        except Exception as error:  # noqa: BLE001 (other people's registries may raise anything)
            return str(error) or repr(error)
        return ""


def _written(address: str) -> str:
    try:
        known = server_address(address)
    except ValueError as error:
        shown = "the address" if "@" in address else without_secrets(repr(address))
        msg = f"{shown} {error}"
        raise ConfigError(msg) from None
    parts = urlsplit(known)
    plain = parts.scheme == "http" and not parts.path and not parts.fragment
    return parts.netloc if plain else known
