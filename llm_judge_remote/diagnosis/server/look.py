"""One look at a server, and a row of them of which one may need what another has seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from llm_judge_remote.diagnosis.order import in_order
from llm_judge_remote.diagnosis.server.remedies import remedy
from llm_judge_remote.errors import ConnectionDroppedError, InvalidReplyError, JudgeError, StatusError
from llm_judge_remote.finding import Finding, Level

__all__ = ["Look", "Seen", "take"]

Subject_contra = TypeVar("Subject_contra", contravariant=True)


_MAY_PASS = (StatusError, ConnectionDroppedError, InvalidReplyError)  # but no silence, which costs a timeout


class Seen(NamedTuple):
    """What a look has seen: `Finding` without the name."""

    level: Level
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Look(Generic[Subject_contra]):
    """One look.

    Attributes:
        name: As its finding is called.
        at: Looks; a JudgeError that it raises is an error in the server's own words, if
            it does so again.
        needs: Looks that must have gone well, or with a warning, for this one to say anything.
    """

    name: str
    at: Callable[[Subject_contra], Seen]
    needs: tuple[str, ...] = ()


def take(
    looks: Sequence[Look[Subject_contra]],
    subject: Subject_contra,
    *,
    begin: Callable[[str], None],
    found: Callable[[Finding], None],
) -> None:
    """Take looks one after the other; one that fails keeps none from being taken but those that need it.

    Args:
        looks: In an order in which what a look needs stands before it.
        subject: What is looked at.
        begin: Told each look's name before it is taken.
        found: Told each finding as soon as it is there.
    """

    def see(look: Look[Subject_contra]) -> Finding:
        begin(look.name)
        return Finding(look.name, *_seen(look, subject))

    for finding in in_order(looks, see):
        found(finding)


def _seen(look: Look[Subject_contra], subject: Subject_contra) -> Seen:
    """What a look sees; after a failure that may pass, what it sees the second time."""
    try:
        return look.at(subject)
    except JudgeError as error:
        first = error
    if not (isinstance(first, _MAY_PASS) and first.retryable):
        return Seen("error", str(first), remedy(first))
    try:
        second = look.at(subject)
    except JudgeError as error:
        return Seen("error", str(error), remedy(error))
    if second.level != "ok":
        return second
    return Seen("warning", f"{second.message}; at the first attempt it failed: {first}", remedy(first))
