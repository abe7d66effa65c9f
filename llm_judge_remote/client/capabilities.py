"""What a server serves and can do, found out by asking it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from llm_judge_remote.client.chat import BATCH_PATH, CHAT_PATH, MODELS_PATH
from llm_judge_remote.client.refusal import status_error
from llm_judge_remote.client.replies import read_json
from llm_judge_remote.client.session import Response, Session
from llm_judge_remote.client.sleep_mode import SleepMode
from llm_judge_remote.errors import InvalidReplyError, ServerError

__all__ = ["Capabilities", "Engine", "find_capabilities", "served_models"]

Engine = Literal["vllm", "sglang", "other"]

_VERSION_PATHS: Mapping[Engine, tuple[str, ...]] = {
    "vllm": ("/version",),
    "sglang": ("/server_info", "/get_server_info"),  # asked by the older name, a server of today warns in its log
    "other": (),
}
_NOT_THERE = (404, 405, 501)
_NOT_UNDERSTOOD = (400, 413, 415, 422)
_SLEEP_PATHS = ("/is_sleeping", "/sleep", "/wake_up")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server is, serves, and can do.

    Attributes:
        server: Its address.
        models: The names that it serves, the first of them what `model_name=auto` stands for.
        max_model_len: Tokens that prompt and reply may have together with the first model; None: it does not say.
        engine: What it says that it is.
        version: The engine's release; "" where it does not say.
        batch_endpoint: Whether it takes several conversations in one request; None: it could not be told.
        sleep: Whether it can be put to sleep and woken, as vLLM in its development mode; None: it could not be told.
        structured_output: The request's field that holds its replies to a grammar; "" for none that it obeys, None: it
            was not tried.
    """

    server: str
    models: tuple[str, ...]
    max_model_len: int | None
    engine: Engine
    version: str
    batch_endpoint: bool | None
    sleep: bool | None
    structured_output: str | None = None


def find_capabilities(session: Session, timeout: float) -> Capabilities:
    """Ask a server what it is, serves, and can do.

    Takes three or four short requests, none of which makes it generate anything; one or two more where it is old, or
    goes by another name. Only the first, for the models, has to succeed. Endpoints are tried, and looked up in
    `/openapi.json` only where that leaves something open: vLLM 0.32 takes 1.2 s to make that list, 280 kB long, when it
    is first asked for it, and answers nobody else meanwhile.

    Args:
        session: The server's.
        timeout: Seconds for all of it.

    Raises:
        ServerError: `/v1/models` could not be read; a `StatusError` with the server's words where it refused.
    """
    until = time.monotonic() + timeout
    cards = _model_cards(session, timeout)
    ask = _Asking(session, until)
    first = cards[0] if cards else _Card("", "", None)
    engine, version = _engine(first, ask)
    batch_endpoint, sleep = _endpoints(ask)
    models = tuple(card.name for card in cards)
    return Capabilities(session.server, models, first.max_model_len, engine, version, batch_endpoint, sleep)


def served_models(session: Session, timeout: float) -> tuple[str, ...]:
    """The names of the models that a server serves, in its order; none where it lists none that can be read.

    Args:
        session: The server's.
        timeout: Seconds.

    Raises:
        ServerError: The list could not be read; a `StatusError` with the server's words where it refused.
    """
    return tuple(card.name for card in _model_cards(session, timeout))


class _Card(NamedTuple):
    """What `/v1/models` says of one model."""

    name: str
    owner: str
    max_model_len: int | None


def _model_cards(session: Session, timeout: float) -> list[_Card]:
    response = session.request("GET", MODELS_PATH, timeout=timeout)
    if response.status != 200:
        raise status_error(response.status, response.headers, response.body, session.server)
    entries = read_json(response.body, session.server).get("data")
    cards = [_card(entry) for entry in entries] if isinstance(entries, list) else []
    return [card for card in cards if card is not None]


def _card(entry: object) -> _Card | None:
    """One entry of the list; None where it names no model."""
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not entry["id"]:
        return None
    owner, length = entry.get("owned_by"), entry.get("max_model_len")
    is_count = isinstance(length, int) and not isinstance(length, bool) and length > 0
    return _Card(entry["id"], owner if isinstance(owner, str) else "", length if is_count else None)


class _Asking:
    """Requests that may fail: what they would have said is then unknown."""

    def __init__(self, session: Session, until: float) -> None:
        self._session = session
        self._until = until

    def request(self, method: str, path: str, body: bytes | None = None) -> Response | None:
        """The answer; None where there is none, or the time is up."""
        left = self._until - time.monotonic()
        if left <= 0:
            return None
        try:
            return self._session.request(method, path, body, timeout=left)
        except ServerError:
            return None

    def json(self, path: str) -> Mapping[str, Any]:
        """The JSON object at a path; an empty one where there is none."""
        response = self.request("GET", path)
        if response is None or response.status != 200:
            return {}
        try:
            return read_json(response.body, self._session.server)
        except InvalidReplyError:
            return {}

    def can_sleep(self) -> bool | None:
        """Whether there are endpoints for it; None: it could not be told."""
        if time.monotonic() >= self._until:
            return None
        try:
            return SleepMode(self._session).is_sleeping(self._until) is not None
        except ServerError:
            return None


def _engine(card: _Card, ask: _Asking) -> tuple[Engine, str]:
    """What the server is, and its release."""
    said: Mapping[str, Engine] = {"vllm": "vllm", "sglang": "sglang"}
    engine = said.get(card.owner)
    if engine is not None:
        return engine, _version(engine, ask)
    if card.max_model_len is not None:  # a field of these two alone: somebody put another owner's name on it
        for other in said.values():
            if version := _version(other, ask):
                return other, version
    return "other", ""


def _version(engine: Engine, ask: _Asking) -> str:
    for path in _VERSION_PATHS[engine]:
        version = ask.json(path).get("version")
        if isinstance(version, str):
            return version
    return ""


def _endpoints(ask: _Asking) -> tuple[bool | None, bool | None]:
    """Whether there is the batch endpoint, and whether there are those for sleeping."""
    batches, sleep = _takes_batches(ask), ask.can_sleep()
    if batches is None or sleep is None:
        paths = ask.json("/openapi.json").get("paths")
        if isinstance(paths, dict) and CHAT_PATH in paths:  # else it is a gateway's list, of what it knows by itself
            batches = BATCH_PATH in paths if batches is None else batches
            sleep = all(path in paths for path in _SLEEP_PATHS) if sleep is None else sleep
    return batches, sleep


def _takes_batches(ask: _Asking) -> bool | None:
    response = ask.request("POST", BATCH_PATH, b"{}")  # no messages: nothing that could be answered
    if response is None:
        return None
    return False if response.status in _NOT_THERE else True if response.status in _NOT_UNDERSTOOD else None
