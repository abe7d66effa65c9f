"""Which models servers serve, and what they can tell of a request that they refused."""

from __future__ import annotations

import time

import orjson

from llm_judge_remote.client.capabilities import served_models
from llm_judge_remote.client.chat import MODELS_PATH, TOKENIZE_PATH, ChatRequest
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.lookup import Lookup
from llm_judge_remote.client.measure import Measure, token_limit_in
from llm_judge_remote.client.replies import read_json
from llm_judge_remote.client.session import Session
from llm_judge_remote.errors import (
    InvalidReplyError,
    PromptTooLongError,
    ServerError,
    StatusError,
    UnknownModelError,
)

__all__ = ["Served"]


class Served:
    """The models of servers, each asked once; safe in threads.

    Args:
        timeout: Seconds for a question.
        measure: Counts tokens where the server does not.
    """

    def __init__(self, timeout: float, measure: Measure) -> None:
        self._timeout = timeout
        self._measure = measure
        self._found: Lookup[tuple[str, ...]] = Lookup()
        self._names: dict[str, str] = {}

    def forget(self, address: str) -> None:
        """Ask the server again the next time."""
        self._found.forget(address)
        self._names.pop(address, None)

    def model(self, session: Session, name: str, attempt: Attempt, until: float) -> str:
        """The model's name for a server: what it serves, when the name is `auto`.

        Raises:
            ServerError: It could not be found out now.
        """
        if name != "auto":
            return name
        names = self._found.get((session.server,), lambda: self._ask(session), attempt, until)
        return names[0]

    def explained(self, session: Session, request: ChatRequest, error: StatusError) -> StatusError:
        """The error of a refused request, with what the server can add to it."""
        try:
            if isinstance(error, UnknownModelError):
                return self._unknown_model(session, request, error)
            if isinstance(error, PromptTooLongError):
                error.prompt_tokens, error.token_limit = self._count_tokens(session, request)
        except ServerError:
            pass  # the first error says enough
        if isinstance(error, PromptTooLongError) and error.prompt_tokens is None:
            error.prompt_tokens, error.token_limit = self._measure.count(request.messages), token_limit_in(str(error))
        return error

    def _unknown_model(self, session: Session, request: ChatRequest, error: UnknownModelError) -> UnknownModelError:
        if request.model == "auto":  # the server came back with another model: ask it again
            self._found.forget(session.server)
            error.retryable = True
            return error
        names = self._names.get(session.server)
        if names is None:  # asked once, not once per sample
            names = self._names[session.server] = ", ".join(served_models(session, self._timeout))
        msg = f"{error}; model_name={request.model!r}, served: {names}"
        return UnknownModelError(msg, status=error.status, server=session.server)

    def _count_tokens(self, session: Session, request: ChatRequest) -> tuple[int | None, int | None]:
        """The prompt's tokens and the most that the model takes, where the server tells (vLLM does)."""
        fields = {
            "model": self.model(session, request.model, Attempt(), time.monotonic() + self._timeout),
            "messages": request.messages,
            "chat_template_kwargs": {"enable_thinking": request.enable_thinking},
        }
        response = session.request("POST", TOKENIZE_PATH, orjson.dumps(fields), timeout=self._timeout)
        payload = read_json(response.body, session.server) if response.status == 200 else {}
        count, limit = payload.get("count"), payload.get("max_model_len")
        return (count, limit) if isinstance(count, int) and isinstance(limit, int) else (None, None)

    def _ask(self, session: Session) -> tuple[str, ...]:
        names = served_models(session, self._timeout)
        if not names:
            msg = f"{session.server} lists no model at {MODELS_PATH}; set model_name"
            raise InvalidReplyError(msg, server=session.server)
        return names
