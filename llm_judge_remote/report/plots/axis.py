"""Axes: what they are called, what they span, and where their ticks stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import NamedTuple

from llm_judge_remote.report import formats

__all__ = ["Axis", "Tick", "category_axis", "linear_axis", "log_axis", "share_axis", "time_axis", "unit_axis"]

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_DAY = 86_400
_TIME_STEPS = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, _DAY, 2 * _DAY, 7 * _DAY)
_NARROW = 3.0  # decades; axes of so many or fewer have ticks at 2 and 5 too


class Tick(NamedTuple):
    """A mark on an axis."""

    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a figure.

    Attributes:
        label: What is measured, with its unit.
        low: Value at the left or at the bottom.
        high: Value at the other end; greater than `low`.
        ticks: Within.
        is_log: Whether equal distances stand for equal factors; `low` is positive then.
        is_category: Whether the values are places in a list, as `category_axis` makes them.
    """

    label: str
    low: float
    high: float
    ticks: tuple[Tick, ...]
    is_log: bool = False
    is_category: bool = False

    def place(self, value: float) -> float:
        """Where a value stands: 0 at `low`, 1 at `high`; what lies outside stands at the edge."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        return min(max((value - low) / (high - low), 0.0), 1.0)


def linear_axis(label: str, low: float, high: float, *, most: int = 6) -> Axis:
    """Round steps, and an end at one of them."""
    if not high > low:
        high = low + 1
    step = _round_step((high - low) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = [index * step for index in range(first, last + 1)]
    texts = [formats.short(round(value, 10)) for value in values]
    if len(set(texts)) < len(texts):  # a short range of large numbers
        digits = max(-math.floor(math.log10(step)), 0)
        texts = [f"{value:,.{digits}f}" for value in values]
    return Axis(label, values[0], values[-1], tuple(map(Tick, values, texts)))


def unit_axis(label: str) -> Axis:
    """From 0 to 1, for scores and shares of them."""
    return Axis(label, 0.0, 1.0, tuple(Tick(index / 5, f"{index / 5:.1f}") for index in range(6)))


def share_axis(label: str, high: float = 1.0) -> Axis:
    """Shares as percentages, from 0 to a round one of at least `high` (at most 100 %)."""
    made = linear_axis(label, 0.0, max(high, 0.01), most=5)
    end = min(made.high, 1.0)
    ticks = tuple(Tick(tick.value, f"{100 * tick.value:.3g}\u00a0%") for tick in made.ticks if tick.value <= end + 1e-9)
    return Axis(label, 0.0, end, ticks)


def log_axis(label: str, low: float, high: float) -> Axis:
    """Powers of ten, and 2 and 5 times them where there are few; the ends are ticks."""
    factors = (1, 2, 5) if math.log10(high / low) <= _NARROW else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    values = [factor * 10.0**power for power in range(first - 1, last + 2) for factor in factors]
    start = max((index for index, value in enumerate(values) if value <= low * (1 + 1e-9)), default=0)
    end = min((index for index, value in enumerate(values) if value >= high * (1 - 1e-9)), default=len(values) - 1)
    end = max(end, start + 1)
    kept = values[start : end + 1]
    return Axis(label, kept[0], kept[-1], tuple(Tick(value, formats.short(value)) for value in kept), is_log=True)


def time_axis(label: str, low: float, high: float, *, most: int = 5) -> Axis:
    """Seconds since 1970 in UTC; the ticks say the time, and the day where there are several."""
    if not high > low:
        high = low + 1
    wanted = (high - low) / most
    step = next((step for step in _TIME_STEPS if step >= wanted), None) or math.ceil(wanted / _DAY) * _DAY
    pattern = "%H:%M:%S" if step < 60 else "%H:%M" if step < _DAY and high - low < _DAY else "%d %b"
    if step < _DAY and high - low >= _DAY:
        pattern = "%d %b %H:%M"
    values = range(math.ceil(low / step) * step, math.floor(high) + 1, step)
    ticks = tuple(Tick(value, datetime.fromtimestamp(value, timezone.utc).strftime(pattern)) for value in values)
    return Axis(label, low, high, ticks)


def category_axis(label: str, names: Sequence[str]) -> Axis:
    """Names, the first at the top: that of index i stands at `len(names) - 1 - i`, with half a unit on either side."""
    last = len(names) - 1
    ticks = tuple(Tick(last - index, name) for index, name in enumerate(names))
    return Axis(label, -0.5, last + 0.5, ticks, is_category=True)


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in _STEPS if factor * power >= least * (1 - 1e-9))
