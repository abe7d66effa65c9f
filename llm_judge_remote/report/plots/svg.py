"""A figure as SVG: geometry here, elements in `templates/figure.svg.jinja`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from llm_judge_remote.report.plots.axis import Axis, Tick
from llm_judge_remote.report.plots.figure import Box, Boxes, Dots, Figure, Line, Mark, Whiskers

__all__ = ["WIDTH", "Drawing", "drawing"]

WIDTH = 440
"""Pixels: about what a phone is wide, so that letters stay readable there."""

_PLOT = 208
_SQUARE = 320
_ROW = 26  # pixels of a category
_TOP, _RIGHT, _BOTTOM, _LEFT = 28, 14, 46, 48
_LETTER = 6.3  # pixels of an average letter at 12 px
_LONGEST_NAME = 22  # letters of a category
_GAP = 0.7  # pixels between two bars
_LEAST_RADIUS = 1.6


class Drawing(NamedTuple):
    """What the template needs; lengths in pixels of the view box, as texts."""

    width: int
    height: int
    frame: dict[str, float]
    x_ticks: list[dict[str, Any]]
    y_ticks: list[dict[str, Any]]
    shapes: list[dict[str, Any]]


class _Place:
    """Where values of the axes stand in the view box."""

    def __init__(self, figure: Figure) -> None:
        self._x, self._y = figure.x, figure.y
        names = [_cut(tick.text) for tick in figure.y.ticks] if figure.y.is_category else []
        self.left = max(_LEFT, 14 + _LETTER * max(map(len, names), default=0))
        self.right = WIDTH - _RIGHT
        self.top = _TOP
        if figure.y.is_category:
            self.bottom = self.top + max(_ROW * len(names) + 8, 60)
        else:
            self.bottom = self.top + (_SQUARE if figure.is_square else _PLOT)

    def x(self, value: float) -> float:
        return round(self.left + (self.right - self.left) * self._x.place(value), 1)

    def y(self, value: float) -> float:
        return round(self.bottom - (self.bottom - self.top) * self._y.place(value), 1)


def drawing(figure: Figure) -> Drawing:
    """The geometry of a figure."""
    place = _Place(figure)
    frame = {"left": place.left, "right": place.right, "top": place.top, "bottom": place.bottom}
    x_ticks = [
        {"at": place.x(tick.value), "text": tick.text, "anchor": _anchor(place.x(tick.value), place)}
        for tick in _thinned(figure.x, place)
    ]
    y_ticks = [
        {"at": place.y(tick.value), "text": _cut(tick.text) if figure.y.is_category else tick.text, "full": tick.text}
        for tick in figure.y.ticks
    ]
    shapes = [shape for mark in figure.marks for shape in _shapes(mark, place, figure.y.is_category)]
    return Drawing(WIDTH, place.bottom + _BOTTOM, frame, x_ticks, y_ticks, shapes)


def _shapes(mark: Mark, place: _Place, lies: bool) -> list[dict[str, Any]]:
    if isinstance(mark, Boxes):
        return [_rect(box, mark, place, lies) for box in mark.boxes if box.x0 != box.x1 and box.y0 != box.y1]
    if isinstance(mark, Line):
        if not mark.points:
            return []
        path = _path([(place.x(x), place.y(y)) for x, y in mark.points])
        return [{"kind": "line", "colour": mark.colour, "d": path, "dashed": mark.is_dashed}]
    if isinstance(mark, Dots):
        return [
            {
                "kind": "dot",
                "colour": mark.colour,
                "x": place.x(dot.x),
                "y": place.y(dot.y),
                "r": round(max(mark.radius * math.sqrt(dot.weight), _LEAST_RADIUS), 2),
                "tip": dot.tip,
            }
            for dot in mark.dots
        ]
    return [_whisker(bar.x, bar.low, bar.high, mark, place) for bar in mark.bars]


def _rect(box: Box, mark: Boxes, place: _Place, lies: bool) -> dict[str, Any]:
    x0, x1 = place.x(box.x0), place.x(box.x1)
    y0, y1 = place.y(box.y1), place.y(box.y0)
    gap_x, gap_y = (0.0, 0.0) if lies else (min(_GAP, (x1 - x0) / 4), 0.0)
    return {
        "kind": "bar",
        "colour": mark.colour,
        "x": round(x0 + gap_x, 1),
        "y": round(y0 + gap_y, 1),
        # What is there is seen, however little it is.
        "width": round(max(x1 - x0 - 2 * gap_x, 0.8), 1),
        "height": round(max(y1 - y0 - 2 * gap_y, 0.8), 1),
        "tip": box.tip,
    }


def _whisker(x: float, low: float, high: float, mark: Whiskers, place: _Place) -> dict[str, Any]:
    at, top, bottom = place.x(x), place.y(high), place.y(low)
    path = f"M{at - 3:g} {top:g}h6M{at:g} {top:g}V{bottom:g}M{at - 3:g} {bottom:g}h6"
    return {"kind": "line", "colour": mark.colour, "d": path, "dashed": False}


def _path(points: Sequence[tuple[float, float]]) -> str:
    first, *others = points
    words = [f"M{first[0]:g} {first[1]:g}"]
    words += [f"L{x:g} {y:g}" for x, y in others]
    return "".join(words)


def _thinned(axis: Axis, place: _Place) -> Sequence[Tick]:
    """Ticks whose texts do not run into each other."""
    kept: list[Tick] = []
    free = -math.inf
    for tick in axis.ticks:
        at, width = place.x(tick.value), len(tick.text) * _LETTER + 9
        left = at - width if _anchor(at, place) == "end" else at - width / 2
        if left < free and tick is axis.ticks[-1] and len(kept) > 1:
            kept.pop()  # the end of an axis says more than the tick before
            free = left
        if left >= free:
            kept.append(tick)
            free = left + width
    return kept


def _anchor(at: float, place: _Place) -> str:
    return "end" if at > place.right - 8 else "middle"


def _cut(name: str) -> str:
    """A name with its middle left out: what follows a common beginning tells names apart."""
    if len(name) <= _LONGEST_NAME:
        return name
    end = _LONGEST_NAME // 2
    return f"{name[: _LONGEST_NAME - end - 1]}…{name[-end:]}"
