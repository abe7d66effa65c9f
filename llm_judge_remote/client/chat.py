"""The wire: what goes to `/v1/chat/completions` and its batch endpoint, and what comes of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from llm_judge_remote.client.constraint import DIALECTS, Grammar
from llm_judge_remote.scoring.expected import Token

__all__ = [
    "BATCH_PATH",
    "CHAT_PATH",
    "HEALTH_PATH",
    "MODELS_PATH",
    "TOKENIZE_PATH",
    "ChatReply",
    "ChatRequest",
    "Passage",
]

CHAT_PATH = "/v1/chat/completions"
BATCH_PATH = "/v1/chat/completions/batch"
HEALTH_PATH = "/health"
MODELS_PATH = "/v1/models"
TOKENIZE_PATH = "/tokenize"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to the judge.

    Attributes:
        messages: Chat messages, each with `role` and `content`.
        model: The model's name, or `auto` for the one that the server serves.
        temperature: Sampling temperature.
        top_p: Nucleus sampling.
        max_tokens: Most tokens of the reply.
        enable_thinking: Passed to the model's chat template.
        seed: Sampling seed, or None.
        grammar: What the reply is held to where the server can, or None.
        needs_grammar: Whether it is not to be asked without.
        top_logprobs: Alternatives to be told for each token of the reply; 0: no log-probabilities at all.
        draws: Replies wanted.
    """

    messages: tuple[Mapping[str, str], ...]
    model: str
    temperature: float
    top_p: float
    max_tokens: int
    enable_thinking: bool
    seed: int | None = None
    grammar: Grammar | None = None
    needs_grammar: bool = False
    top_logprobs: int = 0
    draws: int = 1

    @property
    def sampling(self) -> Hashable:
        """Equal for requests that may travel in one chunk: all but the messages."""
        return (
            self.model,
            self.temperature,
            self.top_p,
            self.max_tokens,
            self.enable_thinking,
            self.seed,
            self.grammar,
            self.needs_grammar,
            self.top_logprobs,
            self.draws,
        )

    @property
    def identity(self) -> Hashable:
        """Equal for requests that ask the same."""
        return self.sampling, *(tuple(message.values()) for message in self.messages)

    def body(self, model: str, dialect: str | None = None) -> bytes:
        """The request's JSON, for a server.

        Args:
            model: The model's name as the server knows it.
            dialect: How the server is told the grammar: one of `DIALECTS`, or None.
        """
        return orjson.dumps(self._fields(model, self.messages, dialect))

    def batch_body(self, others: Sequence[ChatRequest], model: str, dialect: str | None = None) -> bytes:
        """The JSON of a chunk: this request and others with the same `sampling`, for the batch endpoint."""
        return orjson.dumps(self._fields(model, [self.messages, *(other.messages for other in others)], dialect))

    def _fields(self, model: str, messages: Any, dialect: str | None) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "chat_template_kwargs": {"enable_thinking": self.enable_thinking},
        }
        if self.seed is not None:
            fields["seed"] = self.seed
        if self.draws > 1:
            fields["n"] = self.draws
        if self.top_logprobs:
            fields["logprobs"] = True
            fields["top_logprobs"] = self.top_logprobs
        if self.grammar is not None and dialect is not None:
            fields.update(DIALECTS[dialect](self.grammar))
        return fields


@dataclass(frozen=True, slots=True)
class Passage:
    """How a reply came about.

    Attributes:
        attempts: Requests sent for it; 0 when it was shared with an equal request, or cached.
        queued_s: Seconds until it was sent.
        service_s: Seconds from the request that brought it to the answer.
        chunk: Conversations in that request.
        hedged: Whether it was asked once more because it took so long.
        shared: Whether an equal request was under way already.
        cached: Whether it was known from before.
    """

    attempts: int = 1
    queued_s: float = 0.0
    service_s: float = 0.0
    chunk: int = 1
    hedged: bool = False
    shared: bool = False
    cached: bool = False


_PLAIN = Passage()


@dataclass(frozen=True, slots=True)
class ChatReply:
    """One answer of the judge.

    Attributes:
        content: The answer; "" if the server sent none.
        reasoning: The thought, where the server takes it out of the answer; else "".
        finish_reason: `stop`, `length` (cut off by `max_tokens`), or what the server says.
        prompt_tokens: As counted by the server; 0 where it does not say. In a chunk, for which the server counts them
            all together, the part that goes with the prompt's length.
        completion_tokens: The same for the reply.
        server: The address that answered.
        passage: How it came about.
        tokens: Those of `content`, where log-probabilities were asked for and came; else none.
        is_held: Whether the server held it to the request's grammar.
        others: Further draws, if more than one was wanted and came; their counts and `passage` say nothing.
    """

    content: str
    reasoning: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    server: str
    passage: Passage = _PLAIN
    tokens: tuple[Token, ...] = ()
    is_held: bool = False
    others: tuple[ChatReply, ...] = ()

    def after(self, passage: Passage) -> ChatReply:
        """The same reply, with how it came about."""
        return replace(self, passage=passage)
