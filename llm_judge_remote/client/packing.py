"""Replies as text, to be stored: what the judge said and what it cost, not how it came here."""

from __future__ import annotations

from typing import Any

import orjson

from llm_judge_remote.client.chat import ChatReply
from llm_judge_remote.scoring.expected import Token

__all__ = ["packed", "unpacked"]

_STORED = ("content", "reasoning", "finish_reason", "prompt_tokens", "completion_tokens", "server", "is_held")


def packed(reply: ChatReply) -> str:
    """A reply as JSON, without its `passage`.

    Raises:
        TypeError: It holds what JSON does not know: a lone surrogate, or a count beyond 64 bits.
    """
    return orjson.dumps(_fields(reply)).decode()


def unpacked(text: str) -> ChatReply:
    """The reply of which `packed` made this text.

    Raises:
        KeyError: A field is missing.
        ValueError: It is no JSON, or a token has another form.
        TypeError: It is something else.
    """
    return _reply(orjson.loads(text))


def _fields(reply: ChatReply) -> dict[str, Any]:
    return {
        **{name: getattr(reply, name) for name in _STORED},
        "tokens": [[token.text, token.logprob, list(map(list, token.alternatives))] for token in reply.tokens],
        "others": [_fields(other) for other in reply.others],
    }


def _reply(fields: dict[str, Any]) -> ChatReply:
    return ChatReply(
        **{name: fields[name] for name in _STORED},
        tokens=tuple(
            Token(text, logprob, tuple((other, number) for other, number in alternatives))
            for text, logprob, alternatives in fields["tokens"]
        ),
        others=tuple(_reply(other) for other in fields["others"]),
    )
