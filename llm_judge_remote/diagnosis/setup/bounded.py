"""Calls that return in time, and several walks at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["side_by_side", "within"]

Result = TypeVar("Result")


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """What a call returns; for what cannot be told to hurry, such as the system's resolver.

    Raises:
        TimeoutError: It has not returned by then; its thread is left to itself.
        Exception: Whatever the call raises.
    """
    answers: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:  # noqa: BLE001 (handed to whoever waits)
            answers.put((None, error))

    threading.Thread(target=run, name="doctor-look", daemon=True).start()
    try:
        result, error = answers.get(timeout=seconds)
    except queue.Empty:
        msg = f"no answer within {seconds:g} s"
        raise TimeoutError(msg) from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # it is what the call returned


def side_by_side(walks: Sequence[Callable[[], Iterator[Result]]], most: int) -> Iterator[Iterator[Result]]:
    """Go on several walks, so many at once, in threads that end with the process.

    Returns:
        What each walk meets, as it meets it; the walks in order.
    """
    free = threading.Semaphore(most)
    lines: list[queue.SimpleQueue[Result | None]] = [queue.SimpleQueue() for _ in walks]

    def go(walk: Callable[[], Iterator[Result]], line: queue.SimpleQueue[Result | None]) -> None:
        try:
            with free:
                for found in walk():
                    line.put(found)
        finally:
            line.put(None)

    def met(line: queue.SimpleQueue[Result | None]) -> Iterator[Result]:
        while (found := line.get()) is not None:
            yield found

    for walk, line in zip(walks, lines, strict=True):
        threading.Thread(target=go, args=(walk, line), name="doctor-walk", daemon=True).start()
    for line in lines:
        yield met(line)
