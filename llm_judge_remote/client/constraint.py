"""Holding a reply to a grammar: how engines want to be asked, and finding out which way a server understands."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["DIALECTS", "Fields", "Grammar", "find_dialect"]

Fields = Mapping[str, Any]


class Grammar(NamedTuple):
    """What a reply is held to.

    Attributes:
        reply: Regular expression of the whole reply.
        verdict: Regular expression of the verdict in it.
    """

    reply: str
    verdict: str


def _json_schema(grammar: Grammar) -> Fields:
    """The reply is then `{"REWARD": "<verdict>"}`, which the parsers read as the line `REWARD: <verdict>`."""
    schema = {
        "type": "object",
        "properties": {"REWARD": {"type": "string", "pattern": f"^({grammar.verdict})$"}},
        "required": ["REWARD"],
        "additionalProperties": False,
    }
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}}


DIALECTS: Mapping[str, Callable[[Grammar], Fields]] = {
    "structured_outputs": lambda grammar: {"structured_outputs": {"regex": grammar.reply}},
    "guided_regex": lambda grammar: {"guided_regex": grammar.reply},
    "regex": lambda grammar: {"regex": grammar.reply},
    "response_format": _json_schema,
}
"""Fields of a request by name: vLLM's since 0.11, older vLLM's, SGLang's, OpenAI's."""


def find_dialect(ask: Callable[[Fields], str]) -> str | None:
    """The first of `DIALECTS` that a server obeys, or None.

    It is made to say something that it would never say by itself, so one that ignores the field is seen through.

    Args:
        ask: Sends a short request with these fields; what the server said, or "" if it refuses them.
    """
    word = f"probe-{secrets.token_hex(3)}"
    grammar = Grammar(word, word)
    return next((name for name, fields in DIALECTS.items() if word in ask(fields(grammar))), None)
