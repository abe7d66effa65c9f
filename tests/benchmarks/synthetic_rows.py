"""Made-up problems and solutions, about 2,000 bytes a row, as JSON lines: `python synthetic_rows.py ROWS FILE`."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

__all__ = ["write_rows"]

_WORDS = [
    *("the", "of", "a", "triangle", "number", "integer", "how", "many", "find", "value", "such", "that", "each", "is"),
    *("greater", "than", "sum", "product", "x", "y", "we", "have", "therefore", "since", "then", "by", "equation"),
    *("side", "length", "area", "circle", "radius", "point", "line", "angle", "degrees", "\\frac{1}{2}", "\\sqrt{3}"),
    *("probability", "remainder", "divided", "multiple", "prime", "factor", "so", "which", "gives", "both", "total"),
]
_SENTENCES = 5_000
_PROBLEM, _SOLUTION = 6, 27  # sentences


def write_rows(path: Path, rows: int, seed: int = 0) -> None:
    """Write so many rows, no two alike, with `problem` and `solution`, which ends in `#### NUMBER`."""
    choice = random.Random(seed)
    sentences = [
        " ".join(choice.choices(_WORDS, k=choice.randrange(6, 16))).capitalize() + f" {choice.randrange(1000)}."
        for _ in range(_SENTENCES)
    ]
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            problem = " ".join(choice.choices(sentences, k=choice.randrange(1, 2 * _PROBLEM)))
            solution = "\n".join(choice.choices(sentences, k=choice.randrange(1, 2 * _SOLUTION)))
            row = {"problem": f"{problem} ({number})", "solution": f"{solution}\n#### {number}", "level": number % 5}
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    write_rows(Path(sys.argv[2]), int(sys.argv[1]))
