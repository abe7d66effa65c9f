"""How a server is now: a look at it, and what has changed since the look before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llm_judge_remote.client.breaker_folder import OpenBreaker
from llm_judge_remote.monitoring.look import Look, State

__all__ = ["ServerStatus", "status_of"]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server now; None for what is not known.

    Attributes:
        address: The server's.
        source: The registry that lists it, or "" for one that was named.
        state: `well`, `asleep`, `unwell` (it answers, and says that it cannot work) or `down`.
        state_s: Seconds for which it has been found so.
        note: Why it is not well, or why figures are missing; "" otherwise.
        model: The name under which its model is served, or "".
        running: Requests that are worked on.
        waiting: Requests that wait for that.
        kv_cache: Share of the KV cache in use, in [0, 1].
        prefix_hit_rate: Share of the prompt tokens that the prefix cache had, in [0, 1]: since the last look, or, where
            none were looked for since then, since the server started.
        prompt_tokens_per_s: Since the last look.
        generation_tokens_per_s: Since the last look.
        preemptions: Requests that lost their place in the KV cache, since the server started.
        open_breakers: Of the clients that take it for down, those first that have done so longest.
    """

    address: str
    source: str
    state: State
    state_s: float
    note: str
    model: str
    running: float | None
    waiting: float | None
    kv_cache: float | None
    prefix_hit_rate: float | None
    prompt_tokens_per_s: float | None
    generation_tokens_per_s: float | None
    preemptions: float | None
    open_breakers: tuple[OpenBreaker, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether it works, or would if it were woken."""
        return self.state in ("well", "asleep")

    def to_dict(self) -> dict[str, Any]:
        """Its attributes."""
        return asdict(self)


def status_of(
    now: Look, before: Look | None, *, since: float, source: str = "", open_breakers: Sequence[OpenBreaker] = ()
) -> ServerStatus:
    """What two looks at a server come to.

    Args:
        now: The later one.
        before: The earlier one, or None where there was none.
        since: Monotonic time at which it was first found in this state.
        source: The registry that lists it.
        open_breakers: Of the clients that take it for down.
    """
    figures = now.figures
    return ServerStatus(
        address=now.address,
        source=source,
        state=now.state,
        state_s=max(now.time - since, 0.0),
        note=now.note,
        model=figures.model,
        running=figures.running,
        waiting=figures.waiting,
        kv_cache=figures.kv_cache,
        prefix_hit_rate=_hit_rate(now, before),
        prompt_tokens_per_s=_rate("prompt_tokens", now, before),
        generation_tokens_per_s=_rate("generation_tokens", now, before),
        preemptions=figures.preemptions,
        open_breakers=tuple(open_breakers),
    )


def _rate(figure: str, now: Look, before: Look | None) -> float | None:
    grown = _growth(figure, now, before)
    return None if grown is None or before is None else grown / (now.time - before.time)


def _hit_rate(now: Look, before: Look | None) -> float | None:
    queries, hits = _growth("prefix_queries", now, before), _growth("prefix_hits", now, before)
    if not queries or hits is None:
        queries, hits = now.figures.prefix_queries, now.figures.prefix_hits
    # SGLang counts the two at different moments.
    return min(hits / queries, 1.0) if queries and hits is not None else None


def _growth(figure: str, now: Look, before: Look | None) -> float | None:
    """By how much a counter grew; None where that cannot be told, as of a server that was started anew."""
    if before is None or now.time <= before.time:
        return None
    first: float | None = getattr(before.figures, figure)
    last: float | None = getattr(now.figures, figure)
    return None if first is None or last is None or last < first else last - first
