"""Sentences that mention an answer without giving it, and texts that go on behind the one they give."""

from __future__ import annotations

import re

__all__ = ["goes_on", "is_doubted"]


def is_doubted(text: str, place: int) -> bool:
    """Whether the sentence denies, supposes or checks what it says from that place on: "suppose the answer is 7".

    Only the part of the sentence before the place counts, and of that the last 200 characters.
    """
    start = max(place - _WINDOW, 0)
    for end in _SENTENCE_END.finditer(text, start, place):
        start = end.end()
    if _DOUBT_FORM.search(text, start, place):
        return True
    words = _WORDS.findall(text[start:place].lower())
    return any(_DOUBT_BEFORE.fullmatch(word) for word in words)


def goes_on(text: str, place: int, answer: str) -> bool:
    """Whether a text doubts, from that place on, an answer it gave, or names another number or choice.

    Equal numbers in two spellings (1,000 and 1000.0) are one. An answer without digits is not set against numbers.
    """
    if _DOUBT_BEHIND.search(text, place):
        return True
    named = _NUMBER if _DIGIT.search(answer) else _CHOICE if _CHOICE.match(answer) else None
    if named is None:
        return False
    known = {_spelling(match) for match in named.finditer(answer)}
    return any(_spelling(match) not in known for match in named.finditer(text, place))


def _spelling(match: re.Match[str]) -> str:
    text = match.group().replace(",", "").strip("()")
    whole, point, places = text.partition(".")
    return (whole.lstrip("0") + point + places.rstrip("0")).rstrip(".") or "0"


_WINDOW = 200  # characters

_SENTENCE_END = re.compile(r"[!?\n。]|\.(?=\s)")
_DOUBT_BEFORE = re.compile(
    r"(?:not?|never|cannot|if|unless|whether|false|naive|students?|parts?|common|typical|maybe|perhaps|possibl[ye]|might"
    r"|may|could|would|partial|told|thought|(?:re)?check(?:s|ing)?"
    r"|(?:doubt|suppos|assum|imagin|verif|wrong|incorrect|mistak|seem|appear|guess|hypothes|initial|intermediate|claim)"
    r"[a-z]*)"
)
_WORDS = re.compile(r"[a-z]+")
_DOUBT_FORM = re.compile(r"n['’]t\b|['’]s?[ \t]+(?:\w+[ \t]+)?\Z|\bIs\b|\bis[ \t]+it\b")  # "his student's answer is"
_DOUBT_BEHIND = re.compile(
    r"\b(?:wait|but|however|although|(?:double|re)?-?check\w*|verif\w+|actually|hmm+|instead|rather|wrong\w*"
    r"|incorrect\w*|mistake\w*|not?|cannot|contradict\w*|impossible|unless|second part|part (?:two|b|ii))\b|n['’]t\b",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"[0-9]")
_NUMBER = re.compile(r"[0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?|\.[0-9]+")
_CHOICE = re.compile(r"\([A-Ja-j]\)|(?<![\w'’])[A-HJ](?![\w'’])")
