"""Where servers are looked up: whether it can be asked, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator

from llm_judge_remote.errors import JudgeError
from llm_judge_remote.finding import Finding
from llm_judge_remote.servers.at_once import within
from llm_judge_remote.servers.registry import open_registry
from llm_judge_remote.servers.registry.addresses import sorted_out
from llm_judge_remote.servers.registry.registry import shown_url
from llm_judge_remote.setting_types import split_weight, without_secrets

__all__ = ["look_at_registry"]

_MOST_NAMED = 8


def look_at_registry(url: str, timeout: float, found: list[str]) -> Iterator[Finding]:
    """Whether a registry can be asked, and which servers it holds.

    Args:
        url: As in `server_url`.
        timeout: Seconds.
        found: The addresses of its servers are added here.
    """
    name = shown_url(url)
    fix = "have the servers register (`llm-judge-remote registry register`, or serve), or correct the name in the URL"
    try:
        values, entries = within(timeout, lambda: _held(url))
    except TimeoutError:
        yield Finding("registry", "error", f"{name} did not answer within {timeout:g} s", "see whether it is up")
        return
    except JudgeError as error:
        yield Finding(
            "registry", "error", without_secrets(str(error)), "see whether it is up, and server_url names it right"
        )
        return
    addresses, others = sorted_out(values)
    found += [split_weight(address)[0] for address in addresses]
    stale = len(set(entries.values()) - set(values))
    if not addresses:
        gone = f"; {stale} entries have run out: their servers are gone" if stale else ""
        yield Finding("registry", "error", f"{name} lists no server{gone}", fix)
        return
    more = f" and {len(addresses) - _MOST_NAMED} more" if len(addresses) > _MOST_NAMED else ""
    yield Finding("registry", "ok", f"{name} lists {len(addresses)}: {', '.join(addresses[:_MOST_NAMED])}{more}")
    if others:
        shown = ", ".join(map(repr, others[:_MOST_NAMED]))
        words = f"{name} also holds what is no server's address: {shown}"
        yield Finding("registry values", "warning", words, "remove it; who registers there must write http://HOST:PORT")
    if stale:
        words = f"{name} also holds {stale} entries of servers that have not renewed them in time"
        yield Finding("registry leases", "warning", words, "remove them: llm-judge-remote registry prune")


def _held(url: str) -> tuple[list[str], dict[str, str]]:
    """The values that count, and all entries."""
    registry = open_registry(url)
    try:
        return registry.addresses(), registry.entries()
    finally:
        registry.close()
