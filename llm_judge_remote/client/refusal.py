"""An answer that is no reply: which of our errors it is, in the server's own words."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping

import orjson

from llm_judge_remote.client.echo import without_echo
from llm_judge_remote.client.replies import QUOTED, excerpt
from llm_judge_remote.errors import (
    AuthenticationError,
    OverloadedError,
    PromptTooLongError,
    RequestRejectedError,
    StatusError,
    UnknownModelError,
)

__all__ = ["status_error"]

_TOO_LONG = (
    "maximum context length",
    "maximum model length",
    "context_length_exceeded",
    "context length of",
    "too long",
)


def status_error(status: int, headers: Mapping[str, str], body: bytes, server: str, sent: bytes = b"") -> StatusError:
    """The error for an answer with a status other than 200, in the server's own words.

    Args:
        status: Of HTTP.
        headers: With small letters.
        body: The answer's.
        server: Its address.
        sent: The request's body, whose texts are left out of those words.
    """
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
    if kind is not OverloadedError:  # of which many may come, and which are not about a request
        words = without_echo(words, sent)
    msg = f"{server} answered {status}: {words or 'nothing'}{hint}"
    return kind(msg, status=status, server=server, retry_after=_retry_after(headers.get("retry-after")))


def _own_words(body: bytes) -> str:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return excerpt(body)
    for name in ("error", "message", "detail"):  # vLLM nests one in the other, or not, by release
        if isinstance(payload, dict) and payload.get(name):
            payload = payload[name]
    return payload[:QUOTED] if isinstance(payload, str) else excerpt(body)


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
