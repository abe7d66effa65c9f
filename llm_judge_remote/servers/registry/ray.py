"""Addresses in Ray: a named actor that outlives the driver that made it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

from llm_judge_remote.errors import ConfigError, RegistryError
from llm_judge_remote.servers.registry.registry import needed, shown_url
from llm_judge_remote.servers.registry.url import bad_url, entry_name, number, parts_of, query_of

__all__ = ["NAMESPACE", "RayRegistry"]

NAMESPACE = "llm_judge_remote"
"""The Ray namespace of the actors."""

_TIMEOUT_S = 5.0
_MAKING_S = 60.0  # Ray starts a process for the actor
_SETTLING_S = 30.0
"""An actor that Ray had to restart has forgotten all; for so long it says so, rather than that there are no servers."""


class RayRegistry:
    """A named actor, `ray://exp/trial/judge`.

    The process must be connected to a Ray cluster, as trainers on Ray are. Elsewhere `?address=auto` or
    `?address=HOST:PORT` has this connect to a running cluster, and `?start=1` start a local one; what was connected so
    stays so until the process ends. Only adding an address makes the actor; it takes no CPU of the cluster.
    `?timeout=` bounds one call, 5 s unless given; the one that makes the actor may take a minute.

    Args:
        url: The actor's name.

    Raises:
        ConfigError: The URL has no name, or ray is not installed.
    """

    def __init__(self, url: str) -> None:
        parts = parts_of(url)
        query = query_of(url, ("address", "start", "timeout"))
        self._actor_name = entry_name(f"{parts.netloc}/{parts.path}")
        if not self._actor_name:
            raise bad_url(url, "write ray://NAME, as in ray://experiment/trial/judge")
        self.name = shown_url(url)
        self._address = query.get("address", "")
        self._start = query.get("start", "").lower() in ("1", "true", "on", "yes")
        self._timeout = number(url, query, "timeout", _TIMEOUT_S)
        self._ray = needed("ray", extra="ray")
        self._added: dict[str, str] = {}

    def addresses(self) -> list[str]:
        """The values whose lease has not run out, the oldest first."""
        return list(self.entries().values())

    def entries(self) -> dict[str, str]:
        """Entry ids and values."""
        with self._refusing():
            actor = self._actor()
            found: dict[str, str] | None = {} if actor is None else self._get(actor.entries.remote())
        if found is None:
            msg = f"{self.name}: its actor was restarted a moment ago, and waits for the servers to register again"
            raise RegistryError(msg)
        return found

    def add(self, address: str, ttl: float) -> str:
        """Have the actor note the address; makes the actor if there is none."""
        entry = secrets.token_hex(4)
        self._put(entry, address, ttl)
        self._added[entry] = address
        return entry

    def keep(self, entry: str, ttl: float) -> None:
        """Have the actor note it again."""
        self._put(entry, self._added[entry], ttl)

    def remove(self, entry: str) -> None:
        """Have the actor forget it."""
        self._added.pop(entry, None)
        with self._refusing():
            actor = self._actor()
            if actor is not None:
                self._get(actor.remove.remote(entry))

    def close(self) -> None:
        """The connection is the process's, and stays."""

    def _put(self, entry: str, address: str, ttl: float) -> None:
        with self._refusing():
            actor = self._actor()
            if actor is not None:
                self._get(actor.put.remote(entry, address, ttl))
                return
            # Somebody else may make it meanwhile. Not every time: Ray keeps each class that it is given.
            options = {"name": self._actor_name, "namespace": NAMESPACE, "get_if_exists": True, "num_cpus": 0}
            made = self._ray.remote(_address_book()).options(**options, lifetime="detached", max_restarts=-1)
            self._get(made.remote(_SETTLING_S).put.remote(entry, address, ttl), least=_MAKING_S)

    def _actor(self) -> Any:
        """The actor, or None where nobody has made it."""
        self._connect()
        try:
            return self._ray.get_actor(self._actor_name, namespace=NAMESPACE)
        except ValueError:  # what Ray says when there is none
            return None

    def _get(self, reference: Any, *, least: float = 0.0) -> Any:
        return self._ray.get(reference, timeout=max(self._timeout, least))

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return
        if not self._address and not self._start:
            msg = (
                f"{self.name}: this process is not connected to Ray; call ray.init() first, or write "
                f"{self.name}?address=auto to have it connected, {self.name}?start=1 to start a local cluster"
            )
            raise RegistryError(msg)
        where = {"address": self._address} if self._address else {"include_dashboard": False}
        self._ray.init(**where, namespace=NAMESPACE, log_to_driver=False, ignore_reinit_error=True)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Where Ray's errors become ours."""
        try:
            yield
        except (RegistryError, ConfigError):
            raise
        except Exception as error:
            why = str(error).strip().partition("\n")[0] or "no answer in time"
            msg = f"{self.name}: Ray cannot be asked: {type(error).__name__}: {why}"
            raise RegistryError(msg) from error


def _address_book() -> type:
    """The actor's class; made here, so that Ray sends its code to nodes that lack this package."""
    import time  # noqa: PLC0415 (for the same reason)

    class JudgeAddresses:
        def __init__(self, settling: float) -> None:
            import ray as _ray  # noqa: PLC0415 (where the actor runs)

            restarted = _ray.get_runtime_context().was_current_actor_reconstructed
            self._settled = time.monotonic() + (settling if restarted else 0.0)
            self._entries: dict[str, tuple[str, float]] = {}

        def put(self, entry: str, address: str, ttl: float) -> None:
            self._entries[entry] = (address, time.monotonic() + ttl)

        def remove(self, entry: str) -> None:
            self._entries.pop(entry, None)

        def entries(self) -> dict[str, str] | None:
            now = time.monotonic()
            if now < self._settled:
                return None
            self._entries = {entry: kept for entry, kept in self._entries.items() if kept[1] > now}
            return {entry: address for entry, (address, _) in self._entries.items()}

    return JudgeAddresses
