"""Lengths and repetitions of many texts, in a few bytes for each."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

__all__ = ["Length", "Lengths", "Repeats"]

_UINT32_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Length:
    """Lengths of texts, in characters: of those that there are, half are at most `median` long, 95 % at most `p95`.

    Attributes:
        median: A length that occurs.
        p95: The same.
        max: The longest.
        longest_row: Where it is, the first of several.
    """

    median: int
    p95: int
    max: int
    longest_row: int


class Lengths:
    """Lengths in characters, 4 bytes for each text."""

    def __init__(self) -> None:
        self._all = array("I")
        self._max = -1
        self._longest_row = 0

    def add(self, length: int, row: int) -> None:
        """The length of a text of a row's."""
        self._all.append(min(length, _UINT32_MAX))
        if length > self._max:
            self._max, self._longest_row = length, row

    def summary(self) -> Length | None:
        """None without any text."""
        if not self._all:
            return None
        values = np.frombuffer(self._all, dtype=np.uint32)
        median, p95 = np.percentile(values, [50, 95], method="inverted_cdf")
        return Length(int(median), int(p95), self._max, self._longest_row)


class Repeats:
    """Which rows repeat a key of an earlier row, by the keys' 8-byte hashes.

    Two different keys of a million have the same hash with a probability of 3e-8.
    """

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, key: object) -> None:
        """The key of the next row."""
        self._hashes.append(hash(key))

    def later(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """For each row, whether an earlier one has the same key."""
        hashes = np.frombuffer(self._hashes, dtype=np.int64)
        found = np.ones(len(hashes), dtype=np.bool_)
        found[np.unique(hashes, return_index=True)[1]] = False
        return found
