"""Membership pairs as JSON lines, and how long their texts are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from llm_judge_remote.dataset.pair_items import PairItems
from llm_judge_remote.dataset.rows import first_references

__all__ = ["Lengths", "json_lines", "lengths", "together"]

_AT_ONCE = 128  # texts that are held as Python's strings; with many more the processor's caches are of no help

Lengths = list[int]
"""How many texts there are, and how many characters in all of them, in the shortest and in the longest."""


def json_lines(pairs: PairItems, *, first: int, member: bool, method: str) -> list[bytes]:
    """Pairs as JSON, one in a line.

    Args:
        pairs: All members, or all non-members.
        first: Number of the first pair, for its `id`.
        member: Whether they are members.
        method: How non-members were made.

    Returns:
        Some lines in each, in order.
    """
    kind = "member" if member else "nonmember"
    solutions = first_references(pairs.items)
    problem_index = pairs.items.column("source_index").to_numpy()
    made = []
    for start in range(0, len(solutions), _AT_ONCE):
        at_once = slice(start, start + _AT_ONCE)
        columns = (
            _texts(pairs.items.column("problem")[at_once]),
            _texts(solutions[at_once]),
            problem_index[at_once].tolist(),
            pairs.solution_index[at_once].tolist(),
        )
        rows = enumerate(zip(*columns, strict=True), first + start)
        made.append(b"".join([_line(f"{kind}-{number}", row, int(member), method) for number, row in rows]))
    return made


def _line(name: str, row: tuple[str, str, int, int], member: int, method: str) -> bytes:
    problem, solution, problem_index, solution_index = row
    return orjson.dumps(
        {
            "id": name,
            "problem": problem,
            "solution": solution,
            "member": member,
            "problem_source_index": problem_index,
            "solution_source_index": solution_index,
            "method": method,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def lengths(items: pa.RecordBatch) -> dict[str, Lengths]:
    """Of problems and first references, in characters."""
    return {"problem": _lengths(items.column("problem")), "solution": _lengths(first_references(items))}


def together(several: Sequence[Lengths]) -> dict[str, float]:
    """What a reader wants to know of all of them."""
    count, total = sum(each[0] for each in several), sum(each[1] for each in several)
    return {
        "mean": round(total / count, 1),
        "min": min(each[2] for each in several),
        "max": max(each[3] for each in several),
    }


def _lengths(texts: pa.Array) -> Lengths:
    found = pc.binary_length(texts) if _is_ascii(texts) else pc.utf8_length(texts)
    ends = pc.min_max(found)
    return [len(texts), pc.sum(found).as_py(), ends["min"].as_py(), ends["max"].as_py()]


def _is_ascii(texts: pa.LargeStringArray) -> bool:
    """Whether bytes are characters; a false no only costs time."""
    data = texts.buffers()[2]
    return data is None or bool(np.frombuffer(data, np.uint8).max(initial=0) < 128)


def _texts(texts: pa.Array) -> list[str]:
    # Through numpy, as to_pylist makes an object of pyarrow's for each text first.
    found: list[str] = texts.to_numpy(zero_copy_only=False).tolist()
    return found
