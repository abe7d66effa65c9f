"""One chat request, from the choice of a server to its reply, retries and failover included."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import orjson

from llm_judge_remote.client.chat import (
    CHAT_PATH,
    MODELS_PATH,
    TOKENIZE_PATH,
    ChatReply,
    ChatRequest,
    read_json,
    read_reply,
    status_error,
)
from llm_judge_remote.client.retry import RetryBudget, retrying
from llm_judge_remote.client.session import Response, Session
from llm_judge_remote.errors import (
    AttemptTimeoutError,
    DeadlineExceededError,
    InvalidReplyError,
    JudgeError,
    PromptTooLongError,
    ServerError,
    ServerUnavailableError,
    StatusError,
    UnknownModelError,
)
from llm_judge_remote.servers.pool import ServerPool
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Exchange"]


class Exchange:
    """Asks the servers of one setting; safe in threads, belongs to one process.

    Args:
        settings: The servers, the key, and how to connect, wait and retry.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        key = settings.api_key.get_secret_value() if settings.api_key else None
        self._timeout = settings.timeout
        self._max_retries = settings.max_retries
        self._pool = ServerPool(settings.server_url, settings.outage_grace)
        self._budget = RetryBudget()
        self._closed = threading.Event()
        self._sessions: Mapping[str, Session] = {
            address: Session(
                address,
                api_key=key,
                connect_timeout=settings.connect_timeout,
                max_connections=settings.max_connections,
                trust_env=settings.trust_env,
            )
            for address in self._pool.addresses
        }
        self._served: dict[str, str] = {}
        self._names_for_errors: dict[str, str] = {}

    def ask(self, request: ChatRequest, *, since: float, until: float | None) -> ChatReply:
        """The reply to one request.

        Args:
            request: The question.
            since: Monotonic time when the call began.
            until: Monotonic time when the call must be over, or None.

        Raises:
            ServerError: No attempt brought a reply; the last attempt's error, with `attempts` set.
            DeadlineExceededError: The time was up.
        """
        failed_at: list[str] = []
        sent = 0

        def attempt() -> ChatReply:
            nonlocal sent
            if self._closed.is_set():
                msg = "the judge was closed"
                raise ServerUnavailableError(msg, sent=False)
            server = self._pool.acquire(since=since, until=until, avoid=failed_at)
            unreported = True
            try:
                sent += 1
                reply = self._attempt(self._sessions[server.address], request, until)
            except ServerError as error:
                failed_at.append(server.address)
                unreported = False
                if error.answered:
                    self._pool.answered(server)
                else:
                    self._pool.failed(server, str(error))
                raise
            else:
                unreported = False
                self._pool.answered(server)
                self._budget.succeeded()
                return reply
            finally:
                if unreported:
                    self._pool.abandoned(server)

        policy = retrying(max_retries=self._max_retries, budget=self._budget, until=until, sleep=self._pause)
        try:
            reply = policy(attempt)
        except JudgeError as error:
            error.attempts = sent
            raise
        return reply if sent == 1 else reply.after(sent)

    def _pause(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def close(self) -> None:
        """Close all connections; requests under way end with an error."""
        self._closed.set()
        for session in self._sessions.values():
            session.close()

    def _attempt(self, session: Session, request: ChatRequest, until: float | None) -> ChatReply:
        body = request.body(self._model(session, request.model, until))
        timeout = self._time_left(until)
        try:
            response = session.request("POST", CHAT_PATH, body, timeout=timeout)
        except AttemptTimeoutError:
            if timeout < self._timeout:  # not the server's fault: the call had less time left
                raise DeadlineExceededError(_OUT_OF_TIME) from None
            raise
        if response.status != 200:
            raise self._refusal(session, request, response, until)
        return read_reply(response.body, session.server)

    def _time_left(self, until: float | None) -> float:
        if until is None:
            return self._timeout
        left = until - time.monotonic()
        if left <= 0:
            raise DeadlineExceededError(_OUT_OF_TIME)
        return min(self._timeout, left)

    def _model(self, session: Session, name: str, until: float | None) -> str:
        """The model's name for a server: what it serves, when the name is `auto`."""
        if name != "auto":
            return name
        served = self._served.get(session.server)
        if served is None:
            names = self._served_names(session, until)
            if not names:
                msg = f"{session.server} lists no model at {MODELS_PATH}; set model_name"
                raise InvalidReplyError(msg, server=session.server)
            served = self._served[session.server] = names[0]
        return served

    def _served_names(self, session: Session, until: float | None) -> list[str]:
        response = session.request("GET", MODELS_PATH, timeout=self._time_left(until))
        if response.status != 200:
            raise status_error(response.status, response.headers, response.body, session.server)
        entries = read_json(response.body, session.server).get("data")
        entries = entries if isinstance(entries, list) else []
        return [entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]

    def _refusal(self, session: Session, request: ChatRequest, response: Response, until: float | None) -> StatusError:
        """The error for a status other than 200, with what the server can add to it."""
        error = status_error(response.status, response.headers, response.body, session.server)
        try:
            if isinstance(error, UnknownModelError):
                return self._unknown_model(session, request, error, until)
            if isinstance(error, PromptTooLongError):
                error.prompt_tokens, error.token_limit = self._count_tokens(session, request, until)
        except ServerError:
            pass  # the first error says enough
        return error

    def _unknown_model(
        self, session: Session, request: ChatRequest, error: UnknownModelError, until: float | None
    ) -> UnknownModelError:
        if request.model == "auto":  # the server came back with another model: ask it again
            self._served.pop(session.server, None)
            error.retryable = True
            return error
        names = self._names_for_errors.get(session.server)
        if names is None:  # asked once, not once per sample
            names = self._names_for_errors[session.server] = ", ".join(self._served_names(session, until))
        msg = f"{error}; model_name={request.model!r}, served: {names}"
        return UnknownModelError(msg, status=error.status, server=session.server)

    def _count_tokens(
        self, session: Session, request: ChatRequest, until: float | None
    ) -> tuple[int | None, int | None]:
        """The prompt's tokens and the most that the model takes, where the server tells (vLLM does)."""
        fields = {
            "model": self._model(session, request.model, until),
            "messages": request.messages,
            "chat_template_kwargs": {"enable_thinking": request.enable_thinking},
        }
        response = session.request("POST", TOKENIZE_PATH, orjson.dumps(fields), timeout=self._time_left(until))
        payload = read_json(response.body, session.server) if response.status == 200 else {}
        count, limit = payload.get("count"), payload.get("max_model_len")
        return (count, limit) if isinstance(count, int) and isinstance(limit, int) else (None, None)


_OUT_OF_TIME = "the call's deadline passed"
