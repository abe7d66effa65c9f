"""What is looked at: one server with the wire to it, or all servers of the settings as one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from llm_judge_remote.client.capabilities import Capabilities
from llm_judge_remote.client.chat import CHAT_PATH, ChatReply, ChatRequest
from llm_judge_remote.client.dialects import Dialects
from llm_judge_remote.client.exchange import Exchange
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.refusal import status_error
from llm_judge_remote.client.replies import excerpt, read_json
from llm_judge_remote.client.session import Response
from llm_judge_remote.client.sessions import Connection, Sessions
from llm_judge_remote.diagnosis.server.load import Load, LoadLevel
from llm_judge_remote.errors import InvalidReplyError, ServerError
from llm_judge_remote.judge import Judge
from llm_judge_remote.settings import JudgeSettings

__all__ = ["ServerVisit", "Visit", "plain_request"]

_SHORT_S = 10.0  # for what needs no model


class Visit:
    """Some servers as a judge, asked with the settings of a training run.

    A judgement is always the judge's own here, made anew: nothing is cached, routed elsewhere, or waited for as if the
    server were still to come.

    Args:
        settings: Where the servers are, and how to ask them.
        load: How much load to put on them; None for none.

    Attributes:
        judge: Asks them.
        levels: What came of the load so far.
    """

    def __init__(self, settings: JudgeSettings, load: Load | None = None) -> None:
        self.load = load
        self.levels: list[LoadLevel] = []
        self.settings = settings.model_copy(
            update={
                "cache": None,
                "routes": None,
                "shared_limit": None,
                "deadline": None,
                "startup_timeout": 0.0,
                "outage_grace": 0.0,
                "hedging": "off",
                "fallback": "zero",
                "on_unavailable": "fallback",
            }
        )
        self.judge = Judge(self.settings)

    def close(self) -> None:
        """Close all connections."""
        self.judge.close()


class ServerVisit(Visit):
    """One server.

    Attributes:
        address: Its address.
        model: The name to ask for; "" while none is known.
        capabilities: What it told of itself; None before that.
    """

    def __init__(self, address: str, settings: JudgeSettings, load: Load | None = None) -> None:
        super().__init__(settings.model_copy(update={"server_url": (address,)}), load)
        self.address = address
        self.model = "" if settings.model_name == "auto" else settings.model_name
        self.capabilities: Capabilities | None = None
        self.dialects = Dialects()
        self._connection = Connection.of(settings)
        self._exchange = Exchange(self._connection, self.dialects)
        self.session = self._exchange.open(address)

    @property
    def short(self) -> float:
        """Seconds for a question that needs no model."""
        return min(_SHORT_S, self.settings.timeout)

    def close(self) -> None:
        """Close all connections."""
        self.session.close()
        self._exchange.close()
        super().close()

    def ask(self, request: ChatRequest) -> tuple[ChatReply, float]:
        """The reply to a request that is sent once, and the seconds that it took.

        Raises:
            ServerError: There is none.
        """
        began = time.monotonic()
        reply = self._exchange.send(self.address, [request], Attempt())[0]
        if isinstance(reply, ServerError):
            raise reply
        return reply, time.monotonic() - began

    def ask_together(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply | ServerError]:
        """The replies to several requests, sent to the batch endpoint in one.

        Raises:
            NoBatchEndpointError: There is none.
            ServerError: The server refused them all, or did not answer.
        """
        return self._exchange.send(self.address, requests, Attempt())

    def message(self, request: ChatRequest) -> tuple[Mapping[str, Any], str]:
        """The message of the reply as it came, with the names of its fields, and why it ended.

        Raises:
            ServerError: There is none.
        """
        response = self.post(CHAT_PATH, request.body(self.model), timeout=self.settings.timeout)
        if response.status != 200:
            raise status_error(response.status, response.headers, response.body, self.address)
        payload = read_json(response.body, self.address)
        try:
            choice = payload["choices"][0]
            return dict(choice["message"]), str(choice.get("finish_reason") or "")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            msg = f"{self.address} answered 200 with no chat completion: {excerpt(response.body)}"
            raise InvalidReplyError(msg, server=self.address) from None

    def post(self, path: str, body: bytes, *, timeout: float) -> Response:
        """What the server answers, whatever it is.

        Raises:
            ServerError: Nothing.
        """
        return self.session.request("POST", path, body, timeout=timeout)

    def post_with_key(self, key: str | None, path: str, body: bytes) -> Response:
        """The same with another key, or none.

        Raises:
            ServerError: Nothing.
        """
        session = Sessions(self._connection._replace(api_key=key)).open(self.address)
        try:
            return session.request("POST", path, body, timeout=self.short)
        finally:
            session.close()


def plain_request(visit: ServerVisit, text: str, *, max_tokens: int, thinking: bool = False) -> ChatRequest:
    """A question that has nothing to do with judging."""
    return ChatRequest(({"role": "user", "content": text},), visit.model, 0.0, 1.0, max_tokens, thinking)
