"""What a reply says once its thinking is taken away."""

from __future__ import annotations

import re

__all__ = ["strip_thinking"]

# No space behind "<": a tag that was broken so, to show a candidate to the judge, is no tag when the judge quotes it.
_THOUGHT_TAG = re.compile(
    r"</?(?:thinking|think|thoughts?|reasoning)(?:\s[^<>]{0,200})?/?>|\[/?THINK\]|◁/?think▷", re.IGNORECASE
)


def strip_thinking(text: str, *, opened: bool = False) -> str | None:
    """What a reply says after its thinking.

    Thoughts stand between `<think>` and `</think>` (also `thinking`, `thought`, `reasoning`, in any case and with
    attributes; `[THINK]`, as Mistral's models write it; `◁think▷`, as Kimi's do). What counts is the text behind the
    last closing tag; one without an opening tag closes a thought that was opened in the prompt.

    Args:
        text: The reply.
        opened: Whether the reply may have begun inside a thought and been cut off there: without a closing tag it
            is then a thought to its end.

    Returns:
        The text, or None if the thought is unfinished. That holds even if something stands before a thought that was
        opened and not closed: the judge had not finished.
    """
    start, inside = 0, opened
    if "<" not in text and "[" not in text and "◁" not in text:
        return None if opened else text
    for tag in _THOUGHT_TAG.finditer(text):
        if tag.group().endswith("/>"):
            continue
        inside = "/" not in tag.group()[:2]
        if not inside:
            start = tag.end()
    return None if inside else text[start:]
