"""Where replies come from: similarity, a script, or a function of yours."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator

from rapidfuzz.distance import Indel

from llm_judge_remote.testing.conversation import Conversation, Reply, message_text, unit_interval

__all__ = ["JudgeFunction", "ScriptRanOutError", "as_judge", "lexical_judge"]

JudgeFunction = Callable[[Conversation], "Reply | str"]

_CANDIDATE = re.compile(r"<(candidate(?:_\w+)?)>\n?(.*?)\n?</\1>", re.DOTALL)
_REFERENCE = re.compile(r"<(reference(?:_\w+)?)>\n?(.*?)\n?</\1>", re.DOTALL)


class ScriptRanOutError(Exception):
    """More replies were asked for than the script holds."""


def lexical_judge(conversation: Conversation) -> str:
    """Scores the candidate by its likeness to the reference; deterministic, and not an LLM.

    The texts are looked for in the last user message, between `<reference>` and `</reference>` and between
    `<candidate_CODE>` and `</candidate_CODE>` (the last such pair; the reference stands before it). The score
    is the Indel similarity of their case-folded words (rapidfuzz), in [0, 1]: 1.00 for equal texts. A prompt
    without both gets a score that is made from its hash.

    Returns:
        `REWARD: ` and the score with two digits.
    """
    text = next(
        (message_text(m) for m in reversed(conversation.messages) if m.get("role") == "user"),
        conversation.text,
    )
    score = unit_interval("lexical", text)
    candidates = list(_CANDIDATE.finditer(text))
    if candidates:
        reference = _REFERENCE.search(text, 0, candidates[-1].start())
        if reference:
            score = Indel.normalized_similarity(_words(reference.group(2)), _words(candidates[-1].group(2)))
    return f"REWARD: {score:.2f}"


def _words(text: str) -> list[str]:
    return text.casefold().split()


def as_judge(value: JudgeFunction | Iterable[Reply | str] | Reply | str | None) -> JudgeFunction:
    """A judge from what `JudgeServer(judge=...)` takes; see there."""
    if value is None:
        return lexical_judge
    if isinstance(value, (str, Reply)):
        constant = value
        return lambda _: constant
    if callable(value):
        return value
    return _Script(value)


class _Script:
    """Replies one after the other, in the order in which conversations arrive."""

    def __init__(self, replies: Iterable[Reply | str]) -> None:
        self._replies: Iterator[Reply | str] = iter(replies)
        self._given = 0
        self._lock = threading.Lock()

    def __call__(self, _: Conversation) -> Reply | str:
        with self._lock:
            for reply in self._replies:
                self._given += 1
                return reply
        msg = f"script ran out after {self._given} replies"
        raise ScriptRanOutError(msg)
