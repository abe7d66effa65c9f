"""What `chat.completions.create` is given, turned into a request: honoured, or refused by name, and never dropped."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from llm_judge_remote.client.chat import ChatRequest
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.layers import plain
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Arguments", "ConversationRequest"]

_PASSED_ON = ("frequency_penalty", "logit_bias", "presence_penalty", "reasoning_effort", "response_format", "stop")
_KEPT_BOOKS = ("areal_cache", "metadata", "parallel_tool_calls", "safety_identifier", "store", "user")
"""What other clients note for themselves; the judge's replies are no training data, so there is nothing to note."""

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "extra_headers": ({},),
    "extra_query": ({},),
    "functions": ([],),
    "logprobs": (False,),
    "messages": (),
    "stream": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}
"""What cannot be had, and the values that ask for none of it."""

_OWN_MODEL = ("", "auto", "default", "None")  # what callers write to whom the model does not matter
_SENTINELS = ("NotGiven", "Omit")  # of the openai package


@dataclass(frozen=True, slots=True)
class ConversationRequest(ChatRequest):
    """A conversation that somebody else has written, with whatever else the server is to be told.

    Attributes:
        extra: Further fields of the request, a JSON object.
        draw: Sets requests apart that ask the same and want a reply each.
    """

    extra: bytes = b"{}"
    draw: int = 0

    @property
    def sampling(self) -> Hashable:
        """Equal for requests that may travel in one chunk: all but the messages."""
        return super(ConversationRequest, self).sampling, self.extra

    @property
    def identity(self) -> Hashable:
        """Equal for requests that one reply does for."""
        return super(ConversationRequest, self).identity, self.draw

    def _fields(self, model: str, messages: Any, dialect: str | None) -> dict[str, Any]:
        fields = super(ConversationRequest, self)._fields(model, messages, dialect)
        extra: dict[str, Any] = orjson.loads(self.extra)
        template = {**fields["chat_template_kwargs"], **extra.pop("chat_template_kwargs", {})}
        return {**fields, **extra, "chat_template_kwargs": template}


class Arguments:
    """The arguments of one call.

    Args:
        messages: Chat messages: mappings, or objects with `role` and `content`.
        options: All others, by name. None and the sentinels of the openai package stand for "not given".
        settings: What holds where nothing is given.

    Attributes:
        request: What to ask.
        key: Equal for conversations that begin alike; see `prompt_cache_key`.
        timeout: Seconds for the call, or None.

    Raises:
        ConfigError: An argument is unknown, cannot be honoured, or has a value of no use; the message names it.
    """

    def __init__(self, messages: Any, options: Mapping[str, Any], settings: JudgeSettings) -> None:
        given = _given(options)
        extra_body = plain(given.pop("extra_body", {}))
        if not isinstance(extra_body, dict):
            raise _useless("extra_body", extra_body, "a mapping")
        for name, value in extra_body.items():
            if name not in _NAMES:
                given.setdefault("further", {})[name] = value
            elif name in given:
                msg = f"{name} is given twice: as an argument, and in extra_body"
                raise ConfigError(msg)
            else:
                given[name] = value
        template = dict(given.get("further", {}).pop("chat_template_kwargs", None) or {})
        thinks = bool(template.pop("enable_thinking", settings.enable_thinking))
        sampling = _sampling(given, settings, thinks=thinks)
        extra = {name: given[name] for name in _PASSED_ON if name in given} | given.pop("further", {})
        if template:
            extra["chat_template_kwargs"] = template
        conversation = _conversation(messages)
        # Equal requests under way share one reply. Who draws a reply several times wants several.
        is_drawn = sampling["temperature"] > 0 and sampling["seed"] is None
        try:
            self.request = ConversationRequest(
                messages=conversation,
                enable_thinking=thinks,
                extra=orjson.dumps(extra, option=orjson.OPT_SORT_KEYS),
                draw=uuid.uuid4().int if is_drawn else 0,
                **sampling,
            )
        except TypeError as error:
            msg = f"what is passed on to the server must be JSON: {error}"
            raise ConfigError(msg) from None
        self.key = str(given.get("prompt_cache_key") or "") or "\n".join(turn["content"] for turn in conversation)
        self.timeout = _number(given, "timeout", settings.deadline, above=0.0)
        _refuse_the_rest(given)


