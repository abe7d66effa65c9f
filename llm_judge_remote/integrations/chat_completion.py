"""Replies in the shape of OpenAI's `ChatCompletion`, without the `openai` package."""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from llm_judge_remote.client.chat import ChatReply

__all__ = ["ChatCompletion", "Choice", "CompletionMessage", "Usage"]


@dataclass(frozen=True, slots=True)
class CompletionMessage:
    """What the judge said.

    Attributes:
        content: Its text.
        reasoning_content: Its thought, where the server takes it out of the text; else None.
        role: Always `assistant`.
        refusal: Always None.
        tool_calls: Always None.
    """

    content: str
    reasoning_content: str | None = None
    role: str = "assistant"
    refusal: None = None
    tool_calls: None = None

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """As a dict, for who builds the next turn of it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the replies.

    Attributes:
        index: Which, from 0.
        message: What was said.
        finish_reason: `stop`, `length` (cut off), or what the server says.
        logprobs: Always None.
    """

    index: int
    message: CompletionMessage
    finish_reason: str
    logprobs: None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the server counted them; 0 where it does not say."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class ChatCompletion:
    """The answer to one `create`.

    Attributes:
        choices: The replies, `n` of them; a server that gives fewer gives fewer.
        model: The model that was asked for.
        usage: Tokens of all replies together.
        server: The address that answered.
        attempts: Requests that were sent for it; 0 if an equal one was under way already.
        id: Made up here.
        created: Unix time, seconds.
        object: Always `chat.completion`.
    """

    choices: tuple[Choice, ...]
    model: str
    usage: Usage
    server: str = ""
    attempts: int = 1
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex[:29]}")
    created: int = field(default_factory=lambda: int(time.time()))
    object: str = "chat.completion"

    @classmethod
    def of(cls, reply: ChatReply, model: str) -> ChatCompletion:
        """The completion that a reply is."""
        usage = Usage(reply.prompt_tokens, reply.completion_tokens, reply.prompt_tokens + reply.completion_tokens)
        choices = tuple(
            Choice(index, CompletionMessage(each.content, each.reasoning or None), each.finish_reason)
            for index, each in enumerate((reply, *reply.others))
        )
        return cls(choices, model, usage, reply.server, reply.passage.attempts)

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """As nested dicts and lists."""
        return {**asdict(self), "choices": [asdict(choice) for choice in self.choices]}
