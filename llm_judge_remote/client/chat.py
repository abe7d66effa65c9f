"""The wire: what goes to `/v1/chat/completions`, and what comes back or why not."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from llm_judge_remote.errors import (
    AuthenticationError,
    InvalidReplyError,
    OverloadedError,
    PromptTooLongError,
    RequestRejectedError,
    StatusError,
    UnknownModelError,
)

__all__ = [
    "CHAT_PATH",
    "MODELS_PATH",
    "TOKENIZE_PATH",
    "ChatReply",
    "ChatRequest",
    "read_json",
    "read_reply",
    "status_error",
]

CHAT_PATH = "/v1/chat/completions"
MODELS_PATH = "/v1/models"
TOKENIZE_PATH = "/tokenize"

_QUOTED = 300  # characters of a server's own words in an error
_TOO_LONG = (
    "maximum context length",
    "maximum model length",
    "context_length_exceeded",
    "context length of",
    "too long",
)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to the judge.

    Attributes:
        messages: Chat messages, each with `role` and `content`.
        model: The model's name, or `auto` for the one that the server serves.
        temperature: Sampling temperature.
        top_p: Nucleus sampling.
        max_tokens: Most tokens of the reply.
        enable_thinking: Passed to the model's chat template.
        seed: Sampling seed, or None.
        grammar: Regular expression that the whole reply is held to, or None.
    """

    messages: tuple[Mapping[str, str], ...]
    model: str
    temperature: float
    top_p: float
    max_tokens: int
    enable_thinking: bool
    seed: int | None = None
    grammar: str | None = None

    def body(self, model: str) -> bytes:
        """The request's JSON, with the model's name as the server knows it."""
        fields: dict[str, Any] = {
            "model": model,
            "messages": self.messages,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "chat_template_kwargs": {"enable_thinking": self.enable_thinking},
        }
        if self.seed is not None:
            fields["seed"] = self.seed
        if self.grammar is not None:
            fields["structured_outputs"] = {"regex": self.grammar}
        return orjson.dumps(fields)


@dataclass(frozen=True, slots=True)
class ChatReply:
    """One answer of the judge.

    Attributes:
        content: The answer; "" if the server sent none.
        reasoning: The thought, where the server takes it out of the answer; else "".
        finish_reason: `stop`, `length` (cut off by `max_tokens`), or what the server says.
        prompt_tokens: As counted by the server; 0 where it does not say.
        completion_tokens: The same for the reply.
        server: The address that answered.
        attempts: Requests sent until this reply came.
    """

    content: str
    reasoning: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    server: str
    attempts: int = 1

    def after(self, attempts: int) -> ChatReply:
        """The same reply, with the number of requests that it took."""
        return replace(self, attempts=attempts)


def read_json(body: bytes, server: str) -> dict[str, Any]:
    """A response's body as a JSON object.

    Raises:
        InvalidReplyError: It is something else.
    """
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, dict):
        msg = f"{server} answered 200 with no JSON object: {_excerpt(body)}"
        raise InvalidReplyError(msg, server=server)
    return payload


def read_reply(body: bytes, server: str) -> ChatReply:
    """The reply in a chat completion's body.

    Raises:
        InvalidReplyError: The body is no chat completion, or holds no choice.
    """
    payload = read_json(body, server)
    try:
        choice = payload["choices"][0]
        message = choice["message"]
        content, reasoning = message.get("content"), message.get("reasoning") or message.get("reasoning_content")
    except (KeyError, IndexError, TypeError, AttributeError):
        msg = f"{server} answered 200 with no chat completion: {_excerpt(body)}"
        raise InvalidReplyError(msg, server=server) from None
    usage = payload.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return ChatReply(
        content=content if isinstance(content, str) else "",
        reasoning=reasoning if isinstance(reasoning, str) else "",
        finish_reason=str(choice.get("finish_reason") or ""),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        server=server,
    )


def status_error(status: int, headers: Mapping[str, str], body: bytes, server: str) -> StatusError:
    """The error for an answer with a status other than 200, in the server's own words."""
    words = _own_words(body)
    kind: type[StatusError] = StatusError
    hint = ""
    if status in (429, 503):
        kind = OverloadedError
    elif status in (401, 403):
        kind, hint = AuthenticationError, " (set api_key or LLM_JUDGE_SERVER_API_KEY)"
    elif status == 404:
        kind, hint = UnknownModelError, " (set model_name, or `auto` for the one that is served)"
    elif status in (400, 413, 422) and any(mark in words.lower() for mark in _TOO_LONG):
        kind = PromptTooLongError
    elif 400 <= status < 500 and status != 408:
        kind = RequestRejectedError
    elif 300 <= status < 400:
        kind, hint = (
            RequestRejectedError,
            f" (redirects to {headers.get('location')}; set server_url to the final address)",
        )
    msg = f"{server} answered {status}: {words or 'nothing'}{hint}"
    return kind(msg, status=status, server=server, retry_after=_retry_after(headers.get("retry-after")))


def _own_words(body: bytes) -> str:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _excerpt(body)
    for name in ("error", "message", "detail"):  # vLLM nests one in the other, or not, by release
        if isinstance(payload, dict) and payload.get(name):
            payload = payload[name]
    return payload[:_QUOTED] if isinstance(payload, str) else _excerpt(body)


def _excerpt(body: bytes) -> str:
    text = body[:_QUOTED].decode("utf-8", "replace").strip()
    return f"{text!r}" if text else "an empty body"


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from either form of the header (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(seconds, 0.0) if seconds == seconds else None  # noqa: PLR0124 (NaN is not itself)
