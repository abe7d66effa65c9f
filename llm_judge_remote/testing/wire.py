"""Answers, and vLLM's words for what is wrong with a request; from the sources of vLLM 0.32."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar

import orjson

from llm_judge_remote.testing.faults import Fault

__all__ = ["Answer", "RequestError", "context_error", "json_answer", "phrase", "to_json", "validation_error"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, and what is to go wrong while it is sent."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None


class RequestError(Exception):
    """A request that is answered with an error, in vLLM's shape."""

    _TYPES: ClassVar = {
        400: "BadRequestError",
        404: "NotFoundError",
        500: "InternalServerError",
        503: "ServiceUnavailableError",
    }

    def __init__(self, status: int, message: str, *, kind: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind or self._TYPES.get(status) or phrase(status)
        self.param = param

    def answer(self, headers: Mapping[str, str] | None = None) -> Answer:
        """What is sent."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.status}
        return Answer(self.status, to_json({"error": error}), headers=headers or {})


def phrase(status: int) -> str:
    """The words that go with an HTTP status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def to_json(value: object) -> bytes:
    """JSON; lone surrogates, which a scripted reply may hold, as escapes."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode("ascii")


def json_answer(value: object) -> Answer:
    """200 with JSON."""
    return Answer(200, to_json(value))


def validation_error(kind: str, param: str, words: str) -> RequestError:
    """A request body of the wrong shape, as pydantic and FastAPI make vLLM say it."""
    message = f"1 validation error:\n  {{'type': '{kind}', 'loc': '{param}', 'msg': '{words}'}}"
    return RequestError(400, message, kind="Bad Request", param=param)


def context_error(limit: int, wanted: int | None) -> RequestError:
    """A prompt that does not fit.

    Args:
        limit: Tokens the model takes.
        wanted: Output tokens that must fit as well; None if none must.
    """
    head = f"This model's maximum context length is {limit} tokens. However, "
    room = limit - (wanted or 0)
    if room < 0:
        words = (
            f"max_tokens={wanted} cannot be greater than max_model_len={limit}. Please request fewer output "
            f"tokens. (parameter=max_tokens, value={wanted})"
        )
        return RequestError(400, words, param="max_tokens")
    value = room + 1  # vLLM stops counting one token past what fits: that is what its "at least" says
    if wanted is None:
        words = (
            f"your prompt contains at least {value} input tokens, which exceeds this limit even without any "
            "output tokens. Please reduce the length of the input prompt."
        )
    else:
        words = (
            f"you requested {wanted} output tokens and your prompt contains at least {value} input tokens, "
            f"for a total of at least {value + wanted} tokens. Please reduce the length of the input prompt "
            "or the number of requested output tokens."
        )
    return RequestError(400, f"{head}{words} (parameter=input_tokens, value={value})", param="input_tokens")
