"""Rows that come one by one, at about the same time, made into calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Begun", "Gatherer"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

_ENOUGH = 64  # items for a call of their own, before the moment is over


class Begun(Protocol[Result_co]):
    """A call that is under way."""

    async def wait_async(self) -> Sequence[Result_co]:
        """The results, in order; on any event loop."""

    def cancel(self) -> None:
        """Give up what has not ended."""


class Gatherer(Generic[Item, Result]):
    """Awaited with one item, gives its result; what is awaited within a moment goes into one call.

    Where much comes, it does not wait for the moment's end: as soon as there are 64 items of whole groups, a call is
    begun for them, in a thread, so that it is under way while the event loop is still busy with the tasks of the
    others. Groups stay together: what is missing others of its group waits for them until the moment is over.

    Use it on any event loop, but on one at a time.

    Args:
        begin: Begins a call for several items, in a thread. What it or the call raises, each of its items raises.
        wait: Seconds that a moment lasts from its first item; 0: until the tasks that are ready have had their turn.
        group_size: Items of a whole group.
    """

    def __init__(self, begin: Callable[[Sequence[Item]], Begun[Result]], wait: float, group_size: int = 1) -> None:
        self._begin = begin
        self._wait = wait
        self._group_size = group_size
        self._whole: list[tuple[Item, asyncio.Future[Result]]] = []
        self._parts: dict[str, list[tuple[Item, asyncio.Future[Result]]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._moment: asyncio.Handle | None = None
        self._calls: set[asyncio.Task[None]] = set()  # the loop itself keeps weak references only

    async def __call__(self, item: Item, group: str = "") -> Result:
        """The result for an item; one whose `group` is "" has no group."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # what another loop left behind, nobody waits for
            self._loop, self._moment, self._whole, self._parts = loop, None, [], {}
        if self._moment is None:
            self._moment = loop.call_later(self._wait, self._end) if self._wait > 0 else loop.call_soon(self._end)
        future: asyncio.Future[Result] = loop.create_future()
        part = self._parts.setdefault(group, [])
        part.append((item, future))
        if not group or len(part) >= self._group_size:
            self._whole += self._parts.pop(group)
            if len(self._whole) >= _ENOUGH:
                gathered, self._whole = self._whole, []
                self._call(loop, gathered)
        return await future

    def _end(self) -> None:
        """The moment is over."""
        loop, self._moment = asyncio.get_running_loop(), None
        gathered = [*self._whole, *(each for part in self._parts.values() for each in part)]
        self._whole, self._parts = [], {}
        self._call(loop, gathered)

    def _call(self, loop: asyncio.AbstractEventLoop, gathered: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        waited_for = [(item, future) for item, future in gathered if not future.done()]
        if not waited_for:
            return
        futures = [future for _, future in waited_for]
        try:
            beginning = loop.run_in_executor(None, self._begin, [item for item, _ in waited_for])
        except RuntimeError as error:  # no more threads are to be had
            _raise(error, futures)
            return
        task = loop.create_task(_answer(beginning, futures))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)


async def _answer(beginning: asyncio.Future[Begun[Result]], futures: Sequence[asyncio.Future[Result]]) -> None:
    """Resolve the futures of those who wait for a call that is being begun."""
    try:
        results = await _results(beginning)
    except asyncio.CancelledError:
        for future in futures:
            future.cancel()
        raise
    except Exception as error:  # noqa: BLE001 (it belongs to those who wait for the results)
        _raise(error, futures)
        return
    for future, result in zip(futures, results, strict=True):
        if not future.done():
            future.set_result(result)


def _raise(error: Exception, futures: Sequence[asyncio.Future[Any]]) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)


async def _results(beginning: asyncio.Future[Begun[Result]]) -> Sequence[Result]:
    try:
        call = await asyncio.shield(beginning)
    except asyncio.CancelledError:
        beginning.add_done_callback(_cancel)  # the thread goes on to begin it
        raise
    return await call.wait_async()


def _cancel(beginning: asyncio.Future[Begun[Result]]) -> None:
    if not beginning.cancelled() and beginning.exception() is None:
        beginning.result().cancel()
