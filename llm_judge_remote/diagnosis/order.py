"""Looks in an order in which one may need what another has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from llm_judge_remote.finding import Finding

__all__ = ["Needing", "in_order"]


class Needing(Protocol):
    """A look: what its finding is called, and the earlier looks without which there is nothing to look at."""

    @property
    def name(self) -> str: ...  # noqa: D102 (said above)
    @property
    def needs(self) -> tuple[str, ...]: ...  # noqa: D102


_Look = TypeVar("_Look", bound=Needing)


def in_order(looks: Iterable[_Look], see: Callable[[_Look], Finding]) -> Iterator[Finding]:
    """What is seen, one look after the other; an error keeps none from being taken but those that need it.

    Args:
        looks: What a look needs stands before it.
        see: Takes a look.
    """
    failed: dict[str, str] = {}  # by name the look whose error is the reason
    for look in looks:
        reason = next((failed[name] for name in look.needs if name in failed), None)
        if reason is None:
            finding = see(look)
        else:
            finding = Finding(look.name, "skipped", f"not looked at, because of the error above: {reason}")
        if finding.level == "error" or reason is not None:
            failed[look.name] = reason or look.name
        yield finding