_SAMPLED = (*("max_completion_tokens", "max_tokens", "max_total_tokens", "model", "n", "seed", "temperature", "top_p"),)
_NAMES = frozenset((*_PASSED_ON, *_KEPT_BOOKS, *_NEUTRAL, *_SAMPLED, "prompt_cache_key", "timeout"))


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in options.items() if value is not None and type(value).__name__ not in _SENTINELS
    }


def _sampling(given: Mapping[str, Any], settings: JudgeSettings, *, thinks: bool) -> dict[str, Any]:
    if "max_tokens" in given and "max_completion_tokens" in given:
        msg = "max_tokens and max_completion_tokens say the same: give one of them"
        raise ConfigError(msg)
    most = settings.max_new_tokens + (settings.thinking_budget if thinks else 0)
    for name in ("max_tokens", "max_completion_tokens"):
        most = _whole(given, name, most)
    model = str(given.get("model", ""))
    return {
        "model": settings.model_name if model in _OWN_MODEL else model,
        "temperature": _number(given, "temperature", settings.temperature),
        "top_p": _number(given, "top_p", settings.top_p, above=0.0),
        "max_tokens": min(most, _whole(given, "max_total_tokens", most)),
        "seed": _whole(given, "seed", settings.seed, least=None),
        "draws": _whole(given, "n", 1),
    }


def _conversation(messages: Any) -> tuple[dict[str, str], ...]:
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
        raise _useless("messages", messages, "a list of chat messages")
    turns = tuple(map(_turn, messages))
    if not turns:
        msg = "messages is empty"
        raise ConfigError(msg)
    return turns


def _turn(message: Any) -> dict[str, str]:
    if not isinstance(message, Mapping):
        if not hasattr(message, "role"):
            raise _useless("messages", message, "a list of mappings with `role` and `content`")
        message = {name: getattr(message, name, None) for name in ("role", "content", "name", "tool_calls")}
    turn = {name: value for name, value in message.items() if value is not None}
    if turn.get("tool_calls") or turn.get("role") in ("tool", "function") or "function_call" in turn:
        msg = "messages: the judge is asked without tools, and a turn calls or answers one"
        raise ConfigError(msg)
    content = turn.get("content", "")
    if not isinstance(content, str):
        content = "".join(map(_part, content if isinstance(content, (list, tuple)) else [content]))
    made = {"role": str(turn.get("role", "user")), "content": _encodable(content)}
    return {**made, "name": str(turn["name"])} if "name" in turn else made


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    msg = f"messages: the judge reads text, and a part of a turn is {kind!r}"
    raise ConfigError(msg)


def _encodable(text: str) -> str:
    """What JSON can carry: a lone surrogate would fail the whole request."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(given: Mapping[str, Any], name: str, default: float | None, *, above: float | None = None) -> float | None:
    value = given.get(name, default)
    if value is None:
        return None
    wanted = "a number above 0" if above is not None else "a number from 0 on"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _useless(name, value, wanted)
    if not (value > above if above is not None else value >= 0):
        raise _useless(name, value, wanted)
    return float(value)


def _whole(given: Mapping[str, Any], name: str, default: Any, *, least: int | None = 1) -> Any:
    value = given.get(name, default)
    if value is None or value is default:
        return value
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        raise _useless(name, value, "a whole number" if least is None else f"a whole number from {least} on")
    return value


def _refuse_the_rest(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in _NAMES:
            msg = f"create() got an argument that the judge's client does not know: {name!r}; extra_body takes it along"
            raise ConfigError(msg)
        if name in _NEUTRAL and plain(value) not in _NEUTRAL[name]:
            msg = f"{name}={value!r} cannot be had from the judge's client: leave it out"
            raise ConfigError(msg)


def _useless(name: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(f"{name}={value!r} is of no use; it is {wanted}")
