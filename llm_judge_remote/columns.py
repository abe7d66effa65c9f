"""The columns of a batch, as trainers really hand them over: lists, tuples, arrays, tables' columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["columns", "is_column"]


def is_column(value: object) -> bool:
    """Whether a value is a list of rows, rather than one row's text or chat messages."""
    if value is None or isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__len__"):
        return False
    if getattr(value, "ndim", 1) == 0:  # a numpy scalar in an array
        return False
    first = next(iter(value), None)  # type: ignore[call-overload]
    return not (isinstance(first, Mapping) and "role" in first)


def columns(data_sources: Any, solutions: Any, ground_truths: Any, extra_infos: Any) -> list[list[Any]]:
    """The four columns as lists of one length.

    Raises:
        ValueError: They differ in length, or one is no list; the message says which.
    """
    rows = _as_list("solution_strs", solutions)
    table = {
        "data_sources": _as_list("data_sources", data_sources)
        if is_column(data_sources)
        else [data_sources] * len(rows),
        "solution_strs": rows,
        "ground_truths": [None] * len(rows) if ground_truths is None else _as_list("ground_truths", ground_truths),
        "extra_infos": [None] * len(rows) if extra_infos is None else _as_list("extra_infos", extra_infos),
    }
    if len({len(column) for column in table.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in table.items())
        msg = f"the lists differ in length: {lengths}"
        raise ValueError(msg)
    return list(table.values())


def _as_list(name: str, value: Any) -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__") or getattr(value, "ndim", 1) == 0:
        msg = f"{name} is a list with an element for each row, not {type(value).__name__}"
        raise ValueError(msg)
    return value.to_pylist() if hasattr(value, "to_pylist") else list(value)  # pyarrow holds scalars of its own
