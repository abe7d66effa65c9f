"""Waking event loops from other threads."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque

__all__ = ["Mailbox", "Wakeup", "Wakeups"]


class Mailbox:
    """Wakes one event loop once for all that ended since it last looked: every wake-up costs a system call."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._posted: deque[asyncio.Future[None]] = deque()
        self._called = False

    def wakeup(self) -> Wakeup:
        """A new one for who waits on the loop; called there."""
        loop = asyncio.get_running_loop()
        return Wakeup(self, loop.create_future())

    def post(self, future: asyncio.Future[None]) -> None:
        """Resolve a future of the loop's; from any thread."""
        self._posted.append(future)
        loop = self._loop()
        if not self._called and loop is not None:
            self._called = True
            try:
                loop.call_soon_threadsafe(self._empty)
            except RuntimeError:  # the loop was closed: nobody waits there any more
                self._posted.clear()

    def _empty(self) -> None:
        self._called = False
        while self._posted:
            future = self._posted.popleft()
            if not future.done():
                future.set_result(None)


class Wakeup:
    """Called from any thread, it resolves `future`, which somebody awaits on the mailbox's loop."""

    __slots__ = ("_mailbox", "future")

    def __init__(self, mailbox: Mailbox, future: asyncio.Future[None]) -> None:
        self._mailbox = mailbox
        self.future = future

    def __call__(self) -> None:
        """Whoever awaits it goes on, in the loop's next turn."""
        self._mailbox.post(self.future)


class Wakeups:
    """The mailboxes of the event loops that wait for something."""

    def __init__(self) -> None:
        self._boxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = weakref.WeakKeyDictionary()

    def of(self, loop: asyncio.AbstractEventLoop) -> Mailbox:
        """The mailbox of a loop; called on that loop."""
        box = self._boxes.get(loop)
        if box is None:
            box = self._boxes[loop] = Mailbox(loop)
        return box
