"""The lexical fallback on the judge's own scale.

Raw lexical similarity sits on another scale than a judge's scores, so that an outage shifts the rewards of everything
that it hits. Here the rows that were judged lately say what the judge would have given, on average, at a similarity.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

__all__ = ["Calibration"]


class Calibration:
    """A monotone fit from lexical similarity to the judge's score, over the newest judged rows.

    Isotonic regression under squared error, by the pool-adjacent-violators algorithm (Ayer, Brunk, Ewing, Reid and
    Silverman, 1955; de Leeuw, Hornik and Mair, "Isotone Optimization in R", 2009), used to calibrate scores as in
    Zadrozny and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", 2002. Within
    a pooled block the fit is the block's mean, between blocks it is linear, and beyond the outermost rows constant.
    On the fitted rows its mean is the mean of the judged scores.

    The fit is made when it is asked for and has aged by a sixteenth of its rows, so that neither adding nor asking
    pays for it each time. Safe in threads.

    Args:
        keep: How many rows to remember; the oldest go first.
        fewest: How many rows there must be before it says anything.

    Raises:
        ValueError: `fewest` is not between 1 and `keep`.
    """

    def __init__(self, keep: int = 512, fewest: int = 48) -> None:
        if not 1 <= fewest <= keep:
            msg = f"a calibration needs 1 <= fewest <= keep, not fewest={fewest!r} and keep={keep!r}"
            raise ValueError(msg)
        self._fewest = fewest
        self._rows: deque[tuple[float, float]] = deque(maxlen=keep)
        self._added = 0  # since the fit was made
        self._knots: tuple[list[float], list[float]] | None = None
        self._lock = threading.Lock()

    def add(self, lexical: float, judged: float) -> None:
        """Remember a row: its similarity and the judge's score, each in [0, 1]. What is not finite is passed over."""
        if math.isfinite(lexical) and math.isfinite(judged):
            with self._lock:
                self._rows.append((_share(lexical), _share(judged)))
                self._added += 1

    def __call__(self, lexical: float) -> float | None:
        """What the judge would have given at this similarity.

        Returns:
            In [0, 1], and no less for a higher similarity as long as the fit is the same; None while there are fewer
            than `fewest` rows, or all of them have one similarity, or if `lexical` is not finite.
        """
        knots = self._fitted()
        return None if knots is None or not math.isfinite(lexical) else _interpolated(*knots, lexical)

    def _fitted(self) -> tuple[list[float], list[float]] | None:
        with self._lock:
            # While there is no fit, too: rows of one similarity must not be gone through again for each question.
            if len(self._rows) >= self._fewest and self._added * 16 >= len(self._rows):
                self._knots = _isotonic(self._rows)
                self._added = 0
            return self._knots


def _isotonic(rows: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]] | None:
    """The similarities at which the fit bends, ascending, and its values there; None if there is but one similarity."""
    scores: dict[float, list[float]] = {}
    for lexical, judged in rows:
        scores.setdefault(lexical, []).append(judged)
    if len(scores) < 2:
        return None
    # A block: its lowest similarity, its highest, the sum of its scores, their number.
    blocks: list[tuple[float, float, float, int]] = []
    for high in sorted(scores):
        low, total, count = high, sum(scores[high]), len(scores[high])
        while blocks and blocks[-1][2] * count >= total * blocks[-1][3]:  # its mean is not below this one's
            low, _, more, others = blocks.pop()
            total += more
            count += others
        blocks.append((low, high, total, count))
    xs: list[float] = []
    ys: list[float] = []
    for low, high, total, count in blocks:
        value = max(_share(total / count), ys[-1] if ys else 0.0)  # lower by rounding only
        xs += (low, high) if low < high else (low,)
        ys += (value, value) if low < high else (value,)
    return xs, ys


def _interpolated(xs: list[float], ys: list[float], at: float) -> float:
    after = bisect_right(xs, at)
    if after == 0:
        return ys[0]
    if after == len(xs):
        return ys[-1]
    low, high = ys[after - 1], ys[after]
    # Never above the next knot: rounding must not make a step down there.
    return min(low + (high - low) * ((at - xs[after - 1]) / (xs[after] - xs[after - 1])), high)


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
