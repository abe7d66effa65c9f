"""How many conversations a server is given at once."""

from __future__ import annotations

__all__ = ["Limit"]

_SLOWEST_GROWTH = 1 / 16
_FASTEST_GROWTH = 1.0
_NOISE = 0.1
_FEWEST = 8


class Limit:
    """A bound on what is in flight at a server, which adapts to what the server takes.

    It begins at the top. A server that turns conversations away (429, 503) shows by those it keeps how many it takes:
    the limit falls to that at once. After every round (as many answers as the limit allows) in which more than a tenth
    went wrong it is cut by half that share, as DCTCP does (RFC 8257, 3.3), so that a few faults cost little and a storm
    halves it. While all is well it grows by a sixteenth in a round, twice as fast after each round without a
    rejection, until it doubles in a round.

    Not safe in threads by itself: the dispatcher holds the lock.

    Attributes:
        value: Conversations; at least 1.
    """

    __slots__ = ("_bad", "_good", "_growth", "_round", "_top", "value")

    def __init__(self, top: int) -> None:
        self._top = float(top)
        self.value = float(top)
        self._growth = _SLOWEST_GROWTH
        self._begin()

    def allow(self, top: int) -> None:
        """Let it grow up to `top`, where that is more than before."""
        if top > self._top:
            if self.value >= self._top:
                self.value = float(top)
            self._top = float(top)

    def answered(self, count: int) -> None:
        """So many conversations were answered."""
        self.value = min(self.value + count * self._growth, self._top)
        self._good += count
        self._look()

    def rejected(self, count: int, in_flight: int) -> None:
        """So many were turned away, while the server kept `in_flight` others."""
        self.value = min(self.value, max(float(in_flight), 1.0))
        self._growth = _SLOWEST_GROWTH
        self._bad += count
        self._look()

    def timed_out(self, count: int) -> None:
        """So many got no answer in time."""
        self._bad += count
        self._look()

    def _look(self) -> None:
        seen = self._good + self._bad
        if seen < self._round:
            return
        share = self._bad / seen
        if share > _NOISE:
            self.value = max(self.value * (1 - share / 2), 1.0)
            self._growth = _SLOWEST_GROWTH
        elif not self._bad:
            self._growth = min(self._growth * 2, _FASTEST_GROWTH)
        self._begin()

    def _begin(self) -> None:
        self._good = self._bad = 0
        self._round = max(int(self.value), _FEWEST)
