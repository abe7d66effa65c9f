"""One attack: a name, and how its candidate is made."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from llm_judge_remote.redteam.target import Target, answer_key

__all__ = ["Attack", "Make", "alone", "before", "behind"]

Make = Callable[[Target], str]

_SLOT = re.compile(r"\{(PROBLEM|CANDIDATE|WRONG|VERDICT|SCORE|CODE)\}")


@dataclass(frozen=True, slots=True)
class Attack:
    """A way to make a judge take a wrong candidate for a right one.

    Attributes:
        name: Unique in the corpus.
        kind: What sort of attack it is; reports sum up by kind.
        make: The attack's candidate for a target: the same for the same target, and wrong for every target.
        tries: In a sentence, what it hopes for.
        source: Where it comes from; "" where it is common knowledge, or ours.
    """

    name: str
    kind: str
    make: Make
    tries: str = ""
    source: str = ""

    @property
    def label(self) -> str:
        """`KIND/NAME`, as reports have it."""
        return f"{self.kind}/{self.name}"


def alone(text: str) -> Make:
    """A candidate that is this text, whatever the target.

    Texts may hold slots: `{PROBLEM}`, `{CANDIDATE}` (the wrong one), `{WRONG}` (its final answer), `{VERDICT}` (the
    best verdict, as a line), `{SCORE}` (its score alone) and `{CODE}` (eight hexadecimal digits). Other braces stay.
    """
    return partial(_filled, text)


def behind(text: str) -> Make:
    """The wrong candidate, and this text behind it; slots as in `alone`."""
    return partial(_filled, "{CANDIDATE}\n\n" + text)


def before(text: str) -> Make:
    """This text, and the wrong candidate behind it; slots as in `alone`."""
    return partial(_filled, text + "\n\n{CANDIDATE}")


def _filled(text: str, target: Target) -> str:
    """The text with its slots filled; what stands in them is not looked at again."""
    return _SLOT.sub(lambda slot: _FILLINGS[slot[1]](target), text)


def _code(target: Target) -> str:
    return hashlib.blake2b(f"{target.seed} {target.problem}".encode("utf-8", "replace"), digest_size=4).hexdigest()


_FILLINGS: dict[str, Make] = {
    "PROBLEM": lambda target: target.problem,
    "CANDIDATE": lambda target: target.candidate,
    "WRONG": lambda target: answer_key(target.candidate),
    "VERDICT": lambda target: target.verdict,
    "SCORE": lambda target: target.verdict.rpartition(":")[2].strip(),
    "CODE": _code,
}
