"""Rows whose scores everybody knows: what the servers say about a row is a function of its texts alone."""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass

from llm_judge_remote.testing import Conversation

__all__ = ["Row", "made", "verdict"]

_MARK = re.compile(r"\b(problem|reference|candidate)-(\d+\.\d+\.\d+)\b")
_SIBLINGS = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One row; each of its texts holds a mark that no other text has.

    Attributes:
        problem: Shared by the eight rows of a group.
        reference: The same.
        candidate: The row's own.
        mark: The candidate's.
        score: What a judge gives that was shown these three texts, in hundredths.
    """

    problem: str
    reference: str
    candidate: str
    mark: str
    score: int


def made(client: int, call: int, count: int) -> list[Row]:
    """The rows of a call; other numbers, other rows.

    Args:
        client: Number of the process.
        call: Number of its call.
        count: Rows, in groups of eight in any order.
    """
    rows: list[Row] = []
    for number in range(count):
        group = f"{client}.{call}.{number // _SIBLINGS}"
        mark = f"{client}.{call}.{number}"
        rows.append(
            Row(
                problem=f"This is problem-{group}: how many apples are left?",
                reference=f"By reference-{group} there are {number // _SIBLINGS} apples left.",
                candidate=f"As candidate-{mark} I count what is there. So {number} apples are left.",
                mark=mark,
                score=_score(group, group, mark),
            )
        )
    random.Random(f"{client}.{call}").shuffle(rows)
    return rows


def verdict(conversation: Conversation) -> str:
    """What a server says; without a row in the conversation a few words."""
    marks = dict(_MARK.findall(conversation.text))
    if len(marks) < 3:
        return "Hello."
    score = _score(marks["problem"], marks["reference"], marks["candidate"])
    return f"This is about {marks['candidate']}.\nREWARD: {score / 100:.2f}"


def _score(problem: str, reference: str, candidate: str) -> int:
    digest = hashlib.sha256(f"{problem}|{reference}|{candidate}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 101
