"""A server's entry in a registry, for as long as the server is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from llm_judge_remote.errors import ConfigError, RegistryError
from llm_judge_remote.servers.registry import register

__all__ = ["Announcement"]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_LEAVE_S = 30.0  # that a registry may take to let go of an entry; its lease runs out by itself


class Announcement:
    """Registers an address in a thread of its own, again and again until it is done, and keeps it there until `close`.

    A registry that hangs keeps nobody waiting but that thread.

    Args:
        registry: Its URL.
        address: The server's, as clients reach it.
        ttl: Seconds that the entry outlives this process.
        say: Told what happens, a line at a time.
    """

    def __init__(self, registry: str, address: str, ttl: float, say: Callable[[str], None]) -> None:
        self._registry = registry
        self._address = address
        self._ttl = ttl
        self._say = say
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="judge-announcement", daemon=True)
        self._thread.start()

    def close(self, hurry: threading.Event) -> None:
        """Take the entry off; waits until that is done, half a minute, or `hurry`."""
        self._closed.set()
        until = time.monotonic() + _LEAVE_S
        while self._thread.is_alive() and time.monotonic() < until and not hurry.is_set():
            self._thread.join(0.1)

    def _keep(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._closed.is_set():
            try:
                registration = register(self._registry, self._address, self._ttl)
            except ConfigError as error:  # it will not do later either
                self._say(f"not registered: {error}")
                return
            except RegistryError as error:
                self._say(f"not registered yet, the server stays up: {error}")
                self._closed.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            with registration:
                self._say(f"registered as {self._address}")
                self._closed.wait()
