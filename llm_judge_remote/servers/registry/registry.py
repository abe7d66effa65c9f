"""What a registry is, and how its URL finds the code that talks to it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit, urlunsplit

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.setting_types import ENTRY_POINTS

__all__ = ["Registry", "needed", "open_registry", "shown_url"]

_BUILTIN = {"dns": "DnsRegistry", "etcd": "EtcdRegistry", "file": "FileRegistry", "ray": "RayRegistry"}


@runtime_checkable
class Registry(Protocol):
    """A place that holds the addresses of servers under one name.

    Making one asks nobody; each method does, and raises RegistryError when it cannot. All may be called from any
    thread, and take a few seconds at most.
    """

    @property
    def name(self) -> str:
        """The URL without secrets, for messages and logs."""
        ...

    def addresses(self) -> list[str]:
        """The values that are registered now, as they are written; none registered is an empty list."""
        ...

    def entries(self) -> dict[str, str]:
        """Entry ids and their values, with those whose lease has run out where they still lie about."""
        ...

    def add(self, address: str, ttl: float) -> str:
        """Register an address for `ttl` seconds; returns the id of the entry."""
        ...

    def keep(self, entry: str, ttl: float) -> None:
        """Renew the lease of an entry that this object added for `ttl` seconds; adds it again if it is gone."""
        ...

    def remove(self, entry: str) -> None:
        """Remove an entry, whoever added it; one that is gone already is no error."""
        ...

    def close(self) -> None:
        """Let go of connections; entries stay."""
        ...


def open_registry(url: str) -> Registry:
    """The registry that a URL names: a built-in one, or one that an installed package offers as an entry point.

    Args:
        url: `file:///shared/exp/trial/judge`, `etcd://host:2379/exp/trial/judge`, `ray://exp/trial/judge`,
            `dns://judge-headless:8000`, or another scheme that was installed.

    Raises:
        ConfigError: The scheme is unknown, the URL is not as its registry wants it, or a package is missing.
    """
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme in _BUILTIN:
        module = importlib.import_module(f"llm_judge_remote.servers.registry.{scheme}")
        made: Registry = getattr(module, _BUILTIN[scheme])(url)
        return made
    further = {point.name.lower(): point for point in entry_points(group=ENTRY_POINTS)}
    if scheme not in further:
        known = ", ".join(f"{name}://" for name in sorted({*_BUILTIN, *further}))
        msg = f"{shown_url(url)!r} is no registry that is known here; there are {known}"
        raise ConfigError(msg)
    try:
        factory: Callable[[str], Registry] = further[scheme].load()
    except (ImportError, AttributeError) as error:
        msg = f"the registry for {scheme}:// ({further[scheme].value}) cannot be loaded: {error}"
        raise ConfigError(msg) from error
    return factory(url)


def shown_url(url: str) -> str:
    """A registry's URL without what may be secret: no user, no password, no query."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket that does not close
        return url.partition("://")[0] + "://..."
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def needed(module: str, *, extra: str) -> Any:
    """An optional package's module.

    Raises:
        ConfigError: It is not installed; the message says how to.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if package not in str(error):
            raise  # it is there, and broken: its own words help more
        msg = f"{extra}:// needs the package {package}: pip install 'llm-judge-remote[{extra}]'"
        raise ConfigError(msg) from error
