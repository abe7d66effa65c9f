"""Which servers the settings lead to, and with which settings each is asked: those of the call, and those of routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from llm_judge_remote.layers import settings_for_route
from llm_judge_remote.setting_types import is_registry, split_weight
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Target", "profiles", "registries", "targets"]


class Target(NamedTuple):
    """A server, and how it is asked.

    Attributes:
        address: Without a weight.
        settings: All layers together.
        where: For people: the address, and the route that leads there if it is not the settings' own.
    """

    address: str
    settings: JudgeSettings
    where: str


def profiles(settings: JudgeSettings) -> Iterator[tuple[str, JudgeSettings]]:
    """The call's settings under "", and those of each route by its prefix, where they are others.

    Raises:
        ConfigError: A route's settings are of no use.
    """
    seen = [settings]
    if settings.server_url:
        yield "", settings
    for prefix in settings.routes or {}:
        own = settings_for_route(settings, prefix)
        if own.server_url and own not in seen:
            seen.append(own)
            yield prefix, own


def registries(settings: JudgeSettings) -> list[str]:
    """The registries' URLs, each once."""
    return list(dict.fromkeys(url for _, own in profiles(settings) for url in own.server_url if is_registry(url)))


def targets(settings: JudgeSettings, registered: dict[str, list[str]]) -> list[Target]:
    """Each server with each of the settings that it is asked with.

    Args:
        settings: All layers together.
        registered: The addresses that each registry holds.
    """
    found: dict[tuple[str, str], Target] = {}
    for prefix, own in profiles(settings):
        for element in own.server_url:
            for address in registered.get(element, []) if is_registry(element) else [split_weight(element)[0]]:
                where = f"{address} (route {prefix})" if prefix else address
                found.setdefault((prefix, address), Target(address, own, where))
    return list(found.values())
