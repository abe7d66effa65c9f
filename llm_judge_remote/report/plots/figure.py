"""A figure as a value: axes, marks in the units of the axes, and the numbers in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from llm_judge_remote.report.plots.axis import Axis
from llm_judge_remote.report.table import Table

__all__ = ["Box", "Boxes", "Colour", "Dot", "Dots", "Figure", "Line", "Mark", "Whisker", "Whiskers"]

Colour = Literal["judged", "ruled", "fallback", "failed", "first", "second", "third", "guide"]
"""What a mark stands for; page and files have a colour for each."""


class Box(NamedTuple):
    """A filled rectangle; `tip` says its numbers."""

    x0: float
    x1: float
    y0: float
    y1: float
    tip: str


class Dot(NamedTuple):
    """A filled circle; its area is `weight` (in [0, 1]) of the largest one's."""

    x: float
    y: float
    weight: float
    tip: str


class Whisker(NamedTuple):
    """An interval in the direction of y."""

    x: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Boxes:
    """Bars of one kind."""

    name: str
    colour: Colour
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points. Without a name it is a guide for the eye, and no part of the legend."""

    name: str
    colour: Colour
    points: tuple[tuple[float, float], ...]
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Dots:
    """Circles of one kind; the largest has a radius of `radius` pixels."""

    name: str
    colour: Colour
    dots: tuple[Dot, ...]
    radius: float = 4.0


@dataclass(frozen=True, slots=True)
class Whiskers:
    """Intervals, such as those of a share."""

    name: str
    colour: Colour
    bars: tuple[Whisker, ...]


Mark = Boxes | Line | Dots | Whiskers


@dataclass(frozen=True, slots=True)
class Figure:
    """One plot.

    Attributes:
        key: Part of an element's id and of a file's name: lower-case letters, digits and `-`.
        title: What is seen.
        x: The horizontal axis.
        y: The vertical axis.
        marks: Drawn one over the other.
        says: The finding in a sentence or two, for those who cannot see it, and under the plot for all.
        data: The numbers.
        is_square: Whether both axes measure alike, and the plot is nearly as high as wide.
    """

    key: str
    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    says: str
    data: Table
    is_square: bool = False
