"""Something to do before a signal ends the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["SignalChain"]


class SignalChain:
    """Calls `leave` on SIGTERM and SIGINT, and then does what the signal did before.

    Only Python's main thread can install handlers; elsewhere nothing is. A signal that is ignored stays so, and a
    handler that was not installed from Python stays in its place.

    Args:
        leave: Called in the main thread, between any two steps of what runs there. Returns False when somebody is at
            it already, who then calls `left`: the signal waits until then.
    """

    def __init__(self, leave: Callable[[], bool]) -> None:
        self._leave = leave
        self._before: dict[int, Any] = {}
        self._own = self._handle  # the same object each time, to be known again
        self._waiting: int | None = None
        self._left = False

    def install(self) -> None:
        """Put the handlers in their place, if this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if before not in (None, signal.SIG_IGN):
                self._before[number] = before
                signal.signal(number, self._own)

    def left(self) -> None:
        """There is nothing to do before a signal any more, and one that waited has its way.

        What was there before is put back, unless somebody has put something else there, or this is no main thread.
        """
        self._left = True
        if threading.current_thread() is threading.main_thread():
            for number, before in self._before.items():
                if signal.getsignal(number) is self._own:
                    signal.signal(number, before)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            signal.raise_signal(waiting)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._leave():
            self._waiting = number
            if not self._left:
                return
            self._waiting = None
        before = self._before[number]
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)  # so that the exit status says which signal it was
