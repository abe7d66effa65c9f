"""A server's own words without rows, replies and keys: errors quote them, and end in logs and tables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import orjson

__all__ = ["TEXTS_VARIABLE", "without_echo", "without_key", "without_reply"]

TEXTS_VARIABLE = "LLM_JUDGE_LOG_TEXTS"
"""Environment variable that, set to 1, leaves rows' texts in errors, to look for a fault in them; never the key."""

_SHORTEST = 16  # characters: shorter repetitions may be chance, and tell little
_STEP = 4  # between the places where one is looked for: those of _SHORTEST + _STEP - 1 are always found
_SHORTEST_KEY = 8
_CUT = "[...]"
_REPLY = re.compile(r"""("(?:content|reasoning|reasoning_content|text)"\s*:\s*")(?:[^"\\]|\\.)+""")


def without_key(answer: bytes, key: str | None) -> bytes:
    """An answer's body with `***` for the key that was sent, if one was."""
    return answer.replace(key.encode(), b"***") if key and len(key) >= _SHORTEST_KEY else answer


def without_echo(said: str, sent: bytes) -> str:
    """What a server says of a request that it did not take, with `[...]` for what it repeats of the conversations.

    Args:
        said: A few hundred characters: each is looked for in what was sent.
        sent: The request's body.
    """
    if not sent or _are_wanted():
        return said
    known = "\0".join(dict.fromkeys(_forms(sent)))
    parts: list[str] = []
    kept = place = 0
    while place + _SHORTEST <= len(said):
        at = known.find(said[place : place + _SHORTEST])
        if at < 0:
            place += _STEP
            continue
        before = _alike(said[kept:place][::-1], known[max(at - place + kept, 0) : at][::-1])
        after = _alike(said[place:], known[at : at + len(said) - place])
        parts += [said[kept : place - before], _CUT]
        kept = place = place + after
    return "".join([*parts, said[kept:]])


def without_reply(quoted: str) -> str:
    """The beginning of an answer's JSON, with `[...]` for what the judge wrote."""
    return quoted if _are_wanted() else _REPLY.sub(rf"\1{_CUT}", quoted)


def _are_wanted() -> bool:
    return os.environ.get(TEXTS_VARIABLE, "").lower() in ("1", "true", "yes", "on")


def _alike(one: str, other: str) -> int:
    """How many characters two texts have alike before they part."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _forms(sent: bytes) -> Iterator[str]:
    """The texts of a request's conversations, as answers may spell them: plain, as JSON, as Python, or that in JSON."""
    try:
        body = orjson.loads(sent)
    except orjson.JSONDecodeError:
        return
    for text in _texts(body.get("messages", body.get("prompt")) if isinstance(body, dict) else None):
        yield text
        python = repr(text)[1:-1]
        yield python
        for each in (text, python):
            yield json.dumps(each, ensure_ascii=False)[1:-1]
            yield json.dumps(each)[1:-1]


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        for each in part:
            yield from _texts(each)
    elif isinstance(part, dict):
        yield from _texts(part.get("content", part.get("text")))
