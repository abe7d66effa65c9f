"""From what the judge says to what the engine would let through."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_judge_remote.testing.constraint import Grammar
from llm_judge_remote.testing.conversation import Conversation, Reply
from llm_judge_remote.testing.logprobs import END, Step, logprobs_json, path_steps, plain_steps, tokenize

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
    logprobs: Mapping[str, Any] | None = None


def generate(
    said: Reply | str,
    conversation: Conversation,
    *,
    budget: int,
    parse_reasoning: bool,
    grammar: Grammar | None = None,
    top_logprobs: int | None = None,
) -> Generated:
    """Apply thinking, the grammar and the token budget to what the judge said.

    Args:
        said: The judge's reply. Text alone gets a thought when the request asks for thinking.
        conversation: What it replies to.
        budget: Tokens that the reply may have; a word is a token here.
        parse_reasoning: Whether thoughts go in a field of their own; otherwise they stand in the content,
            between `<think>` and `</think>`, as on a server without a reasoning parser.
        grammar: What the content is held to.
        top_logprobs: Alternatives to show for each token; None for no log-probabilities.

    Raises:
        RequestError: Nothing that the grammar allows was found.
    """
    reply = Reply(said, THOUGHTS if conversation.thinking else None) if isinstance(said, str) else said
    content, reasoning, probabilities = reply.content, reply.reasoning, reply.probabilities
    if grammar is not None and content is not None:
        content, probabilities = grammar.hold(content, probabilities)
        probabilities = probabilities or {content: 1.0}
    thought = "" if reasoning is None else f"<think>\n{reasoning}\n</think>\n\n"
    steps = (
        []
        if top_logprobs is None
        else [*plain_steps(tokenize(thought)), *_steps(content or "", probabilities, grammar)]
    )
    if reasoning is not None and not parse_reasoning:
        content, reasoning, thought = f"{thought}{content or ''}", None, ""
    content, reasoning, used, cut = _spend(content, reasoning, budget)
    finish_reason = "length" if cut else reply.finish_reason
    if finish_reason == "length":  # nothing ended it
        thought = "<think>\n" + (reasoning or "") if thought and content is None else thought
        steps = _cut(steps, len(thought) + len(content or ""))
    hides = conversation.body.get("include_reasoning") is False
    return Generated(
        content,
        None if hides else reasoning,
        finish_reason,
        conversation.prompt_tokens if reply.prompt_tokens is None else reply.prompt_tokens,
        used if reply.completion_tokens is None else reply.completion_tokens,
        # vLLM with a reasoning parser does not tell the tokens of what it hides, nor of the rest.
        None if top_logprobs is None or (hides and parse_reasoning) else logprobs_json(steps, top_logprobs),
    )


def _steps(content: str, probabilities: Mapping[str, float] | None, grammar: Grammar | None) -> list[Step]:
    if probabilities is None:
        return plain_steps([*tokenize(content), END])
    return path_steps(content, probabilities, masked=grammar is not None)


def _cut(steps: Sequence[Step], length: int) -> list[Step]:
    """The steps of the first `length` characters; the last token may lose its end."""
    kept = []
    for step in steps:
        if length <= 0:
            break
        kept.append(step._replace(token=step.token[:length]))
        length -= len(step.token)
    return kept


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
