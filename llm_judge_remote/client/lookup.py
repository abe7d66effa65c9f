"""What is asked of each server once."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Generic, TypeVar

from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.errors import AttemptTimeoutError, ServerError

__all__ = ["Lookup"]

Found = TypeVar("Found")
Key = tuple[str, ...]


class Lookup(Generic[Found]):
    """Answers by key, which begins with a server's address.

    The first thread that wants an answer asks, the others wait for it. A failure is not kept.
    """

    def __init__(self) -> None:
        self._found: dict[Key, Future[Found]] = {}

    def get(self, key: Key, ask: Callable[[], Found], attempt: Attempt, until: float) -> Found:
        """What is known, or what `ask` returns.

        Args:
            key: The server's address, and whatever else the answer depends on.
            ask: Called by one thread at a time for each key.
            attempt: Told when its thread has to wait.
            until: Monotonic time until which to wait for another thread's answer.

        Raises:
            ServerError: The asking failed, for this thread or the one that it waited for.
        """
        found = self._found.get(key)
        if found is None:
            mine: Future[Found] = Future()
            found = self._found.setdefault(key, mine)  # one thread gets its own back, and asks
            attempt.waiting()  # it is the server's turn, or that of the thread that asks it
            if found is mine:
                try:
                    mine.set_result(ask())
                except ServerError as error:
                    mine.set_exception(error)
                finally:
                    if mine.cancel() or mine.exception():  # nobody may wait for ever, whatever went wrong
                        self._found.pop(key, None)
        elif not found.done():
            attempt.waiting()
        try:
            return found.result(max(until - time.monotonic(), 0.0))
        except FutureTimeoutError:
            msg = f"{key[0]} did not say in time what it serves or can do"
            raise AttemptTimeoutError(msg, server=key[0]) from None
        except ServerError as error:  # all who waited share the one attempt, but not its error
            raise copy.copy(error) from None

    def forget(self, server: str) -> None:
        """Ask again the next time."""
        for key in [key for key in self._found if key[0] == server]:
            self._found.pop(key, None)
