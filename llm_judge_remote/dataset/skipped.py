"""Rows that are of no use: one ends the reading, or all are counted and left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from llm_judge_remote.errors import DatasetError

__all__ = ["BadRows", "Place", "Skipped"]

_MOST_SHOWN = 10


class Place(NamedTuple):
    """Where a row stands in its file.

    Attributes:
        text: For a message: `line 12`, or `row 12` in a file without lines.
        number: The line's or row's number, from 1.
    """

    text: str
    number: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """The rows that were left out.

    Attributes:
        count: How many.
        first: The first ten: file, line (or row, in a file without lines; from 1), and what is wrong.
    """

    count: int = 0
    first: tuple[tuple[str, int, str], ...] = ()


class BadRows:
    """What happens to the bad rows of one reading.

    Args:
        skip: Whether they are counted and left out, rather than an error.

    Attributes:
        first_said: File, line and what is wrong with the first one; "" before there is one.
    """

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self._count = 0
        self._first: list[tuple[str, int, str]] = []
        self.first_said = ""

    @property
    def skipped(self) -> Skipped:
        """Those met so far."""
        return Skipped(self._count, tuple(self._first))

    def add(self, file: str, where: Callable[[int], Place], row: int, why: str) -> None:
        """A row is bad; `where` is asked for its place only if somebody will read it: it may have to search the file.

        Raises:
            DatasetError: Bad rows are not to be skipped; the message names file and line.
        """
        if len(self._first) < _MOST_SHOWN:
            place = where(row)
            said = f"{file}, {place.text}: {why}"
            if not self._skip:
                msg = f"{said} (--skip-bad leaves such rows out)"
                raise DatasetError(msg)
            self.first_said = self.first_said or said
            self._first.append((file, place.number, why))
        self._count += 1
