"""Several walks at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["side_by_side"]

Result = TypeVar("Result")


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
