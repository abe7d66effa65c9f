"""A regime's table: contenders and their figures, what the figures mean, and the targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Table", "Target", "number"]


def number(value: float | None, digits: int = 2) -> str:
    """A figure; `-` for none."""
    return "-" if value is None else f"{value:,.{digits}f}"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that has to be reached.

    Attributes:
        name: What is measured, of whom.
        value: As measured; None if it could not be.
        limit: The most that it may be, or the least.
        at_least: Whether `limit` is the least.
        digits: Behind the point.
    """

    name: str
    value: float | None
    limit: float
    at_least: bool = False
    digits: int = 2

    @property
    def is_met(self) -> bool | None:
        """None if it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = {True: "met", False: "MISSED", None: "not measured"}[self.is_met]
        return f"{self.name}: {number(self.value, self.digits)} (target {sign} {self.limit:g}): {verdict}"


@dataclass(slots=True)
class Table:
    """What one regime shows.

    Attributes:
        regime: Its name.
        title: What was done, with numbers.
        columns: Headings; the first is that of the contenders.
        rows: A line of cells for each contender.
        definitions: What the columns and ratios are.
        targets: What has to be reached.
        measured: Every single run, for `--json`.
    """

    regime: str
    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    definitions: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [list(self.columns), *self.rows]
        widths = [max(len(line[place]) for line in lines if place < len(line)) for place in range(len(self.columns))]
        printed = [f"== {self.regime}: {self.title}"]
        for line in lines:
            first, *others = line
            cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=False))
            printed.append("  ".join((first.ljust(widths[0]), *cells)).rstrip())
        printed += [f"   {text}" for text in self.definitions]
        printed += [f"   * {target}" for target in self.targets]
        return "\n".join(printed)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "regime": self.regime,
            "title": self.title,
            "columns": list(self.columns),
            "rows": self.rows,
            "definitions": self.definitions,
            "targets": [
                {"name": t.name, "value": t.value, "limit": t.limit, "at_least": t.at_least, "met": t.is_met}
                for t in self.targets
            ],
            "measured": self.measured,
        }
