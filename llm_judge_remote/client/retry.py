"""When a failed attempt is made again: what, how often, how soon, and how much of it in all."""

from __future__ import annotations

import random

import tenacity

from llm_judge_remote.errors import InvalidReplyError, OverloadedError, ServerError, StatusError

__all__ = ["Retries", "RetryBudget"]

_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 8.0
_LONGEST_RETRY_AFTER_S = 30.0


class RetryBudget:
    """Keeps retries from multiplying the load on servers that are in trouble already.

    A token bucket, as gRPC's retry throttling (gRFC A6): every retry takes a token, every success brings a fifth of
    one back, and without a token there is no retry. It starts full, so that a short fault costs no sample. Not safe in
    threads by itself: the dispatcher holds the lock.

    Args:
        capacity: Tokens at most.
    """

    _PER_SUCCESS = 0.2

    def __init__(self, capacity: float = 100.0) -> None:
        self._capacity = capacity
        self._tokens = capacity

    def succeeded(self, count: int = 1) -> None:
        """So many conversations were answered."""
        self._tokens = min(self._tokens + self._PER_SUCCESS * count, self._capacity)

    def spend(self) -> bool:
        """Take a token for a retry; False when there is none."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Retries:
    """Of one request: whether and when it is sent again after a failure.

    Retried are `ServerError`s that are `retryable`. Between attempts it waits 0.25 s, doubling up to 8 s, of which a
    random half is left out so that clients do not move in step; or what the server's Retry-After says, up to 30 s. A
    server that answers with something unreadable is asked again at once.

    Args:
        max_retries: Attempts after the first.
        budget: Shared by all requests to the same servers.
    """

    def __init__(self, max_retries: int, budget: RetryBudget) -> None:
        self._budget = budget
        self._enough = tenacity.stop_after_attempt(max_retries + 1)
        # tenacity's own loop sleeps between attempts and keeps its place by thread; here nobody sleeps and threads
        # change, so its strategies are asked directly.
        self._state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})

    def after(self, error: Exception, *, counts: bool = True, paid: bool = False) -> float | None:
        """Seconds until the next attempt, or None: there is none.

        Args:
            error: What the attempt failed with.
            counts: Whether the attempt is one of those that `max_retries` allows. One that a busy server turned away is
                not, or those who come late would be lost to those who came before; nor is one in a chunk, which may
                have failed for another's sake.
            paid: Whether the budget was charged already, for others that travelled with it.
        """
        self._state.set_exception((type(error), error, error.__traceback__))
        if not _is_passing(self._state) or (counts and self._enough(self._state)):
            return None
        # What was turned away is held back by the limit on what is in flight; the budget is for all other failures.
        if not (paid or isinstance(error, OverloadedError) or self._budget.spend()):
            return None
        wait = _wait(self._state)
        if counts:
            self._state.prepare_for_next_attempt()
        return wait


_is_passing = tenacity.retry_if_exception(lambda error: isinstance(error, ServerError) and error.retryable)
_half_backoff = tenacity.wait_exponential(multiplier=_FIRST_WAIT_S / 2, max=_LONGEST_WAIT_S / 2)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, StatusError) and error.retry_after is not None:
        # Never sooner than asked; a little later, so that those who were told the same do not return together.
        return min(error.retry_after, _LONGEST_RETRY_AFTER_S) * random.uniform(1.0, 1.05)  # noqa: S311 (jitter, no secret)
    if isinstance(error, InvalidReplyError) and state.attempt_number == 1:
        return 0.0
    return _half_backoff(state) * random.uniform(1.0, 2.0)  # noqa: S311
