"""Rows that come one by one, at about the same time, made into one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Gatherer"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gatherer(Generic[Item, Result]):
    """Awaited with one item, gives its result; what is awaited within a moment goes into one call.

    Use it on any event loop, but on one at a time.

    Args:
        call: Gives a result for each of several items, in order. What it raises, each of its items raises.
        wait: Seconds from the first item to the call; 0: until the tasks that are ready have had their turn.
    """

    def __init__(self, call: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], wait: float) -> None:
        self._call = call
        self._wait = wait
        self._open: list[tuple[Item, asyncio.Future[Result]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: set[asyncio.Task[None]] = set()  # the loop itself keeps weak references only

    async def __call__(self, item: Item) -> Result:
        """The result for an item."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # what another loop left behind, nobody waits for
            self._loop, self._open = loop, []
        future: asyncio.Future[Result] = loop.create_future()
        self._open.append((item, future))
        if len(self._open) == 1:
            if self._wait > 0:
                loop.call_later(self._wait, self._begin)
            else:
                loop.call_soon(self._begin)
        return await future

    def _begin(self) -> None:
        gathered, self._open = self._open, []
        waited_for = [(item, future) for item, future in gathered if not future.done()]
        if waited_for:
            task = asyncio.ensure_future(self._answer(waited_for))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _answer(self, gathered: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        futures = [future for _, future in gathered]
        try:
            results = await self._call([item for item, _ in gathered])
        except asyncio.CancelledError:
            for future in futures:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 (it belongs to those who wait for the results)
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in zip(futures, results, strict=True):
            if not future.done():
                future.set_result(result)
