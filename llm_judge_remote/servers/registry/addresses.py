"""From what a registry holds to addresses that can be asked."""

from __future__ import annotations

from collections.abc import Iterable

from llm_judge_remote.servers.registry.registry import Registry, open_registry
from llm_judge_remote.setting_types import server_address, split_weight

__all__ = ["asked", "lookup", "sorted_out"]


def lookup(url_or_registry: str | Registry) -> list[str]:
    """The addresses of the servers that are registered now, in their one form and each once.

    Args:
        url_or_registry: A registry, or its URL; values in it that are no addresses are left out.

    Raises:
        ConfigError: There is no such registry.
        RegistryError: It cannot be asked.
    """
    if not isinstance(url_or_registry, str):
        return list(asked(url_or_registry)[0])
    registry = open_registry(url_or_registry)
    try:
        return list(asked(registry)[0])
    finally:
        registry.close()


def asked(registry: Registry) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a registry holds now: addresses, and values that are none."""
    return sorted_out(registry.addresses())


def sorted_out(values: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Addresses, each server once, and values that are none."""
    found: dict[str, str] = {}
    others = []
    for value in values:
        try:
            address = server_address(value)
        except ValueError:  # noqa: PERF203 (each value by itself)
            others.append(value)
        else:
            found[split_weight(address)[0]] = address
    return tuple(found.values()), tuple(others)
