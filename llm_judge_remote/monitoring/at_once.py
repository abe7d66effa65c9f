"""The same for several servers at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["at_once"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def at_once(do: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """What comes of each item, in order.

    Each has a thread of its own, which does not keep the process from ending: whoever presses Ctrl-C does not wait for
    a name server that does not answer, as with an executor's threads.

    Raises:
        Exception: What `do` raised for one of them.
    """
    return [future.result() for future in [_started(do, item) for item in items]]


def _started(do: Callable[[Item], Answer], item: Item) -> Future[Answer]:
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(do(item))
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            future.set_exception(error)

    threading.Thread(target=run, name="judge-look", daemon=True).start()
    return future
