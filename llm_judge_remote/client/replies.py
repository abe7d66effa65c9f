"""Reading what a server sends: one reply, or those of a chunk."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.echo import without_reply
from llm_judge_remote.errors import InvalidReplyError, ServerError
from llm_judge_remote.scoring.expected import Token

__all__ = ["QUOTED", "excerpt", "read_batch", "read_json", "read_reply"]

QUOTED = 300  # characters of a server's own words in an error


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
    """The reply in a chat completion's body, with all the draws that it holds.

    Args:
        body: The body.
        server: The address that sent it.

    Raises:
        InvalidReplyError: The body is no chat completion, or holds no choice.
    """
    payload = read_json(body, server)
    prompt_tokens, completion_tokens = _usage(payload)
    try:
        first, *others = (_read_choice(choice) for choice in payload["choices"])
    except (KeyError, ValueError, TypeError, AttributeError):
        msg = f"{server} answered 200 with no chat completion: {excerpt(body)}"
        raise InvalidReplyError(msg, server=server) from None
    return ChatReply(
        first.content,
        first.reasoning,
        first.finish_reason,
        prompt_tokens,
        completion_tokens,
        server,
        tokens=first.tokens,
        others=tuple(
            ChatReply(each.content, each.reasoning, each.finish_reason, 0, 0, server, tokens=each.tokens)
            for each in others
        ),
    )


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
    found: dict[int, _Choice] = {}
    for choice in choices:
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):  # one that cannot be read is missing
            found.setdefault(int(choice["index"]), _read_choice(choice))
    read = [found.get(number, _MISSING) for number in range(len(requests))]
    prompt_tokens, completion_tokens = _usage(payload)
    prompts = _shares(prompt_tokens, [sum(len(m["content"]) for m in each.messages) for each in requests])
    replies = _shares(completion_tokens, [len(each.content) + len(each.reasoning) for each in read])
    results: list[ChatReply | ServerError] = []
    for number, each in enumerate(read):
        cut_off = each.finish_reason == "length" and requests[number].max_tokens > 1
        if each is _MISSING or cut_off:
            what = "no reply to" if each is _MISSING else "a reply that was cut off to"
            msg = f"{server} sent {what} one of {len(requests)} conversations of a chunk"
            results.append(InvalidReplyError(msg, server=server))
        else:
            results.append(
                ChatReply(
                    each.content,
                    each.reasoning,
                    each.finish_reason,
                    prompts[number],
                    replies[number],
                    server,
                    tokens=each.tokens,
                )
            )
    return results


def excerpt(body: bytes) -> str:
    """The beginning of an answer, for an error; without the reply that it may hold."""
    text = without_reply(body[:QUOTED].decode("utf-8", "replace")).strip()
    return f"{text!r}" if text else "an empty body"


class _Choice(NamedTuple):
    content: str
    reasoning: str
    finish_reason: str
    tokens: tuple[Token, ...]


_MISSING = _Choice("", "", "", ())


def _read_choice(choice: Any) -> _Choice:
    message = choice["message"]
    content, reasoning = message.get("content"), message.get("reasoning") or message.get("reasoning_content")
    return _Choice(
        content if isinstance(content, str) else "",
        reasoning if isinstance(reasoning, str) else "",
        str(choice.get("finish_reason") or ""),
        _read_tokens(choice.get("logprobs")),
    )


def _read_tokens(logprobs: Any) -> tuple[Token, ...]:
    """The tokens of a reply with their alternatives; none where the server sends none, or something else."""
    if not logprobs:
        return ()
    try:
        return tuple(
            Token(
                str(each["token"]),
                float(each["logprob"]),
                tuple((str(other["token"]), float(other["logprob"])) for other in each.get("top_logprobs") or ()),
            )
            for each in logprobs["content"]
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()


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
