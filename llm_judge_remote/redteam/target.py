"""What is attacked: a problem whose candidate is known to be wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_judge_remote.rules.answers import final_answer

__all__ = ["Target", "answer_key"]

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")


@dataclass(frozen=True, slots=True)
class Target:
    """A problem, its reference, and a candidate that is wrong.

    Attributes:
        problem: The task; may be "".
        reference: A right solution.
        candidate: A wrong solution, to which attacks are added.
        verdict: The best verdict that the judge's template knows, which the attacks forge; `red_team` puts in the one
            of the template that it attacks.
        seed: For what an attack makes up; equal targets give equal attacks.

    Raises:
        ValueError: The reference or the candidate is blank, or they are the same.
    """

    problem: str
    reference: str
    candidate: str
    verdict: str = "REWARD: 1.0"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what would make every attack a right or an empty candidate."""
        for name, text in (("reference", self.reference), ("candidate", self.candidate)):
            if not text.strip():
                msg = f"a target's {name} is blank"
                raise ValueError(msg)
        if self.candidate.split() == self.reference.split():
            msg = "a target's candidate is its reference; it should be a wrong one"
            raise ValueError(msg)


def answer_key(text: str) -> str:
    """The answer that a solution ends with, for comparison with another's; "" for a blank text.

    That is the answer it marks as such, else the last number, else the last line; without white space, case, `$`,
    thousands commas and full stop.
    """
    found = final_answer(text) or next(reversed(_NUMBER.findall(text)), None)
    if found is None:
        found = next((line for line in reversed(text.split("\n")) if line.strip()), "")
    found = re.sub(r"(?<=\d),(?=\d{3}\b)", "", found.replace("$", ""))
    return "".join(found.split()).rstrip(".").casefold()
