"""How many conversations to send in one request."""

from __future__ import annotations

from llm_judge_remote.servers.latencies import Latencies

__all__ = ["ChunkSize"]

_SIZES = (1, 2, 4, 8, 16, 32, 64)
_FEWEST_ANSWERS = 4
_ENOUGH = 256
_EVERY = 32
_MEMORY = 0.05
_LONG_MEMORY = 0.01
_SERVER_SHARE = 0.15
_GOOD_ENOUGH = 1.04


class ChunkSize:
    """The size of a chunk that brings the most conversations per second, from what was measured.

    A chunk saves what a request costs by itself, here and in the server's front end. It costs waiting: it ends with its
    slowest conversation, whose slots lie idle meanwhile, and a fault of one spoils it for all. So the time that a
    conversation takes up in a chunk of k is estimated as ::

        a / k + a p(k) + b  +  longest_of(k) / parallel * (1 + 2 p(k)) * (1 + g / k) / (1 + g)

    with a and b the CPU seconds that this process spends on a request and on a conversation, `longest_of(k)` the mean
    of the longest of k latencies, `parallel` what the server works on at once, p(k) the chance that one of k fails
    (which wastes the chunk's time, and about as much in waiting), and g the front end's share in serving a single
    request. All is measured but g, which cannot be seen from here and only decides between sizes that are otherwise
    equal. The smallest size within 4 % of the best is taken.

    Args:
        latencies: Of conversations that were sent alone.

    Attributes:
        size: Of chunks at present.
    """

    __slots__ = ("_alone_s", "_chunk_s", "_chunk_size", "_failing", "_latencies", "_since", "size")

    def __init__(self, latencies: Latencies) -> None:
        self._latencies = latencies
        self._alone_s = 0.0
        self._chunk_s = 0.0
        self._chunk_size = 0.0
        self._failing = 0.0
        self.size = 1
        self._since = 0

    def ended(self, size: int, cpu_seconds: float, *, failed: bool) -> None:
        """Count a request: its size, what it cost this process, and whether it failed as a whole."""
        self._since += 1
        share = 1 / size if failed else 0.0
        self._failing += min(_LONG_MEMORY * size, 0.5) * (share - self._failing)
        if failed:
            return
        if size == 1:
            self._alone_s += (cpu_seconds - self._alone_s) * (_MEMORY if self._alone_s else 1.0)
        else:
            weight = 4 * _MEMORY if self._chunk_s else 1.0
            self._chunk_s += (cpu_seconds - self._chunk_s) * weight
            self._chunk_size += (size - self._chunk_size) * weight

    def best(self, most: int, parallel: float, requests: int) -> int:
        """Conversations for the next request, from 1 to `most`.

        Args:
            most: The limit.
            parallel: Conversations that the server works on at once.
            requests: Requests under way: the first answers to them are those of the quickest, and tell nothing of the
                others until there are as many.
        """
        if len(self._latencies) < max(_FEWEST_ANSWERS, min(requests, _ENOUGH)):
            return 1
        if self._since >= (_EVERY if len(self._latencies) >= _EVERY else _FEWEST_ANSWERS):
            self._since = 0
            # More than a quarter of what may be in flight in one request leaves the server idle between two.
            costs = {size: self._cost(size, parallel) for size in _SIZES if size <= max(parallel / 4, 1)}
            good = min(costs.values()) * _GOOD_ENOUGH
            self.size = next(each for each, cost in costs.items() if cost <= good)
        return max(min(self.size, most, int(parallel / 4)), 1)  # the limit may have fallen since

    def _cost(self, size: int, parallel: float) -> float:
        """Seconds that a conversation takes up."""
        each = self._alone_s / 4  # a guess, until there was a chunk
        if self._chunk_size > 1.5:
            each = max((self._chunk_s - self._alone_s) / (self._chunk_size - 1), 0.0)
        own = max(self._alone_s - each, 0.0)
        spoilt = 1 - (1 - min(self._failing, 1.0)) ** size
        front_end = (1 + _SERVER_SHARE / size) / (1 + _SERVER_SHARE)
        return (
            own / size
            + own * spoilt
            + each
            + self._latencies.longest_of(size) / parallel * (1 + 2 * spoilt) * front_end
        )
