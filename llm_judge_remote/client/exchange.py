"""One HTTP request with chat conversations, and what the server's answer to it means."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from llm_judge_remote.client.capabilities import Capabilities, find_capabilities
from llm_judge_remote.client.chat import (
    BATCH_PATH,
    CHAT_PATH,
    HEALTH_PATH,
    ChatReply,
    ChatRequest,
)
from llm_judge_remote.client.constraint import DIALECTS
from llm_judge_remote.client.dialects import Dialects
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.lookup import Lookup
from llm_judge_remote.client.measure import Measure
from llm_judge_remote.client.refusal import status_error
from llm_judge_remote.client.replies import read_batch, read_reply
from llm_judge_remote.client.served import Served
from llm_judge_remote.client.session import Response, Session
from llm_judge_remote.client.sessions import Connection, Sessions
from llm_judge_remote.errors import (
    IncapableError,
    PromptTooLongError,
    ServerError,
    StatusError,
)

__all__ = ["Exchange", "NoBatchEndpointError"]


_REFUSED = (400, 413, 422)


class NoBatchEndpointError(Exception):
    """The server has no batch endpoint; nothing was asked."""


class Exchange:
    """Asks servers, one request at a time; safe in threads, belongs to one process.

    Args:
        connection: How to talk to servers.
        dialects: What the process knows of how they hold replies to a grammar.
        measure: Counts tokens where servers do not.
    """

    def __init__(
        self, connection: Connection, dialects: Dialects | None = None, measure: Measure | None = None
    ) -> None:
        self._timeout = connection.timeout
        self._connection = connection
        self._sessions = Sessions(connection)
        self._served = Served(connection.timeout, measure or Measure())
        self._capabilities: Lookup[Capabilities] = Lookup()
        self._dialects = Dialects() if dialects is None else dialects
        self._draws_one: set[str] = set()
        self._took_batches: set[str] = set()

    def open(self, address: str) -> Session:
        """A session of its own, for the caller to close."""
        return self._sessions.open(address)

    def retire(self, addresses: Iterable[str]) -> None:
        """These servers are used no more; what is under way there goes on."""
        for address in addresses:
            self._sessions.retire(address)
            self.forget(address)

    def welcome(self, addresses: Iterable[str]) -> None:
        """These servers are used, perhaps again."""
        for address in addresses:
            self._sessions.welcome(address)

    def close(self) -> None:
        """Close all connections; requests under way end with an error."""
        self._sessions.close()

    def capabilities(self, address: str, timeout: float) -> Capabilities:
        """What a server is, serves and can do; asked once, and again after it was restarted.

        Raises:
            ServerError: It could not be found out within `timeout` seconds.
        """
        session, until = self._sessions.get(address), time.monotonic() + timeout

        def ask() -> Capabilities:
            found = find_capabilities(session, timeout)
            dialect = self._dialects.of(session, found.models[0], Attempt(), until) if found.models else None
            return replace(found, structured_output=dialect or "")

        return self._capabilities.get((address,), ask, Attempt(), until)

    def probe(self, address: str, attempt: Attempt) -> None:
        """Ask a server whether it is well; one that answers anything but 503 counts as well.

        Many have no such endpoint, or a gateway before it; whether they judge, a trial will show.

        Raises:
            ServerError: It is not, or not there.
        """
        timeout = min(self._timeout, self._connection.connect_timeout)
        response = self._sessions.get(address).request("GET", HEALTH_PATH, timeout=timeout, attempt=attempt)
        if response.status == 503:
            raise status_error(response.status, response.headers, response.body, address)

    def send(
        self,
        address: str,
        requests: Sequence[ChatRequest],
        attempt: Attempt,
        key: Callable[[], str] | None = None,
    ) -> Sequence[ChatReply | ServerError]:
        """Ask a server: one conversation by itself, several with the same `sampling` as a chunk.

        Args:
            address: One of the servers.
            requests: At least one.
            attempt: To be told when it waits for the server, or to give it up from another thread.
            key: Makes what tells a balancer where they belong.

        Returns:
            The reply to each request, or why there is none.

        Raises:
            NoBatchEndpointError: There were several, and the server takes them only one by one.
            ServerError: The attempt failed for all.
        """
        session = self._sessions.get(address)
        header = self._connection.routing_header
        headers = {header: key()} if header and key is not None else None
        first, *others = requests
        until = time.monotonic() + self._timeout
        model = self._served.model(session, first.model, attempt, until)
        try:
            dialect = self._dialect(session, first, model, attempt, until)
        except StatusError as error:
            raise self._served.explained(session, first, error) from None
        if not others:
            return [self._send_one(session, first, model, dialect, attempt, until, headers)]
        body = first.batch_body(others, model, dialect)
        response = session.request("POST", BATCH_PATH, body, timeout=_left(until), attempt=attempt, headers=headers)
        if response.status == 200:
            self._took_batches.add(address)
            replies = read_batch(response.body, address, requests)
            return [
                reply if isinstance(reply, ServerError) else self._checked(reply, request, dialect)
                for request, reply in zip(requests, replies, strict=True)
            ]
        if response.status in (404, 405, 501) and not _is_about_the_model(response):
            raise NoBatchEndpointError
        # Some balancers pass the key on to the endpoints that they know, and this is none of them (vllm-router 0.1.17).
        # Where the key is wrong indeed, the requests will say so one by one.
        if response.status in (401, 403) and self._connection.api_key and address not in self._took_batches:
            raise NoBatchEndpointError
        raise self._refusal(session, None if response.status in _REFUSED else first, response)

    def forget(self, address: str) -> None:
        """The server may have been restarted, as another one: what was found out about it is asked again."""
        self._served.forget(address)
        self._capabilities.forget(address)
        self._dialects.forget(address)
        self._draws_one.discard(address)
        self._took_batches.discard(address)

    def _send_one(
        self,
        session: Session,
        request: ChatRequest,
        model: str,
        dialect: str | None,
        attempt: Attempt,
        until: float,
        headers: Mapping[str, str] | None,
    ) -> ChatReply:
        wanted = request
        if request.draws > 1 and session.server in self._draws_one:
            wanted = replace(request, draws=1)

        def post(asked: ChatRequest) -> Response:
            body = asked.body(model, dialect)
            return session.request("POST", CHAT_PATH, body, timeout=_left(until), attempt=attempt, headers=headers)

        response = post(wanted)
        if response.status in _REFUSED and not isinstance(self._error(session, response), PromptTooLongError):
            refused = response
            if wanted.draws > 1:  # perhaps it gives but one reply at a time
                response = post(replace(request, draws=1))
                if response.status == 200:
                    self._draws_one.add(session.server)
            if response.status != 200 and dialect is not None:  # perhaps it is not the server that it was
                self._dialects.doubt(session.server)
                before, dialect = dialect, self._dialect(session, request, model, attempt, until)
                if dialect != before:
                    response = post(wanted)
            response = response if response.status == 200 else refused
        if response.status != 200:
            raise self._refusal(session, request, response)
        reply = self._checked(read_reply(response.body, session.server), request, dialect)
        if isinstance(reply, ServerError):
            raise reply
        return reply

    def _checked(self, reply: ChatReply, request: ChatRequest, dialect: str | None) -> ChatReply | ServerError:
        """The reply, and whether it was held; an error where it was not and had to be."""
        held = [self._dialects.is_held(each, request, dialect) for each in (reply, *reply.others)]
        if request.needs_grammar and not all(held):
            return _incapable(reply.server)
        return replace(reply, is_held=True) if dialect is not None and all(held) else reply

    def _dialect(
        self, session: Session, request: ChatRequest, model: str, attempt: Attempt, until: float
    ) -> str | None:
        """As `Dialects.get`.

        Raises:
            IncapableError: The request must not be asked without.
        """
        dialect = self._dialects.get(session, request, model, attempt, until)
        if dialect is None and request.needs_grammar:
            raise _incapable(session.server)
        return dialect

    @staticmethod
    def _error(session: Session, response: Response) -> StatusError:
        return status_error(response.status, response.headers, response.body, session.server, response.sent)

    def _refusal(self, session: Session, request: ChatRequest | None, response: Response) -> StatusError:
        """The error for a status other than 200, with what the server can add to it about one request."""
        error = self._error(session, response)
        return error if request is None else self._served.explained(session, request, error)


def _is_about_the_model(response: Response) -> bool:
    """Whether a 404 of the batch endpoint comes from the endpoint itself, and not from its absence."""
    return response.status == 404 and b"model" in response.body


def _left(until: float) -> float:
    """Seconds of the attempt that are left: what was found out for it is part of it."""
    return max(until - time.monotonic(), 0.05)


def _incapable(server: str) -> IncapableError:
    msg = (
        f"{server} does not hold replies to a grammar, by none of {', '.join(DIALECTS)}; "
        "set structured_output to `auto` or `off`"
    )
    return IncapableError(msg, server=server)
