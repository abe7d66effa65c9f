"""How many conversations a server is given at once."""

from __future__ import annotations

from collections import deque

__all__ = ["Limit"]

_GROWTH = 1 / 32
_GROWTH_PER_ROUND = 0.4
_ACCELERATION = 4.0
_FASTEST = 32.0
_STORM = 0.1
_FEWEST = 8
_REMEMBERED = 16
_REJECTIONS = 2


class Limit:
    """A bound on what is in flight at a server, which adapts to what the server takes.

    It begins at the top. A request that is turned away (429, 503) lowers it by one; when a quarter of the last sixteen
    were, the limit falls to what was in flight when they were sent, which is what the server takes. After every round
    (as many answers as the limit allows) in which more than a tenth went wrong, timeouts included, it is cut by half
    that share, as DCTCP does (RFC 8257, 3.3): a few faults cost little, and a storm halves it.

    It grows by 0.4 in a round where it is small, so that processes that share a server become equal and one request in
    ten is turned away, and by a thirty-second where it is large; four times as fast after each round without a
    rejection, until it doubles.

    Not safe in threads by itself: the dispatcher holds the lock.

    Attributes:
        value: Conversations; at least 1.
    """

    __slots__ = ("_bad", "_good", "_pace", "_recent", "_round", "_top", "value")

    def __init__(self, top: int) -> None:
        self._top = float(top)
        self.value = float(top)
        self._pace = 1.0
        self._recent: deque[int | None] = deque(maxlen=_REMEMBERED)
        self._begin_round()

    def allow(self, top: int) -> None:
        """Let it grow up to `top`, where that is more than before."""
        if top > self._top:
            if self.value >= self._top:
                self.value = float(top)
            self._top = float(top)

    def answered(self, count: int) -> None:
        """A request with so many conversations was answered."""
        growth = min(max(_GROWTH, _GROWTH_PER_ROUND / self.value) * self._pace, 1.0)
        self.value = min(self.value + count * growth, self._top)
        self._recent.append(None)
        self._good += count
        self._look()

    def rejected(self, count: int, beside: int) -> None:
        """A request with so many conversations was turned away; so many others were in flight when it was sent."""
        self._recent.append(beside)
        rejections = [number for number in self._recent if number is not None]
        is_full = len(rejections) >= max(len(self._recent) / 4, _REJECTIONS)
        lowered = self.value - (beside <= self.value)  # those sent when more was in flight say nothing new
        self.value = max(min(lowered, max(rejections) if is_full else self._top), 1.0)
        self._pace = 1.0
        self._bad += count
        self._look()

    def timed_out(self, count: int) -> None:
        """A request with so many conversations got no answer in time."""
        self._bad += count
        self._look()

    def _look(self) -> None:
        seen = self._good + self._bad
        if seen < self._round:
            return
        share = self._bad / seen
        if share > _STORM:
            self.value = max(self.value * (1 - share / 2), 1.0)
            self._pace = 1.0
        elif not self._bad:
            self._pace = min(self._pace * _ACCELERATION, _FASTEST)
        self._begin_round()

    def _begin_round(self) -> None:
        self._good = self._bad = 0
        self._round = max(int(self.value), _FEWEST)
