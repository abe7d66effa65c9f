"""From what the judge says to what the engine would let through."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_judge_remote.testing.conversation import Conversation, Reply
from llm_judge_remote.testing.wire import RequestError

__all__ = ["Generated", "generate"]

THOUGHTS = "The candidate is compared with the reference, word by word."
"""What a judge that gives text alone is said to have thought, when the request asks for thinking."""

_WORD = re.compile(r"\s*\S+")


@dataclass(frozen=True, slots=True)
class Generated:
    """One choice of an answer, before it is put into JSON."""

    content: str | None
    reasoning: str | None
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


def generate(
    said: Reply | str, conversation: Conversation, *, budget: int, parse_reasoning: bool, structured: bool
) -> Generated:
    """Apply thinking, structured output and the token budget to what the judge said.

    Args:
        said: The judge's reply. Text alone gets a thought when the request asks for thinking.
        conversation: What it replies to.
        budget: Tokens that the reply may have; a word is a token here.
        parse_reasoning: Whether thoughts go in a field of their own; otherwise they stand in the content,
            between `<think>` and `</think>`, as on a server without a reasoning parser.
        structured: Whether `structured_outputs` is honoured.

    Raises:
        RequestError: The reply holds nothing that `structured_outputs` allows.
    """
    reply = Reply(said, THOUGHTS if conversation.thinking else None) if isinstance(said, str) else said
    content, reasoning = reply.content, reply.reasoning
    if structured and content is not None:
        content = _constrain(content, conversation.body.get("structured_outputs"))
    if reasoning is not None and not parse_reasoning:
        content, reasoning = f"<think>\n{reasoning}\n</think>\n\n{content or ''}", None
    content, reasoning, used, cut = _spend(content, reasoning, budget)
    if conversation.body.get("include_reasoning") is False:
        reasoning = None
    return Generated(
        content,
        reasoning,
        "length" if cut else reply.finish_reason,
        conversation.prompt_tokens if reply.prompt_tokens is None else reply.prompt_tokens,
        used if reply.completion_tokens is None else reply.completion_tokens,
    )


def _spend(content: str | None, reasoning: str | None, budget: int) -> tuple[str | None, str | None, int, bool]:
    """Content and reasoning within a budget of words, the words used, and whether something was cut off."""
    thoughts = _WORD.findall(reasoning or "")
    words = _WORD.findall(content or "")
    total = len(thoughts) + len(words)
    if total <= budget:
        return content, reasoning, total, False
    if len(thoughts) >= budget:  # it never came to an answer: vLLM sends null
        return None, "".join(thoughts[:budget]), budget, True
    return "".join(words[: budget - len(thoughts)]), reasoning, budget, True


def _constrain(text: str, wanted: object) -> str:
    """The reply itself if `structured_outputs` allows it, else the last part of it that is allowed.

    `regex` and `choice` are honoured, other forms ignored.
    """
    if not isinstance(wanted, dict):
        return text
    if isinstance(choices := wanted.get("choice"), list):
        pattern = "|".join(re.escape(str(choice)) for choice in sorted(choices, key=lambda c: -len(str(c))))
    elif isinstance(wanted.get("regex"), str):
        pattern = wanted["regex"]
    else:
        return text
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise RequestError(400, f"Invalid structured_outputs regex: {error}", param="structured_outputs") from None
    if regex.fullmatch(text):
        return text
    for match in reversed(list(regex.finditer(text))):
        if match.group():
            return match.group()
    msg = f"structured_outputs: the scripted reply {text[:100]!r} holds nothing that matches {pattern[:200]!r}"
    raise RequestError(400, msg, param="structured_outputs")
