"""The bytes that the stub server answers with, put together from parts made once."""

from __future__ import annotations

from collections.abc import Sequence

from service import expected_score

__all__ = ["CHAT_LENGTH", "batch", "chat", "head", "plain"]

_TEXT = (
    b"The candidate reaches the same final value as the reference solution and the intermediate steps follow the given "
    b"reasoning; one algebraic simplification is left implicit and the notation differs slightly, so the match is "
    b"strong but not perfect.\\n\\n"
)
_BEFORE = (
    b'{"id":"chatcmpl-8c7d0b1f9b6a4f0e8d3c2b1a09f8e7d6","object":"chat.completion","created":1760000000,"model":"%s",'
    b'"choices":['
)
_CHOICE = (
    b'{"index":%d,"message":{"role":"assistant","content":"%s%s","refusal":null,"annotations":null,"audio":null,'
    b'"function_call":null,"tool_calls":[],"reasoning":null},"logprobs":null,"finish_reason":"stop",'
    b'"stop_reason":null,"token_ids":null}'
)
_AFTER = (
    b'],"service_tier":null,"system_fingerprint":null,"usage":{"prompt_tokens":%d,"total_tokens":%d,'
    b'"completion_tokens":%d,"prompt_tokens_details":null},"prompt_logprobs":null,"prompt_token_ids":null,'
    b'"kv_transfer_params":null}'
)
_REPLY_TOKENS = 60
_REASONS = {
    200: b"OK",
    404: b"Not Found",
    400: b"Bad Request",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}


def _verdict(number: int) -> bytes:
    hundredths = expected_score(number)
    return b"REWARD: %d.%02d" % (hundredths // 100, hundredths % 100)


def chat(model: bytes, number: int, prompt_tokens: int, *, has_verdict: bool = True) -> bytes:
    """A chat completion's body with the verdict on the sample `number`."""
    choice = _CHOICE % (0, _TEXT, _verdict(number) if has_verdict else b"")
    return _BEFORE % model + choice + _AFTER % (prompt_tokens, prompt_tokens + _REPLY_TOKENS, _REPLY_TOKENS)


def batch(model: bytes, numbers: Sequence[int], without_verdict: Sequence[bool], prompt_tokens: int) -> bytes:
    """The batch endpoint's body with the verdicts on several samples, in their order."""
    choices = b",".join(
        _CHOICE % (index, _TEXT, b"" if missing else _verdict(number))
        for index, (number, missing) in enumerate(zip(numbers, without_verdict, strict=True))
    )
    replies = _REPLY_TOKENS * len(numbers)
    return _BEFORE % model + choices + _AFTER % (prompt_tokens, prompt_tokens + replies, replies)


def head(status: int, length: int, extra: bytes = b"") -> bytes:
    """The head of an answer whose JSON body has `length` bytes."""
    return b"HTTP/1.1 %d %s\r\nserver: uvicorn\r\ncontent-length: %d\r\ncontent-type: application/json\r\n%s\r\n" % (
        status,
        _REASONS[status],
        length,
        extra,
    )


def plain(status: int, body: bytes, extra: bytes = b"") -> bytes:
    """A whole answer."""
    return head(status, len(body), extra) + body


CHAT_LENGTH = len(chat(b"Qwen/Qwen3-32B", 0, 500))
"""Bytes of a chat completion's body, nearly."""
