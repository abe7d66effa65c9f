"""How long a server takes, as the last few hundred answers show."""

from __future__ import annotations

from collections import deque

__all__ = ["Latencies"]


class Latencies:
    """Seconds from a request to its answer; quantiles of the newest ones.

    Args:
        keep: How many count.
    """

    __slots__ = ("_fresh", "_kept", "_sorted")

    _STALE_AFTER = 16  # sorting for every answer would cost more than it tells

    def __init__(self, keep: int = 512) -> None:
        self._kept: deque[float] = deque(maxlen=keep)
        self._sorted: list[float] = []
        self._fresh = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, seconds: float) -> None:
        """Count one answer."""
        self._kept.append(seconds)
        self._fresh += 1

    def quantile(self, share: float) -> float:
        """The time within which this share, in [0, 1], was answered; 0 when there was none."""
        ordered = self._ordered()
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0

    def longest_of(self, count: int) -> float:
        """The mean of the longest of `count` answers: what a request for so many conversations waits for.

        The expected maximum of `count` draws from the empirical distribution. 0 when there is none.
        """
        ordered = self._ordered()
        size = len(ordered)
        total, below = 0.0, 0.0
        for rank, seconds in enumerate(ordered, 1):
            up_to = (rank / size) ** count
            total += seconds * (up_to - below)
            below = up_to
        return total

    def _ordered(self) -> list[float]:
        if self._fresh >= min(self._STALE_AFTER, max(len(self._sorted) // 4, 1)):
            self._sorted = sorted(self._kept)
            self._fresh = 0
        return self._sorted
