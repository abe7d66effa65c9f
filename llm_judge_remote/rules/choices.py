"""Answers that are a choice of a test, with its letter: `B`, `(B) 12`, `B) 12`, `B. 12`."""

from __future__ import annotations

import re

__all__ = ["choice", "looks_like_choice"]


def choice(text: str) -> tuple[str, str] | None:
    """The letter of a choice and what stands behind it, in the spelling of `canonical`.

    None if the text is no such thing, or not surely one choice only: "(A) or (B)", "(B) is wrong". The text behind the
    letter is "" for a letter alone.
    """
    if len(text) == 1:
        return (text, "") if _LETTER.fullmatch(text) else None
    match = _CHOICE.fullmatch(text)
    if match is None or _NOT_ONE.search(match["text"]):
        return None
    return match["parens"] or match["bare"], match["text"]


def looks_like_choice(text: str) -> bool:
    """Whether a text may be a choice, surely or not: then it is no formula, `(B)12` no product."""
    return _LOOK.match(text) is not None


_LETTER = re.compile(r"[A-Za-z]")
# A sign behind the letter may be that of a formula: (B)-3, (f)(x).
_CHOICE = re.compile(
    r"(?:\((?P<parens>[A-Ja-j])\)|(?P<bare>[A-Ja-j])[).](?![).]))(?P<text>(?:[0-9A-Za-z$\\.](?s:.)*)?)"
)
_NOT_ONE = re.compile(
    r"[(\[]?(?<![0-9A-Za-z])(?:[A-J](?![0-9A-Za-z])|[a-j][).])|\?"
    r"|\b(?:and|or|nor|not?|but|if|is|are|isn't|was|wrong|incorrect|false|either|neither|maybe|perhaps|wait)\b|n't",
    re.IGNORECASE,
)
_LOOK = re.compile(r"\([A-Za-z]\)|[A-Za-z][).]|[A-Za-z]\Z")
