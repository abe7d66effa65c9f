"""From a request's body to conversations; what is wrong with it is said as vLLM says it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from llm_judge_remote.testing.conversation import Conversation, digest, join_texts
from llm_judge_remote.testing.stats import RecordedRequest
from llm_judge_remote.testing.wire import RequestError, validation_error

__all__ = ["Attempts", "conversations", "json_object", "messages", "parse", "positive"]


def parse(data: bytes) -> object:
    """The JSON; the bytes themselves if they are none, None if there are none."""
    try:
        return orjson.loads(data) if data else None
    except orjson.JSONDecodeError:
        return data


def json_object(request: RecordedRequest, model: str) -> Mapping[str, Any]:
    """The request's JSON object.

    Raises:
        RequestError: It is none, or asks for a model other than `model`.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        words = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
        raise RequestError(400, words, kind="Bad Request")
    body = request.body
    if body is None or isinstance(body, bytes):
        raise validation_error("json_invalid", "body", "JSON decode error")
    if not isinstance(body, dict):
        raise validation_error("model_attributes_type", "body", "Input should be a valid dictionary")
    asked = body.get("model")
    if asked and asked != model:
        raise RequestError(404, f"The model `{asked}` does not exist.", param="model")
    return body


def messages(value: object, where: str) -> Sequence[Mapping[str, Any]]:
    """A conversation's messages.

    Args:
        value: As sent.
        where: Its place in the body, for the error.

    Raises:
        RequestError: It is not a list of at least one message, each with a role.
    """
    if value is None:
        raise validation_error("missing", where, "Field required")
    if not isinstance(value, list) or not value:
        raise validation_error("list_type", where, "Input should be a list with at least one item")
    for place, message in enumerate(value):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise validation_error("missing", f"{where}.{place}.role", "Field required")
    return value


def conversations(request: RecordedRequest, body: Mapping[str, Any], *, batch: bool) -> list[Conversation]:
    """The conversations of a chat request, in order; their attempts are not counted yet.

    Raises:
        RequestError: A conversation is missing or malformed.
    """
    value = body.get("messages")
    if batch and isinstance(value, list) and value:
        lists = [messages(each, f"body.messages.{index}") for index, each in enumerate(value)]
    else:
        lists = [messages(value, "body.messages")]
        if batch:
            raise validation_error("list_type", "body.messages", "Input should be a list of conversations")
    return [
        Conversation(each, join_texts(each), body, request.path, index, digest(each), attempt=0)
        for index, each in enumerate(lists)
    ]


def positive(body: Mapping[str, Any], name: str) -> int | None:
    """A count in the request; None if it is not there.

    Raises:
        RequestError: It is there, and is no integer of at least 1.
    """
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise RequestError(400, f"{name} must be at least 1, got {value}.", param=name)
    return value


class Attempts:
    """How often each conversation was met. Safe in threads; forgets the oldest beyond a bound."""

    _KEPT = 200_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._met: dict[bytes, int] = {}

    def count(self, key: bytes) -> int:
        """Count a conversation; from 1."""
        with self._lock:
            met = self._met[key] = self._met.get(key, 0) + 1
            if len(self._met) > self._KEPT:
                del self._met[next(iter(self._met))]
            return met
