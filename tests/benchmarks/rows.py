"""Rows as a trainer hands them over: made ones of a known size, or real ones from a file."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["AUTHORS", "PROMPT_FRAME", "Rows", "from_file", "made"]

PROMPT_FRAME = 1_150
"""Characters that the default template adds to a row's texts, system message included."""

AUTHORS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
_WORDS = (
    "the a of we then so answer total each per has left gives first second number costs hours apples eggs dollars "
    "half twice more than because therefore equals plus minus times divided by remaining price day week sells buys "
    "12 7 30 4.50 96 18 <<3*4=12>>12 <<20-8=12>>12 x y"
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of equal length, as `compute_score_batched` takes them."""

    data_sources: list[str]
    solutions: list[str]
    references: list[str]
    extras: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.solutions)

    @property
    def columns(self) -> tuple[list[str], list[str], list[str], list[dict[str, Any]]]:
        """In the order of the call."""
        return self.data_sources, self.solutions, self.references, self.extras

    def size(self) -> int:
        """Bytes of memory that the rows themselves take."""
        size = sum(map(sys.getsizeof, self.columns))
        for column in (self.solutions, self.references, self.extras):
            size += sum(map(sys.getsizeof, column))
        return size + sum(sys.getsizeof(text) for extra in self.extras for text in extra.values())

    def shuffled(self, seed: int) -> Rows:
        """The same rows in another order."""
        order = list(range(len(self)))
        random.Random(seed).shuffle(order)
        return Rows(*([column[index] for index in order] for column in self.columns))  # type: ignore[arg-type]


def made(count: int, first: int, row_bytes: int, group: int) -> Rows:
    """Rows of random words; each candidate begins with the marker `#id=<number>#` that the stub server looks for.

    Args:
        count: Rows.
        first: Number of the first; the others follow.
        row_bytes: Characters of problem, reference and candidate together: 3, 3 and 4 tenths.
        group: Rows with equal problem and reference, one after the other.
    """
    chance = random.Random(2_024)
    words = _WORDS.split()
    text = " ".join(chance.choice(words) for _ in range(40_000))

    def passage(number: int, salt: int, length: int) -> str:
        start = (number * 7_919 + salt) % (len(text) - length)
        return text[start : start + length]

    shared = row_bytes * 3 // 10
    rows = Rows([], [], [], [])
    for number in range(first, first + count):
        of_group = number // group
        mark = f"#id={number}# "
        rows.data_sources.append("made")
        rows.solutions.append(mark + passage(number, 17, max(row_bytes - 2 * shared - len(mark), 0)))
        rows.references.append(passage(of_group, 31, shared))
        # Texts of its own for each row, equal ones as well: this is how they come out of a table.
        rows.extras.append({"problem": passage(of_group, 4_099, shared)})
    return rows


def from_file(path: Path, count: int) -> Rows:
    """Real rows in groups of four: solutions of four authors to the same problem.

    Args:
        path: JSON lines with `question`, `ground_truth` and, for each author, `{"solution": ...}`.
        count: Rows to take, from the beginning.
    """
    rows = Rows([], [], [], [])
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            problem = json.loads(line)
            for author in AUTHORS:
                if len(rows) == count:
                    return rows
                rows.data_sources.append("gsm8k")
                rows.solutions.append(problem[author]["solution"])
                rows.references.append(problem["ground_truth"])
                rows.extras.append({"problem": problem["question"]})
    return rows
