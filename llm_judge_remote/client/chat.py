"""The wire: what goes to `/v1/chat/completions` and its batch endpoint, and what comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from llm_judge_remote.errors import InvalidReplyError, ServerError

__all__ = [
    "BATCH_PATH",
    "CHAT_PATH",
    "MODELS_PATH",
    "QUOTED",
    "TOKENIZE_PATH",
    "ChatReply",
    "ChatRequest",
    "Passage",
    "excerpt",
    "read_batch",
    "read_json",
    "read_reply",
]

CHAT_PATH = "/v1/chat/completions"
BATCH_PATH = "/v1/chat/completions/batch"
MODELS_PATH = "/v1/models"
TOKENIZE_PATH = "/tokenize"

QUOTED = 300  # characters of a server's own words in an error


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
        grammar: Regular expression that the whole reply is held to, or None.
    """

    messages: tuple[Mapping[str, str], ...]
    model: str
    temperature: float
    top_p: float
    max_tokens: int
    enable_thinking: bool
    seed: int | None = None
    grammar: str | None = None

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
        )

    @property
    def identity(self) -> Hashable:
        """Equal for requests that ask the same."""
        return self.sampling, *(tuple(message.values()) for message in self.messages)

    def body(self, model: str) -> bytes:
        """The request's JSON, with the model's name as the server knows it."""
        return orjson.dumps(self._fields(model, self.messages))

    def batch_body(self, others: Sequence[ChatRequest], model: str) -> bytes:
        """The JSON of a chunk: this request and others with the same `sampling`, for the batch endpoint."""
        return orjson.dumps(self._fields(model, [self.messages, *(other.messages for other in others)]))

    def _fields(self, model: str, messages: Any) -> dict[str, Any]:
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
        if self.grammar is not None:
            fields["structured_outputs"] = {"regex": self.grammar}
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
    """

    content: str
    reasoning: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    server: str
    passage: Passage = _PLAIN

    def after(self, passage: Passage) -> ChatReply:
        """The same reply, with how it came about."""
        return replace(self, passage=passage)


def read_json(body: bytes, server: str) -> dict[str, Any]:
    """A response's body as a JSON object.

    Raises:
        InvalidReplyError: It is something else.
    """
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, dict):
        msg = f"{server} answered 200 with no JSON object: {excerpt(body)}"
        raise InvalidReplyError(msg, server=server)
    return payload


def read_reply(body: bytes, server: str) -> ChatReply:
    """The reply in a chat completion's body.

    Raises:
        InvalidReplyError: The body is no chat completion, or holds no choice.
    """
    payload = read_json(body, server)
    try:
        content, reasoning, finish_reason = _read_choice(payload["choices"][0])
    except (KeyError, IndexError, TypeError, AttributeError):
        msg = f"{server} answered 200 with no chat completion: {excerpt(body)}"
        raise InvalidReplyError(msg, server=server) from None
    prompt_tokens, completion_tokens = _usage(payload)
    return ChatReply(content, reasoning, finish_reason, prompt_tokens, completion_tokens, server)


def read_batch(body: bytes, server: str, requests: Sequence[ChatRequest]) -> list[ChatReply | ServerError]:
    """The replies in the batch endpoint's answer, in the order of the requests.

    What cannot be used is an error of its own conversation: a missing choice, and a reply that was cut off, as only an
    answer to it alone tells how many tokens it had.

    Raises:
        InvalidReplyError: The body is no answer of the batch endpoint.
    """
    payload = read_json(body, server)
    choices = payload.get("choices")
    if not isinstance(choices, list):
        msg = f"{server} answered 200 with no chat completions: {excerpt(body)}"
        raise InvalidReplyError(msg, server=server)
    found: dict[int, tuple[str, str, str]] = {}
    for choice in choices:
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):  # one that cannot be read is missing
            found.setdefault(int(choice["index"]), _read_choice(choice))
    prompt_tokens, completion_tokens = _usage(payload)
    prompts = _shares(prompt_tokens, [sum(len(m["content"]) for m in each.messages) for each in requests])
    replies = _shares(
        completion_tokens, [sum(map(len, found.get(number, ("", "", ""))[:2])) for number in range(len(requests))]
    )
    results: list[ChatReply | ServerError] = []
    for number in range(len(requests)):
        content, reasoning, finish_reason = found.get(number, ("", "", "missing"))
        if finish_reason in ("missing", "length"):
            what = "no reply to" if finish_reason == "missing" else "a reply that was cut off to"
            msg = f"{server} sent {what} one of {len(requests)} conversations of a chunk"
            results.append(InvalidReplyError(msg, server=server))
        else:
            results.append(ChatReply(content, reasoning, finish_reason, prompts[number], replies[number], server))
    return results


def excerpt(body: bytes) -> str:
    """The beginning of an answer, for an error."""
    text = body[:QUOTED].decode("utf-8", "replace").strip()
    return f"{text!r}" if text else "an empty body"


def _read_choice(choice: Any) -> tuple[str, str, str]:
    """Content, reasoning and finish reason."""
    message = choice["message"]
    content, reasoning = message.get("content"), message.get("reasoning") or message.get("reasoning_content")
    return (
        content if isinstance(content, str) else "",
        reasoning if isinstance(reasoning, str) else "",
        str(choice.get("finish_reason") or ""),
    )


def _usage(payload: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens of prompt and completion; 0 where the server does not say."""
    usage = payload.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    prompt, completion = (usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
    return (
        prompt if isinstance(prompt, int) and prompt > 0 else 0,
        completion if isinstance(completion, int) and completion > 0 else 0,
    )


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole parts that go with the weights and add up to it."""
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    parts, given, passed = [], 0, 0
    for weight in weights:
        passed += weight
        parts.append(total * passed // whole - given)
        given += parts[-1]
    return parts
