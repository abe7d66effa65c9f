"""Entries whose server is dead."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import urllib3

from llm_judge_remote.servers.at_once import at_once
from llm_judge_remote.servers.registry.registry import Registry, open_registry
from llm_judge_remote.setting_types import server_address, split_weight

__all__ = ["prune"]

_TRIES = 2
_AT_ONCE = 16


def prune(
    url_or_registry: str | Registry, *, timeout: float = 5.0, is_alive: Callable[[str], bool] | None = None
) -> list[str]:
    """Remove the entries whose server is dead.

    A server that gives any HTTP answer to GET `/health` is alive, whatever the answer; one that gives none is asked
    twice. Values that are no addresses are left alone.

    Args:
        url_or_registry: A registry, or its URL.
        timeout: Seconds that a server has for one answer.
        is_alive: Says of an address whether its server is alive, in place of all that; called from several threads.

    Returns:
        The addresses of the entries that were removed.

    Raises:
        ConfigError: There is no such registry.
        RegistryError: It cannot be asked, or can only be read.
    """
    with contextlib.ExitStack() as stack:
        registry = url_or_registry
        if isinstance(registry, str):
            registry = open_registry(registry)
            stack.callback(registry.close)
        entries = {}
        for entry, value in registry.entries().items():
            with contextlib.suppress(ValueError):
                entries[entry] = split_weight(server_address(value))[0]
        servers = list(dict.fromkeys(entries.values()))
        if not servers:
            return []
        alive = dict(zip(servers, at_once(is_alive or _asker(timeout), servers, _AT_ONCE), strict=True))
        for entry, server in entries.items():
            if not alive[server]:
                registry.remove(entry)
    return [server for server in servers if not alive[server]]


def _asker(timeout: float) -> Callable[[str], bool]:
    return lambda server: any(_answers(server, timeout) for _ in range(_TRIES))


def _answers(server: str, timeout: float) -> bool:
    # Not requests: it reads the body of a redirect that it was told not to follow, and looks for proxies.
    with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
        try:
            pool.request("GET", f"{server}/health", redirect=False, preload_content=False).close()
        except urllib3.exceptions.SSLError:  # somebody is there, whom we do not trust
            return True
        except urllib3.exceptions.HTTPError:
            return False
    return True
