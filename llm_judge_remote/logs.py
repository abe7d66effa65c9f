"""Warnings that are worth reading: a kind that comes again and again is said now and then, with how often it came.

All loggers of this package are below `llm_judge_remote`. It has no handler, not even one that does nothing: where a
program does not set up logging, Python writes warnings to the standard error, and a judge that is down is to be seen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

__all__ = ["Sparing", "logger"]

_MOST = 10
_SECONDS = 60.0


class Sparing(logging.Filter):
    """Lets so many records of a kind through in so many seconds.

    Of a kind are records of one message, whatever values it holds. The first that comes through again says how many
    did not. What is below a warning is no concern of it.

    Args:
        most: Records of a kind.
        seconds: In which they may come.
        clock: Monotonic seconds.
    """

    def __init__(
        self, most: int = _MOST, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is to be said; adds to it how many of its kind were not."""
        if record.levelno < logging.WARNING:
            return True
        now = self._clock()
        kind = self._kinds.setdefault(str(record.msg), _Kind(now))
        if now - kind.since >= self._seconds:
            unsaid, kind.unsaid, kind.said, kind.since = kind.unsaid, 0, 0, now
            if unsaid:
                record.msg = f"{record.getMessage()} ({unsaid} more like it since were not logged)"
                record.args = ()
        if kind.said >= self._most:
            kind.unsaid += 1
            return False
        kind.said += 1
        return True

    def forget(self) -> None:
        """Begin anew."""
        self._kinds.clear()


class _Kind:
    """One kind of record, since a moment."""

    __slots__ = ("said", "since", "unsaid")

    def __init__(self, since: float) -> None:
        self.since = since
        self.said = 0
        self.unsaid = 0


def logger(name: str, most: int = _MOST) -> logging.Logger:
    """The logger of a module, which repeats itself sparingly.

    Args:
        name: The module's `__name__`.
        most: Warnings of a kind within a minute.
    """
    found = logging.getLogger(name)
    if not any(isinstance(each, Sparing) for each in found.filters):
        found.addFilter(Sparing(most))
    return found
