"""Which texts a candidate is compared with."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["containing_last_word"]

_WORD = re.compile(r"\w+")


def containing_last_word(references: Sequence[str], prompt: str) -> tuple[str, ...]:
    """The references that hold the last word of the prompt; all of them if none does.

    Compared case-folded and as a whole token: "art" is not in "party". A prompt without a word keeps all.
    """
    last = None
    for last in _WORD.finditer(prompt):  # noqa: B007 (the last one is what is wanted)
        pass
    if last is None:
        return tuple(references)
    word = last.group().casefold()
    kept = tuple(text for text in references if word in _WORD.findall(text.casefold()))
    return kept or tuple(references)
