"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["amount", "count", "decimal", "plain_number", "rows", "seconds", "share", "short"]

_MISSING = "–"
# A number and its unit are not parted at the end of a line.
_GAP = "\u00a0"
_MINUTE = 60.0
_HOUR = 3600.0


def count(value: float) -> str:
    """`12,345`."""
    return f"{int(value):,}"


def amount(value: float) -> str:
    """A number of things, or a mean of such: `12,345`, `3.25`."""
    return count(value) if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def rows(value: float) -> str:
    """`1 row`, `12,345 rows`."""
    return f"{count(value)} row{'s' * (int(value) != 1)}"


def decimal(value: float | None, digits: int = 3) -> str:
    """`0.812`; a dash where there is none."""
    return _MISSING if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    """`12.3 %` of a share in [0, 1]; shares that are not 0 or 1 are never written as if they were."""
    if value is None or not math.isfinite(value):
        return _MISSING
    if 0 < value < 0.001:
        return f"<{_GAP}0.1{_GAP}%"
    if 0.999 < value < 1:
        return f">{_GAP}99.9{_GAP}%"
    return f"{100 * value:.1f}{_GAP}%"


def seconds(value: float | None) -> str:
    """`12 ms`, `1.25 s`, `3.5 min`, `2.1 h`."""
    if value is None or not math.isfinite(value):
        return _MISSING
    if value == 0:
        return f"0{_GAP}s"
    if value < 1e-3:
        return f"<{_GAP}1{_GAP}ms"
    if value < 1:
        return f"{value * 1000:.0f}{_GAP}ms"
    if value < _MINUTE:
        return f"{value:.3g}{_GAP}s"
    return f"{value / _MINUTE:.1f}{_GAP}min" if value < _HOUR else f"{value / _HOUR:,.1f}{_GAP}h"


def short(value: float) -> str:
    """A number in few signs: `0.25`, `1.2k`, `3.4M`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def plain_number(value: Any) -> float | None:
    """A float for JSON: None for what is not finite."""
    number = float(value)
    return number if math.isfinite(number) else None
