"""In which way each server holds replies to a grammar, found out once, and noticed when it changes."""

from __future__ import annotations

import logging
import math
import re
import time
from collections import Counter

import orjson

from llm_judge_remote.client.chat import CHAT_PATH, ChatReply, ChatRequest
from llm_judge_remote.client.constraint import Fields, find_dialect
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.lookup import Lookup
from llm_judge_remote.client.refusal import status_error
from llm_judge_remote.client.replies import read_reply
from llm_judge_remote.client.session import Session
from llm_judge_remote.errors import AttemptTimeoutError, InvalidReplyError, StatusError

__all__ = ["Dialects"]

log = logging.getLogger(__name__)

# These say nothing about the field: a wrong key or model, or a server that is busy or not there.
_NOT_ABOUT_THE_FIELD = (401, 403, 404, 408, 429, 502, 503, 504)
_RECHECK_S = 60.0
_MOST_TROUBLES = 2


class Dialects:
    """What is known of all servers of a process; safe in threads.

    A server is asked by short requests, one for each dialect until it obeys one, as whose answer a failure counts that
    may come from the field. A server that hangs or fails twice on being asked is taken for one that holds nothing, for
    a minute.
    """

    def __init__(self) -> None:
        self._known: Lookup[str | None] = Lookup()
        self._troubles: Counter[str] = Counter()
        self._look_again_at: dict[str, float] = {}
        self._looked_again: dict[str, float] = {}
        self._said: set[str] = set()

    def get(self, session: Session, request: ChatRequest, model: str, attempt: Attempt, until: float) -> str | None:
        """How to tell a server a request's grammar; None when there is none, or the server obeys none.

        Raises:
            ServerError: It could not be found out now.
        """
        return None if request.grammar is None else self.of(session, model, attempt, until)

    def of(self, session: Session, model: str, attempt: Attempt, until: float) -> str | None:
        """How a server is told a grammar for one of its models; raises as `get`."""
        if time.monotonic() >= self._look_again_at.get(session.server, math.inf):
            self.forget(session.server)
        key = (session.server, model)
        return self._known.get(key, lambda: self._find(session, model, until), attempt, until)

    def forget(self, server: str) -> None:
        """The server may be another one now."""
        self._known.forget(server)
        self._look_again_at.pop(server, None)

    def doubt(self, server: str) -> None:
        """The server does not do as it was found to: look again, at most once a minute."""
        now = time.monotonic()
        if now - self._looked_again.get(server, float("-inf")) >= _RECHECK_S:
            self._looked_again[server] = now
            self.forget(server)

    def is_held(self, reply: ChatReply, request: ChatRequest, dialect: str | None) -> bool:
        """Whether a reply was held to its request's grammar; one that was not makes the server doubtful."""
        if dialect is None or request.grammar is None:
            return False
        text = reply.content.strip()
        if reply.finish_reason == "stop" and not (
            text.startswith("{") if dialect == "response_format" else re.fullmatch(request.grammar.reply, text)
        ):
            self.doubt(reply.server)
            return False
        return True

    def _find(self, session: Session, model: str, until: float) -> str | None:
        probe = ChatRequest(({"role": "user", "content": "Say hello."},), model, 0.0, 1.0, 32, enable_thinking=False)
        plain = orjson.loads(probe.body(model))
        broken: list[StatusError] = []

        def ask(fields: Fields) -> str:
            left = max(until - time.monotonic(), 0.05)
            response = session.request("POST", CHAT_PATH, orjson.dumps({**plain, **fields}), timeout=left)
            if response.status in _NOT_ABOUT_THE_FIELD:
                raise status_error(response.status, response.headers, response.body, session.server)
            if response.status >= 500:
                broken.append(status_error(response.status, response.headers, response.body, session.server))
            if response.status != 200:
                return ""
            try:
                reply = read_reply(response.body, session.server)
            except InvalidReplyError:
                return ""
            return reply.content or reply.reasoning

        try:
            dialect = find_dialect(ask)
            if dialect is None and broken:
                if not ask({}):  # it fails at everything, not only at grammars
                    raise broken[-1]
                dialect = find_dialect(ask)  # what failed may have been in trouble only then
            self._troubles.pop(session.server, None)
        except (AttemptTimeoutError, StatusError) as error:
            if isinstance(error, StatusError) and error.status in _NOT_ABOUT_THE_FIELD:
                raise
            self._troubles[session.server] += 1
            if self._troubles[session.server] < _MOST_TROUBLES:
                raise
            dialect = None
            self._look_again_at[session.server] = time.monotonic() + _RECHECK_S
        if dialect is None and session.server not in self._said:
            self._said.add(session.server)
            log.warning(
                "judge server %s does not hold replies to a grammar; they are read as they come", session.server
            )
        return dialect
