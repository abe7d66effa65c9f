"""The work of a stub server as a pure function: every client of a benchmark meets the same service times and faults.

The formulas are those of other stubs of this kind that take the same options (splitmix64 as the hash, Box-Muller for
the normal), so that a figure can be checked against another server.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["FAULTS", "Work", "expected_score", "ideal_makespan", "mix64"]

FAULTS = ("500", "503", "429", "reset", "hang", "trunc", "garbage", "noscore", "drip")
"""Kinds of faults, in the order in which their shares are laid out."""

_MASK = (1 << 64) - 1


def mix64(x: int) -> int:
    """splitmix64 (Steele, Lea, Flood 2014): a well-mixed 64-bit hash of a 64-bit number."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def expected_score(number: int) -> int:
    """The stub's verdict for the sample `#id=<number>#`, in hundredths, 0 to 100."""
    return mix64(number) % 101


def ideal_makespan(seconds: Iterable[float], slots: int) -> float:
    """Seconds until all is done when each slot, as it gets free, takes the next piece of work in order.

    This is list scheduling (Graham 1966): what a client reaches that keeps the server's slots full at no cost.
    """
    free: list[float] = []
    for each in seconds:
        heapq.heappush(free, (heapq.heappop(free) if len(free) >= slots else 0.0) + each)
    return max(free, default=0.0)


def _unit(x: int) -> float:
    return ((mix64(x) >> 11) + 0.5) / 9007199254740992.0


@dataclass(frozen=True, slots=True)
class Work:
    """Service times and faults, by a sample's number and how often it was asked for before.

    Attributes:
        distribution: `fixed:MS`, `exp:MEAN_MS` or `lognormal:MEAN_MS,SIGMA`.
        seed: Of all that is random.
        faults: Percent of requests by kind of fault.
        faulty_attempts: Only a sample's first so many attempts meet faults; 0 for all of them.
    """

    distribution: str = "fixed:0"
    seed: int = 1
    faults: Mapping[str, float] = field(default_factory=dict)
    faulty_attempts: int = 1
    _kind: str = field(init=False, default="fixed")
    _mean_s: float = field(init=False, default=0.0)
    _sigma: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Refuse what would be ignored in silence."""
        kind, _, numbers = self.distribution.partition(":")
        mean, _, sigma = numbers.partition(",")
        if kind not in ("fixed", "exp", "lognormal"):
            msg = f"{self.distribution!r} is none of fixed:MS, exp:MEAN_MS, lognormal:MEAN_MS,SIGMA"
            raise ValueError(msg)
        for name, value in (("_kind", kind), ("_mean_s", float(mean) / 1000), ("_sigma", float(sigma or 0))):
            object.__setattr__(self, name, value)
        unknown = set(self.faults) - set(FAULTS)
        if unknown:
            msg = f"unknown fault {min(unknown)!r}; there are {', '.join(FAULTS)}"
            raise ValueError(msg)

    @property
    def is_instant(self) -> bool:
        """Whether every request is answered at once and well."""
        return not self.faults and self._mean_s == 0

    def seconds(self, number: int, attempt: int) -> float:
        """Service time."""
        if self._kind == "fixed":
            return self._mean_s
        key = mix64((self.seed * 1000003 + number * 64 + attempt) & _MASK)
        first, second = _unit(key), _unit((key + 1) & _MASK)
        if self._kind == "exp":
            return -math.log(first) * self._mean_s
        normal = math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * second)
        return math.exp(math.log(self._mean_s) - self._sigma * self._sigma / 2 + self._sigma * normal)

    def fault(self, number: int, attempt: int) -> str | None:
        """What goes wrong, or None."""
        if not self.faults or (self.faulty_attempts and attempt >= self.faulty_attempts):
            return None
        point = _unit(mix64((self.seed * 7919 + number * 64 + attempt) & _MASK) ^ 0xABCDEF) * 100
        passed = 0.0
        for kind in FAULTS:
            passed += self.faults.get(kind, 0.0)
            if point < passed:
                return kind
        return None
