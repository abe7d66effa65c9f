"""One value of a row, as files really hold it, turned into text, texts or chat messages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

__all__ = ["Chat", "chat", "is_missing", "kind", "problem_text", "reference_texts"]

# ShareGPT's words for the turns of a chat.
_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant"}
_EXACT_FLOAT = 2.0**53  # up to here a float holds every whole number


@dataclass(frozen=True, slots=True)
class Chat:
    """Chat messages.

    Attributes:
        messages: Each with `role` and `content`; assistant turns at the end are not among them, being the answer.
        problem: The last user turn, or None where no user speaks.
        answer: The last of the assistant turns at the end, or None.
    """

    messages: list[dict[str, str]]
    problem: str | None
    answer: str | None


def kind(value: object) -> str:
    """What a value is, in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, Mapping):
        return "an object"
    return "bytes" if isinstance(value, bytes) else "a number"


def is_missing(value: object) -> bool:
    """Whether it is null or NaN, which tables hold where there is nothing."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def problem_text(value: object) -> str | None:
    """A problem's text, or None where there is none.

    Raises:
        ValueError: It is not text.
    """
    if is_missing(value):
        return None
    if isinstance(value, (str, bytes)):
        return _text(value)
    msg = f"holds {kind(value)}, not text"
    raise ValueError(msg)


def reference_texts(value: object) -> list[str]:
    """The texts of a reference: text, a number, or a list of them; null and NaN are none.

    A whole number is written without a decimal point even where it is stored as a float, as a table's column is
    when another of its rows holds nothing.

    Raises:
        ValueError: It is, or holds, something else.
    """
    if is_missing(value):
        return []
    if isinstance(value, (list, tuple)):
        return [text for each in value for text in reference_texts(each)]
    if isinstance(value, (str, bytes)):
        return [_text(value)]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        return [str(int(value))]
    if isinstance(value, Mapping):
        msg = "holds an object, not text"
        raise ValueError(msg)
    return [str(value)]  # whatever kind of number, date or truth value a table has


def chat(value: object) -> Chat:
    """Chat messages, OpenAI's way (`role`, `content`) or ShareGPT's (`from`, `value`), or the JSON text of them.

    Raises:
        ValueError: They cannot be read as such.
    """
    if isinstance(value, (str, bytes)):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            msg = "holds text, not chat messages"
            raise ValueError(msg) from None
    if not isinstance(value, (list, tuple)):
        msg = f"holds {kind(value)}, not chat messages"
        raise ValueError(msg)
    messages = [_message(each) for each in value]
    answer = None
    while messages and messages[-1]["role"] == "assistant":
        last = messages.pop()["content"]
        answer = last if answer is None else answer
    problem = next((each["content"] for each in reversed(messages) if each["role"] == "user"), None)
    return Chat(messages, problem, answer)


def _message(value: object) -> dict[str, str]:
    if isinstance(value, Mapping):
        role = value.get("role") or value.get("from")
        if isinstance(role, str):
            content = value.get("content") if value.get("content") is not None else value.get("value")
            return {"role": _ROLES.get(role, _text(role)), "content": _content(content)}
    msg = "holds a list that is no chat: each message is an object with `role` and `content`"
    raise ValueError(msg)


def _content(value: object) -> str:
    """The text of a message: of its text parts, where it has parts."""
    if isinstance(value, (list, tuple)):
        return "\n".join(map(_part, value))
    return problem_text(value) or ""


def _part(value: object) -> str:
    if isinstance(value, Mapping) and isinstance(value.get("text"), str):
        return _text(value["text"])
    if isinstance(value, str):
        return _text(value)
    msg = "holds a message with a part that is no text"
    raise ValueError(msg)


def _text(value: str | bytes) -> str:
    """Text that UTF-8 can carry: surrogate pairs joined, lone surrogates replaced by U+FFFD."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            msg = f"is not UTF-8: byte 0x{value[error.start]:02x} at byte {error.start + 1} of the value"
            raise ValueError(msg) from None
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value
