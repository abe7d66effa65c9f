"""What is asked and what is replied."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Conversation", "Reply", "count_tokens", "digest", "join_texts", "message_text", "unit_interval"]


def count_tokens(text: str) -> int:
    """Tokens of a text by this server's rule: a token is four bytes of UTF-8, rounded up.

    About what tokenizers make of English; `/tokenize`, `usage` and the context limit all count this way.
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def unit_interval(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts and nothing else, evenly spread over different parts."""
    digest = hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass(frozen=True, slots=True)
class Reply:
    """What the judge says to one conversation.

    Attributes:
        content: The reply's text; None is sent as `null`. With `probabilities` it may be left out.
        reasoning: The thinking, sent in the field that the server's `reasoning_field` names.
        finish_reason: As sent; `length` takes its place when `max_tokens` cuts the reply.
        prompt_tokens: For `usage`; None counts the conversation by `count_tokens`.
        completion_tokens: For `usage`; None counts the words of reasoning and content.
        probabilities: What the judge could have said, with the probability of each text, as the request's `logprobs`
            show it: `{"Yes": 0.7, "No": 0.2}`. What is missing to 1 is something else. `content` is one of the texts,
            the most probable one if it is left out.

    Raises:
        ValueError: The probabilities are none, or the content is not among the texts.
    """

    content: str | None = ""
    reasoning: str | None = None
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    probabilities: Mapping[str, float] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        """Choose the content."""
        shares = self.probabilities
        if shares is None:
            return
        # A sum of floats may lie above 1 by what rounding leaves.
        if not shares or not all(share >= 0.0 for share in shares.values()) or not sum(shares.values()) <= 1.0 + 1e-6:
            msg = f"probabilities={shares!r}: one or more, not below 0, and together not above 1"
            raise ValueError(msg)
        if not self.content:
            object.__setattr__(self, "content", max(shares, key=lambda text: shares[text]))
        elif self.content not in shares:
            msg = f"content={self.content!r} is none of the texts that have a probability"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation that a client wants a reply to: a whole request, or one of a batch's.

    Attributes:
        messages: As sent.
        text: The texts of all messages, joined by blank lines.
        body: The whole request, for the sampling settings in it.
        path: The endpoint it came by.
        index: Its place in the batch; 0 for a single request.
        key: Digest of roles and texts: equal for equal conversations, whatever they travelled with.
        attempt: How often the server has met this conversation, this time included; from 1.
        draw: Which of the `n` replies that the request wants this one is; from 0.
        held: Whether the reply will be held to a grammar, which leaves a judge no room for other words.
    """

    messages: Sequence[Mapping[str, Any]]
    text: str
    body: Mapping[str, Any] = field(repr=False)
    path: str
    index: int
    key: bytes
    attempt: int
    draw: int = 0
    held: bool = False

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the conversation, by `count_tokens`."""
        return count_tokens(self.text)

    @property
    def thinking(self) -> bool:
        """Whether the request asks for thinking, by `chat_template_kwargs.enable_thinking`."""
        kwargs = self.body.get("chat_template_kwargs")
        return isinstance(kwargs, Mapping) and kwargs.get("enable_thinking") is True


def message_text(message: Mapping[str, Any]) -> str:
    """The text of one message, whose content is a string, a list of parts, or null."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def join_texts(messages: Sequence[Mapping[str, Any]]) -> str:
    """The texts of a conversation, joined by blank lines."""
    return "\n\n".join(message_text(message) for message in messages)


def digest(messages: Sequence[Mapping[str, Any]]) -> bytes:
    """What tells conversations apart: roles and texts."""
    state = hashlib.blake2b(digest_size=16)
    for message in messages:
        state.update(f"\x00{message.get('role')}\x00{message_text(message)}".encode("utf-8", "surrogatepass"))
    return state.digest()
