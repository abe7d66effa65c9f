"""How many conversations a server is given at once."""

from __future__ import annotations

from collections import deque

__all__ = ["Limit"]

_SLOWEST_GROWTH = 1 / 16
_FASTEST_GROWTH = 1.0
_STORM = 0.1
_FEWEST = 8
_REMEMBERED = 16
_REJECTIONS = 4


class Limit:
    """A bound on what is in flight at a server, which adapts to what the server takes.

    It begins at the top. A request that is turned away (429, 503) lowers it by one: so a server that takes no more is
    probed with one request in sixteen. Four of sixteen turned away show how many it takes, and the limit falls to what
    was in flight when they were sent. After every round (as many answers as the limit allows) in which more than a
    tenth went wrong, timeouts included, it is cut by half that share, as DCTCP does (RFC 8257, 3.3): a few faults cost
    little, and a storm halves it. While all is well it grows by a sixteenth in a round, twice as fast after each round
    without a rejection, until it doubles in a round.

    Not safe in threads by itself: the dispatcher holds the lock.

    Attributes:
        value: Conversations; at least 1.
    """

    __slots__ = ("_bad", "_good", "_growth", "_recent", "_round", "_top", "value")

    def __init__(self, top: int) -> None:
        self._top = float(top)
        self.value = float(top)
        self._growth = _SLOWEST_GROWTH
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
        self.value = min(self.value + count * self._growth, self._top)
        self._recent.append(None)
        self._good += count
        self._look()

    def rejected(self, count: int, beside: int) -> None:
        """A request with so many conversations was turned away; so many others were in flight when it was sent."""
        self._recent.append(beside)
        rejections = [number for number in self._recent if number is not None]
        most = float(max(rejections)) if len(rejections) >= _REJECTIONS else self.value
        self.value = max(min(self.value - 1, most), 1.0)
        self._growth = _SLOWEST_GROWTH
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
            self._growth = _SLOWEST_GROWTH
        elif not self._bad:
            self._growth = min(self._growth * 2, _FASTEST_GROWTH)
        self._begin_round()

    def _begin_round(self) -> None:
        self._good = self._bad = 0
        self._round = max(int(self.value), _FEWEST)
