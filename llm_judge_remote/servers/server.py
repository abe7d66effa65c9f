"""What is known of one server: what it has in flight, and whether it answers."""

from __future__ import annotations

import logging

__all__ = ["Server"]

log = logging.getLogger(__name__)

_FAILURES_TO_OPEN = 5
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 2.0


class Server:
    """One address, with a circuit breaker.

    After five failures in a row the server counts as down: no request goes to it but single trials, a quarter of a
    second after the last failure and then at doubling intervals up to two seconds. The first success ends that.
    Not safe in threads by itself: the pool holds the lock.

    Attributes:
        address: Without a path.
        in_flight: Requests under way from this process.
        down_since: Clock time when it stopped answering, or None.
        failed_trial: When the last trial began that failed; minus infinity while it answers.
        last_error: What it failed with last.
    """

    __slots__ = (
        "_failures",
        "_pause",
        "_retry_at",
        "_trial_began",
        "address",
        "down_since",
        "failed_trial",
        "in_flight",
        "last_error",
    )

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = 0
        self.down_since: float | None = None
        self.last_error = ""
        self.failed_trial = float("-inf")
        self._trial_began: float | None = None
        self._failures = 0
        self._pause = _FIRST_PAUSE_S
        self._retry_at = 0.0

    def trial_due(self, now: float) -> float:
        """Seconds until a trial may be sent; infinite while one is under way."""
        return float("inf") if self._trial_began is not None else max(self._retry_at - now, 0.0)

    def begin_trial(self, now: float) -> None:
        """The next request to this server decides whether it answers again."""
        self._trial_began = now

    def succeeded(self) -> None:
        """It answered, if only to say no."""
        if self.down_since is not None:
            log.warning("judge server %s answers again", self.address)
        self._failures = 0
        self._pause = _FIRST_PAUSE_S
        self._trial_began = None
        self.down_since = None
        self.failed_trial = float("-inf")

    def failed(self, now: float, error: str) -> None:
        """It did not answer: refused, dropped, out of time, or broken."""
        self._failures += 1
        self.last_error = error
        if self.down_since is None and self._failures >= _FAILURES_TO_OPEN:
            self.down_since = now
            self._retry_at = now + self._pause
            log.warning("judge server %s is down after %d failures in a row: %s", self.address, self._failures, error)
        elif self._trial_began is not None:
            self.failed_trial = self._trial_began
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_S)
            self._retry_at = now + self._pause
            self._trial_began = None

    def abandoned(self) -> None:
        """The request was given up before it showed anything."""
        self._trial_began = None
