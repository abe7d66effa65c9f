"""The servers that the settings lead to."""

from __future__ import annotations

from llm_judge_remote.diagnosis.server.remedies import remedy
from llm_judge_remote.errors import RegistryError
from llm_judge_remote.finding import Finding
from llm_judge_remote.servers.registry.addresses import asked
from llm_judge_remote.servers.registry.registry import open_registry
from llm_judge_remote.setting_types import split_weight

__all__ = ["look_up"]

_MOST_NAMED = 8


def look_up(url: str) -> tuple[Finding, list[str]]:
    """What a registry lists, and the addresses.

    Raises:
        ConfigError: There is no such registry, or what it takes is not installed.
    """
    registry = open_registry(url)
    try:
        found, others = asked(registry)
    except RegistryError as error:
        return Finding("registry", "error", str(error), remedy(error)), []
    finally:
        registry.close()
    addresses = [split_weight(address)[0] for address in found]
    if not addresses:
        fix = "start a server that registers there (llm-judge-remote serve --registry URL), or compare the two URLs"
        return Finding("registry", "error", f"{registry.name} lists no server", fix), []
    shown = ", ".join(addresses[:_MOST_NAMED])
    more = f" and {len(addresses) - _MOST_NAMED} more" if len(addresses) > _MOST_NAMED else ""
    words = f"lists {len(addresses)} server{'s' * (len(addresses) > 1)}: {shown}{more}"
    if others:
        words += f"; and {len(others)} values that are no addresses, such as {others[0]!r:.80}"
        return Finding("registry", "warning", words, "take them off: llm-judge-remote registry prune"), addresses
    return Finding("registry", "ok", words), addresses
