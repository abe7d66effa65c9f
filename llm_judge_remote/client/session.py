"""The pooled HTTP session of one server; the only place that knows requests and urllib3's exceptions."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from llm_judge_remote.client.echo import without_key
from llm_judge_remote.client.guard import Attempt, AttemptGuard
from llm_judge_remote.errors import (
    AttemptTimeoutError,
    ConnectionDroppedError,
    ServerError,
    ServerUnavailableError,
)

__all__ = ["Response", "Session"]

log = logging.getLogger(__name__)

_REPR = re.compile(r"^(?:<[^>]*>|\w+\(host=[^)]*\)): ")


@dataclass(frozen=True, slots=True)
class Response:
    """What a server answered.

    Attributes:
        status: Of HTTP.
        headers: In any case.
        body: All of it; without the key, should it repeat that.
        sent: The request's body, with an answer that refuses it: errors quote that, but not what it repeats.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: bytes = b""


class Session:
    """Keep-alive connections to one server, for all threads of this process.

    Never follows a redirect: the key goes to the address that the operator named and to no other.

    Args:
        server: The server's address, without a path.
        api_key: Sent as a bearer token; None for none.
        connect_timeout: Seconds to open a connection.
        max_connections: Connections kept, and open at once.
        trust_env: Whether proxies, netrc and CA bundles of the environment count. Off by default: with it on, every
            request scans the environment (2.5 ms each at 800 variables).
    """

    def __init__(
        self, server: str, *, api_key: str | None, connect_timeout: float, max_connections: int, trust_env: bool
    ) -> None:
        self.server = server
        self._api_key = api_key
        self._connect_timeout = connect_timeout
        self._guard = AttemptGuard()
        self._lock = threading.Lock()
        self._under_way = 0
        self._is_retired = False
        self._session = requests.Session()
        self._session.trust_env = trust_env
        self._session.headers.update({"Accept-Encoding": "identity", "User-Agent": "llm-judge-remote"})
        if api_key:
            self._session.headers["Authorization"] = f"Bearer {api_key}"
        adapter = _Adapter(self._guard, max_connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        # Preparing a request costs as much as sending it: prepared once, copied for each.
        self._prepared: dict[tuple[str, str], requests.PreparedRequest] = {}

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        timeout: float,
        attempt: Attempt | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send one request and read the whole answer within `timeout` seconds.

        Args:
            method: The HTTP method.
            path: Below the server's address.
            body: JSON, or None.
            timeout: Seconds for all of it.
            attempt: To be told when it waits for the server, or to give it up from another thread.
            headers: Beside those of every request.

        Raises:
            ServerUnavailableError: No connection came about.
            ConnectionDroppedError: The connection ended before the answer did.
            AttemptTimeoutError: The time was up.
        """
        attempt = attempt or Attempt()
        with self._lock:
            self._under_way += 1
        try:
            return self._request(method, path, body, timeout, attempt, headers)
        finally:
            with self._lock:
                self._under_way -= 1
                is_last = self._is_retired and not self._under_way
            if is_last:
                self.close()

    def retire(self, *, after_next: bool = False) -> None:
        """Close as soon as nothing is under way; or, if there is nothing yet, after the next request."""
        with self._lock:
            self._is_retired = True
            is_last = not (self._under_way or after_next)
        if is_last:
            self.close()

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout: float,
        attempt: Attempt,
        headers: Mapping[str, str] | None,
    ) -> Response:
        failure: ServerError | None = None
        began = time.monotonic()
        with self._guard.watched(attempt, timeout):
            try:
                response = self._send(self._prepare(method, path, body, headers), timeout)
            except Exception as error:  # noqa: BLE001 (where the wire's errors become ours)
                failure = self._translated(error, attempt, timeout)
        if attempt.expired and failure is None:  # the end of the connection may look like the end of the answer
            failure = self._timed_out(timeout)
        seconds = time.monotonic() - began
        log.debug("%s %s%s: %s after %.3f s", method, self.server, path, failure or response.status, seconds)
        if failure is not None:
            raise failure  # out here, so that it does not hold on to the connection through its context
        if response.status < 400:
            return response
        return replace(response, body=without_key(response.body, self._api_key), sent=body or b"")

    def close(self) -> None:
        """Close every connection; requests under way end with an error."""
        self._guard.close()
        self._session.close()

    def _prepare(
        self, method: str, path: str, body: bytes | None, extra: Mapping[str, str] | None
    ) -> requests.PreparedRequest:
        first = self._prepared.get((method, path))
        if first is None:
            headers = {} if body is None else {"Content-Type": "application/json"}
            first = self._session.prepare_request(requests.Request(method, self.server + path, headers=headers))
            self._prepared[method, path] = first
        prepared = first.copy()
        if body is not None:
            prepared.body = body
            prepared.headers["Content-Length"] = str(len(body))
        if extra:
            prepared.headers.update(extra)
        return prepared

    def _send(self, prepared: requests.PreparedRequest, timeout: float) -> Response:
        options: Mapping[str, Any] = {"proxies": {}, "verify": True, "cert": None}
        if self._session.trust_env:
            options = self._session.merge_environment_settings(prepared.url, {}, False, None, None)
        limits = urllib3.Timeout(connect=min(self._connect_timeout, timeout), read=timeout)
        options = {**options, "stream": False, "allow_redirects": False, "timeout": limits}
        answer = self._session.send(prepared, **options)
        return Response(answer.status_code, answer.headers, answer.content)

    def _translated(self, error: Exception, attempt: Attempt, timeout: float) -> ServerError:
        if self._guard.closed:
            return ServerUnavailableError("the judge was closed", server=self.server, sent=False)
        if attempt.aborted:
            return ServerUnavailableError("given up: nobody waits for it any more", server=self.server, sent=False)
        if attempt.expired or isinstance(error, requests.ReadTimeout):
            return self._timed_out(timeout)
        cause = _root_cause(error)
        if isinstance(error, requests.ConnectTimeout):
            msg = f"{self.server} took no connection within {self._connect_timeout:g} s (connect_timeout)"
            return ServerUnavailableError(msg, server=self.server)
        if isinstance(cause, urllib3.exceptions.NewConnectionError) or isinstance(
            error, (requests.exceptions.SSLError, requests.exceptions.ProxyError, requests.exceptions.InvalidURL)
        ):
            msg = f"{self.server} cannot be reached: {_words(cause)}"
            return ServerUnavailableError(msg, server=self.server)
        msg = f"{self.server} ended the connection before its answer: {_words(cause)}"
        return ConnectionDroppedError(msg, server=self.server)

    def _timed_out(self, timeout: float) -> AttemptTimeoutError:
        msg = f"{self.server} had not answered after {timeout:.3g} s"
        return AttemptTimeoutError(msg, server=self.server)


class _Adapter(HTTPAdapter):
    def __init__(self, guard: AttemptGuard, max_connections: int) -> None:
        self._pool_classes = guard.pool_classes()
        super().__init__(pool_connections=1, pool_maxsize=max_connections, max_retries=0, pool_block=True)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def close(self) -> None:
        # urllib3 leaves its pools' connections to the garbage collector.
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 (urllib3's container cannot be iterated)
                manager.pools[key].close()
        super().close()

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager


def _root_cause(error: Exception) -> BaseException:
    """The urllib3 or socket error inside what requests raised."""
    cause: BaseException = error
    while True:
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        if not isinstance(inner, BaseException):
            return cause
        cause = inner


def _words(error: BaseException) -> str:
    """An error's own words, without the connection's repr that urllib3 puts before them."""
    return _REPR.sub("", str(error)) or type(error).__name__
