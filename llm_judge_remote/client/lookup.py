"""What is asked of each server once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.errors import ServerError

__all__ = ["Lookup"]

Found = TypeVar("Found")


class Lookup(Generic[Found]):
    """Answers by server: the first thread that wants one asks, the others wait for it. A failure is not kept."""

    def __init__(self) -> None:
        self._found: dict[str, Future[Found]] = {}

    def get(self, server: str, ask: Callable[[], Found], attempt: Attempt) -> Found:
        """What is known of a server, or what `ask` returns.

        Args:
            server: Its address.
            ask: Called by one thread at a time for each server.
            attempt: Told when its thread has to wait.

        Raises:
            ServerError: The asking failed, for this thread or the one that it waited for.
        """
        found = self._found.get(server)
        if found is None:
            mine: Future[Found] = Future()
            found = self._found.setdefault(server, mine)  # one thread gets its own back, and asks
            attempt.waiting()  # it is the server's turn, or that of the thread that asks it
            if found is mine:
                try:
                    mine.set_result(ask())
                except ServerError as error:
                    mine.set_exception(error)
                finally:
                    if mine.cancel() or mine.exception():  # nobody may wait for ever, whatever went wrong
                        self._found.pop(server, None)
        elif not found.done():
            attempt.waiting()
        try:
            return found.result()
        except ServerError as error:  # all who waited share the one attempt, but not its error
            raise copy.copy(error) from None

    def forget(self, server: str) -> None:
        """Ask again the next time."""
        self._found.pop(server, None)
