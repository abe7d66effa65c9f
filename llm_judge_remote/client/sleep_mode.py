"""Putting a server to sleep and waking it, by the endpoints that vLLM has for it in its development mode."""

from __future__ import annotations

import time

from llm_judge_remote.client.refusal import status_error
from llm_judge_remote.client.replies import excerpt, read_json
from llm_judge_remote.client.session import Response, Session
from llm_judge_remote.errors import InvalidReplyError, ServerError, ServerUnavailableError, StatusError

__all__ = ["SleepMode"]

_NOT_THERE = (404, 405, 501)
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class SleepMode:
    """One server's sleep.

    At level 1 vLLM moves the weights to the host's memory, at level 2 it drops them. After level 2 `/wake_up` alone
    gives memory without weights in it, and a model that says `!!!!` to everything, so they are loaded again between the
    waking of the weights' memory and that of the cache (vLLM's documentation, "Sleep Mode").

    Args:
        session: The server's.
        level: 1 or 2.
    """

    def __init__(self, session: Session, level: int = 1) -> None:
        self._session = session
        self._level = level

    def is_sleeping(self, until: float) -> bool | None:
        """Whether it sleeps; None where it has no such endpoint.

        Args:
            until: Monotonic time until which to wait for the answer.

        Raises:
            ServerError: It could not be asked, or would not tell.
        """
        response = self._request("GET", "/is_sleeping", until)
        if response.status in _NOT_THERE:
            return None
        if response.status != 200:
            raise self._refusal("/is_sleeping", response)
        try:
            asleep = read_json(response.body, self._session.server).get("is_sleeping")
        except InvalidReplyError:
            return None  # something that answers 200 to everything
        return asleep if isinstance(asleep, bool) else None

    def wake(self, until: float) -> None:
        """Wake it; returns when it is up.

        Args:
            until: Monotonic time until which to wait for it.

        Raises:
            ServerError: It refused, or was not up in time.
        """
        if self._level == 1:
            self._post("/wake_up", until)
        else:
            self._post("/wake_up?tags=weights", until)
            self._post("/collective_rpc", until, b'{"method":"reload_weights"}')
            self._post("/wake_up?tags=kv_cache", until)
        pause = _FIRST_PAUSE
        while words := self._not_up(until):
            left = until - time.monotonic()
            if left <= 0:
                msg = f"{self._session.server} was woken and is not up in time: {words}"
                raise ServerUnavailableError(msg, server=self._session.server)
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def sleep(self, until: float) -> None:
        """Put it to sleep; returns when it sleeps.

        Args:
            until: Monotonic time until which to wait for it.

        Raises:
            ServerError: It refused, or did not answer in time.
        """
        self._post(f"/sleep?level={self._level}", until)

    def _not_up(self, until: float) -> str:
        """Why it cannot be asked yet; "" when it can."""
        try:
            if self.is_sleeping(until):
                return "it says that it sleeps"
            health = self._request("GET", "/health", until)
        except ServerError as error:
            return str(error)
        return "" if health.status == 200 else f"/health answered {health.status}: {excerpt(health.body)}"

    def _post(self, path: str, until: float, body: bytes | None = None) -> None:
        response = self._request("POST", path, until, body)
        if response.status != 200:
            raise self._refusal(path, response)

    def _request(self, method: str, path: str, until: float, body: bytes | None = None) -> Response:
        return self._session.request(method, path, body, timeout=max(until - time.monotonic(), _FIRST_PAUSE))

    def _refusal(self, path: str, response: Response) -> StatusError:
        server = self._session.server
        if response.status in _NOT_THERE:  # what `status_error` advises is for models
            return StatusError(f"{server} answered {response.status} to {path}", status=response.status, server=server)
        return status_error(response.status, response.headers, response.body, server)
