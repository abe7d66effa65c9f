"""A table as a value: what is written, and the numbers to sort by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from llm_judge_remote.report.texts import one_line

__all__ = ["Cell", "Column", "Table", "table"]

_SHORT = 11  # letters


class Cell(NamedTuple):
    """What is written, and what it is sorted by: a number, or, where that is None, the text."""

    text: str
    number: float | None = None


class Column(NamedTuple):
    """A heading, and how the column's numbers are written; without `form` it holds text."""

    name: str
    form: Callable[[float], str] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under headings; the first cell of a row names it.

    Attributes:
        caption: What the rows are.
        columns: Headings.
        rows: Each with a cell for each column.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def name_width(self) -> str:
        """How much room the first column needs: `short`, `middle` or `long`."""
        longest = max((len(row[0].text) for row in self.rows if row), default=0)
        return "short" if longest <= _SHORT else "middle" if longest <= 2 * _SHORT else "long"


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> Table:
    """A table of plain values: numbers are written by their column's form, texts are cut to a line; None is a dash."""
    return Table(caption, tuple(columns), tuple(tuple(map(_cell, columns, row)) for row in rows))


def _cell(column: Column, value: Any) -> Cell:
    if value is None:
        return Cell("–")
    if column.form is None or isinstance(value, str):
        return Cell(one_line(value))
    return Cell(column.form(value), float(value))
