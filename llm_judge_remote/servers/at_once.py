"""The same for several servers at the same time, and calls that return in time.

The threads do not keep the process from ending.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

__all__ = ["at_once", "within"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def at_once(do: Callable[[Item], Answer], items: Iterable[Item], most: int | None = None) -> list[Answer]:
    """What comes of each item, in order.

    The threads do not keep the process from ending: whoever presses Ctrl-C does not wait for a server or a name server
    that does not answer, as with an executor's threads.

    Args:
        do: What is done.
        items: To which.
        most: Threads; one for each item if not given.

    Raises:
        Exception: What `do` raised for one of them.
    """
    todo: queue.SimpleQueue[tuple[Item, Future[Answer]]] = queue.SimpleQueue()
    futures: list[Future[Answer]] = []
    for item in items:
        futures.append(Future())
        todo.put((item, futures[-1]))

    def work() -> None:
        while True:
            try:
                item, future = todo.get_nowait()
            except queue.Empty:
                return
            _do(partial(do, item), future)

    for _ in range(min(most or len(futures), len(futures))):
        threading.Thread(target=work, name="judge-look", daemon=True).start()
    return [future.result() for future in futures]


def within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """What a call returns; for what cannot be told to hurry, such as the system's resolver.

    Raises:
        TimeoutError: It has not returned by then; its thread is left to itself.
        Exception: Whatever the call raises.
    """
    future: Future[Answer] = Future()
    threading.Thread(target=_do, args=(call, future), name="judge-look", daemon=True).start()
    if not wait([future], seconds).done:
        msg = f"no answer within {seconds:g} s"
        raise TimeoutError(msg)
    return future.result()


def _do(call: Callable[[], Answer], future: Future[Answer]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
        future.set_exception(error)
