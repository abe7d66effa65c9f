"""Columns as arrays: numbers, labels, times, keys, and names by their number."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from llm_judge_remote.report.texts import one_line
from llm_judge_remote.sample import as_text

__all__ = [
    "NO_LABEL",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "LabelArray",
    "Names",
    "hashes",
    "labels",
    "numbers",
    "times",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
LabelArray = npt.NDArray[np.int8]
BoolArray = npt.NDArray[np.bool_]

NO_LABEL = -1

_RIGHT = frozenset(("true", "yes", "right", "correct", "pass", "passed", "good", "positive"))
_WRONG = frozenset(("false", "no", "wrong", "incorrect", "fail", "failed", "bad", "negative"))
_MOST_NAMES = 10_000
_LATEST_SECONDS = 1e11  # the year 5138: larger numbers count milliseconds, microseconds or nanoseconds


def numbers(column: pa.Array) -> FloatArray:
    """A column's numbers; NaN where there is none."""
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return np.array([_number(value) for value in column.to_pylist()], dtype=np.float64)
    found: FloatArray = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def labels(column: pa.Array) -> LabelArray:
    """1 right, 0 wrong, `NO_LABEL`: truth values, numbers (right from 0.5 on), or words such as `true` and `wrong`."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array([_label(value) for value in column.to_pylist()], dtype=np.int8)
    found = numbers(column)
    return np.where(np.isnan(found), NO_LABEL, found >= 0.5).astype(np.int8)


def times(column: pa.Array) -> FloatArray:
    """Seconds since 1970: of timestamps, of ISO 8601 texts (in UTC without a zone), or numbers as such; else NaN."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return numbers(column.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64())) / 1e6
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.array([_time(value) for value in column.to_pylist()], dtype=np.float64)
    found = numbers(column)
    largest = float(np.nanmax(np.abs(found), initial=0.0))
    while largest > _LATEST_SECONDS:
        found, largest = found / 1e3, largest / 1e3
    return found


def hashes(column: pa.Array) -> tuple[IntArray, BoolArray]:
    """8 bytes for each value, equal for equal ones within this process; and where there is a value.

    Two different values of a million share a hash with a probability of 3e-8.
    """
    there: BoolArray = column.is_valid().to_numpy(zero_copy_only=False)
    try:
        coded = column.dictionary_encode()
    except pa.ArrowNotImplementedError:  # lists and structs
        return np.array([hash(repr(value)) for value in column.to_pylist()], dtype=np.int64), there
    own = np.array([hash(value) for value in coded.dictionary.to_pylist()] or [0], dtype=np.int64)
    codes = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return own[codes], there


class Names:
    """Texts of few kinds, as numbers; after the 10,000th kind all others are one.

    Args:
        key: What texts of one kind have in common; the first text of a kind names it.
    """

    def __init__(self, key: Any = None) -> None:
        self._key = key
        self._codes: dict[str, int] = {}
        self.names: list[str] = []

    def codes(self, column: pa.Array) -> npt.NDArray[np.int32]:
        """The number of each text; that of "" for what is null."""
        try:
            coded = column.dictionary_encode(null_encoding="encode")
            texts, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False)
        except pa.ArrowNotImplementedError:
            texts, codes = column.to_pylist(), np.arange(len(column))
        own = np.array([self._code(as_text(text)) for text in texts] or [0], dtype=np.int32)
        found: npt.NDArray[np.int32] = own[codes]
        return found

    def none(self, rows: int) -> npt.NDArray[np.int32]:
        """So many times the number of ""."""
        return np.full(rows, self._code(""), dtype=np.int32)

    def _code(self, text: str) -> int:
        kind = self._key(text) if self._key is not None else text
        known = self._codes.get(kind)
        if known is None:
            if len(self._codes) >= _MOST_NAMES:
                kind = text = "(others)"
            if kind not in self._codes:
                self._codes[kind] = len(self.names)
                self.names.append(one_line(text))
            known = self._codes[kind]
        return known


def _number(value: Any) -> float:
    if isinstance(value, (str, int, float)):
        try:
            return float(value)
        except ValueError:
            return math.nan
    return math.nan


def _label(value: str | None) -> int:
    word = (value or "").strip().casefold()
    if word in _RIGHT or word in _WRONG:
        return int(word in _RIGHT)
    number = _number(word)
    return NO_LABEL if math.isnan(number) else int(number >= 0.5)


def _time(value: str | None) -> float:
    try:
        told = datetime.fromisoformat((value or "").strip().replace("Z", "+00:00"))
    except ValueError:
        return _number(value)
    return (told if told.tzinfo else told.replace(tzinfo=timezone.utc)).timestamp()
