"""The part of a reply that a verdict is read from, in the few signs that the expressions know."""

from __future__ import annotations

from typing import NamedTuple

from llm_judge_remote.scoring.thinking import strip_thinking

__all__ = ["Answer", "answer_of"]

# Full-width forms, the minus sign and the no-break space. Not NFKC, which makes 0.82 of 0.8² (a footnote), and which
# like any change of length would lose the place in the reply.
_TWINS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x2212: ord("-"), 0xA0: ord(" ")}


class Answer(NamedTuple):
    """What a reply says after its thinking.

    Attributes:
        text: With ASCII for its full-width twins and a line feed for every line end. As long as what it stands for.
        offset: Where it begins in the reply: character i of the text is character `offset + i` of the reply.
    """

    text: str
    offset: int


def answer_of(reply: str, *, opened: bool) -> Answer | None:
    """The answer in a reply; None if its thought is unfinished.

    Args:
        reply: The judge's text.
        opened: Whether it may have begun inside a thought and been cut off there: see `strip_thinking`.
    """
    text = strip_thinking(reply, opened=opened)
    if text is None:
        return None
    offset = len(reply) - len(text)
    if not text.isascii():
        text = text.translate(_TWINS)
    return Answer(text.replace("\r\n", " \n").replace("\r", "\n"), offset)
