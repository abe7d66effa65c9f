"""A part of the report as a value: words, figures, tables and the numbers for `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from llm_judge_remote.report.plots.figure import Figure
from llm_judge_remote.report.table import Table

__all__ = ["Section", "Tile"]


class Tile(NamedTuple):
    """A number to see first.

    Attributes:
        name: What it is.
        value: As it is written.
        note: Under it, small.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report.

    Attributes:
        key: Its id on the page, and its name in `--json`.
        title: Its heading.
        lead: What it shows, in a sentence or two.
        tiles: Its most important numbers.
        figures: Its plots.
        tables: Its tables.
        warnings: What the reader should not miss; the page shows them at its head as well.
        missing: Why there is nothing to show, and what would change that; "" where there is.
        numbers: For `--json`: plain values, None for what is not known.
    """

    key: str
    title: str
    lead: str = ""
    tiles: tuple[Tile, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    warnings: tuple[str, ...] = ()
    missing: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
