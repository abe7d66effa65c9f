"""Row texts made fit to be shown: they are whatever a model or a stranger wrote."""

from __future__ import annotations

import re
from typing import Any

from llm_judge_remote.sample import as_text

__all__ = ["bounded", "one_line", "readable"]

_LONGEST_LINE = 120
# Controls, lone surrogates, and what changes the direction of the text around it. Line ends and tabs stay.
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def readable(value: Any) -> str:
    """A value as text in which nothing hides: what has no shape of its own is written as `⟨U+202E⟩`."""
    text = as_text(value).replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def bounded(value: Any, most: int) -> str:
    """`readable`, with the middle left out where it is longer than `most` characters: three quarters are the start's.

    What was left out is said in its place, so that nobody takes the rest for the whole.
    """
    text = as_text(value)
    if len(text) > most:
        start = max(most * 3 // 4, 1)
        end = max(most - start, 1)
        left_out = len(text) - start - end
        return f"{readable(text[:start])}\n[… {left_out:,} characters left out …]\n{readable(text[-end:])}"
    return readable(text)


def one_line(value: Any, most: int = _LONGEST_LINE) -> str:
    """The beginning of a text, on one line of at most `most` characters."""
    text = as_text(value)
    line = " ".join(readable(text[: 4 * most]).split())
    return line if len(line) <= most and len(text) <= 4 * most else line[: most - 1] + "…"
