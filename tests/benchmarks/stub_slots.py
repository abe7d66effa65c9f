"""The stub server's slots: how many conversations it answers at once, and the queue before them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

__all__ = ["Ask", "Slots", "Turn"]


class Turn:
    """One conversation's stay: waiting, in its slot, over."""

    __slots__ = ("ask", "fault", "handle", "in_slot", "is_over", "number", "seconds")

    def __init__(self, ask: Ask, number: int, seconds: float, fault: str | None) -> None:
        self.ask = ask
        self.number = number
        self.seconds = seconds
        self.fault = fault
        self.handle: asyncio.TimerHandle | None = None
        self.in_slot = False
        self.is_over = False


class Ask:
    """One HTTP request: a conversation, or a batch of them, answered when the last is over."""

    __slots__ = ("answer", "left", "prompt_tokens", "turns")

    def __init__(self, answer: Callable[[Ask], None], prompt_tokens: int) -> None:
        self.answer = answer
        self.prompt_tokens = prompt_tokens
        self.turns: Sequence[Turn] = ()
        self.left = 0

    @property
    def fault(self) -> str | None:
        """What goes wrong with it as a whole: the first of its conversations' faults, but for a missing verdict."""
        for turn in self.turns:
            if turn.fault not in (None, "hang", "noscore"):
                return turn.fault
        return None


class Slots:
    """Gives slots first come, first served.

    Args:
        count: Slots; 0 for any number.
        hang_s: How long a conversation hangs whose fault is `hang`; then it is answered.
        hang_outside: Whether a hanging conversation leaves its slot to others.
    """

    def __init__(self, count: int, hang_s: float, *, hang_outside: bool = False) -> None:
        self._count = count
        self._hang_s = hang_s
        self._hang_outside = hang_outside
        self._waiting: deque[Turn] = deque()
        self._loop = asyncio.get_running_loop()
        self.running = 0
        self.waiting = 0
        self.running_peak = 0
        self.waiting_peak = 0
        self.aborted = 0
        self.seconds = 0.0

    def enter(self, ask: Ask, turns: Sequence[Turn]) -> None:
        """Let a request's conversations begin, each as soon as there is a slot for it."""
        ask.turns = turns
        ask.left = len(turns)
        for turn in turns:
            if self._count and self.running >= self._count:
                self._waiting.append(turn)
                self.waiting += 1
                self.waiting_peak = max(self.waiting_peak, self.waiting)
            else:
                self._begin(turn)

    def abandon(self, ask: Ask) -> None:
        """Nobody waits for this request any more: its slots are free."""
        for turn in ask.turns:
            if turn.is_over:
                continue
            self.aborted += 1
            turn.is_over = True  # one that waits is passed over when it comes up
            if turn.handle is not None:
                turn.handle.cancel()
                self._leave(turn)
            else:
                self.waiting -= 1
        ask.turns = ()

    def _begin(self, turn: Turn) -> None:
        seconds = turn.seconds
        turn.in_slot = True
        self.running += 1
        self.running_peak = max(self.running_peak, self.running)
        if turn.fault == "hang":
            seconds = self._hang_s
            if self._hang_outside:
                self.running -= 1
                turn.in_slot = False
        else:
            self.seconds += seconds
        if seconds:
            turn.handle = self._loop.call_later(seconds, self._end, turn)
        else:
            self._end(turn)

    def _end(self, turn: Turn) -> None:
        turn.is_over = True
        turn.handle = None
        self._leave(turn)
        ask = turn.ask
        ask.left -= 1
        if not ask.left:
            ask.answer(ask)
            ask.turns = ()  # no cycle stays behind

    def _leave(self, turn: Turn) -> None:
        if not turn.in_slot:
            return
        turn.in_slot = False
        self.running -= 1
        while self._waiting and self.running < self._count:
            following = self._waiting.popleft()
            if not following.is_over:
                self.waiting -= 1
                self._begin(following)
