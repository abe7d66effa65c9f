"""Looks at one thing, one after the other: what fails stops only what builds on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from llm_judge_remote.diagnosis.order import in_order
from llm_judge_remote.errors import JudgeError
from llm_judge_remote.finding import Finding

__all__ = ["Look", "guarded", "take"]

Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True)
class Look(Generic[Subject]):
    """One look.

    Attributes:
        name: Of the finding.
        at: Looks, and says what it found; may leave in the subject what later looks need.
        needs: Names of earlier looks without which there is nothing to look at.
    """

    name: str
    at: Callable[[Subject], Finding]
    needs: tuple[str, ...] = ()


def take(looks: Sequence[Look[Subject]], subject: Subject) -> Iterator[Finding]:
    """What each look finds, in order; `skipped` where one that it needs has found an error.

    Args:
        looks: In such an order that what is needed comes first.
        subject: What is looked at.
    """
    return in_order(looks, lambda look: _taken(look, subject))


def guarded(name: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, and where making them fails, one that says so: what fails must not stop the others."""
    try:
        yield from findings
    except JudgeError as error:
        yield Finding(name, "error", str(error))
    except Exception as error:  # noqa: BLE001 (whatever a look comes upon)
        yield _surprise(name, error)


def _taken(look: Look[Subject], subject: Subject) -> Finding:
    try:
        return look.at(subject)
    except JudgeError as error:
        return Finding(look.name, "error", str(error))
    except Exception as error:  # noqa: BLE001 (as above)
        return _surprise(look.name, error)


def _surprise(name: str, error: Exception) -> Finding:
    words = f"this could not be looked at: {type(error).__name__}: {error}"
    return Finding(name, "warning", words, "please report it: doctor should have known better")
