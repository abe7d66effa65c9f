"""Whether a model thinks only when it is told to, and where its thought and its answer arrive."""

from __future__ import annotations

from typing import NamedTuple

from llm_judge_remote.diagnosis.server.look import Seen
from llm_judge_remote.diagnosis.server.visit import ServerVisit, plain_request
from llm_judge_remote.scoring.thinking import strip_thinking

__all__ = ["thinking_off", "thinking_on"]

_QUESTION = "What is 17 + 26? Answer with the number."
_FIELDS = ("reasoning", "reasoning_content")  # vLLM's, and the name that older servers and SGLang have for it
_MOST_OFF = 512  # tokens
_MOST_ON = 1024
_ALWAYS = (
    "serve a model whose template obeys enable_thinking, or set enable_thinking, which gives the thought "
    "thinking_budget tokens of its own"
)
_EMPTY = Seen("warning", "an empty reply: there is no telling", "read the server's log")


class _Told(NamedTuple):
    """What came of the question.

    Attributes:
        field: Where text came beside the content; "" for none.
        beside: That text.
        content: The content.
        answer: What of the content is no thought; None where the thought never ended.
        is_cut: Whether the tokens ran out.
    """

    field: str
    beside: str
    content: str
    answer: str | None
    is_cut: bool

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing at all."""
        return not (self.beside or self.content.strip())

    @property
    def is_tagged(self) -> bool:
        """Whether a thought stands in the content."""
        if self.answer is None:
            return True
        # An empty pair of tags is no thought: some templates close it for the model.
        thought = self.content[: len(self.content) - len(self.answer)]
        return any(char.isalnum() for char in _without_tags(thought))


def thinking_off(visit: ServerVisit) -> Seen:
    """Whether there is no thought where none is wanted."""
    settings = visit.settings
    most = min(settings.max_new_tokens, _MOST_OFF)
    told = _ask(visit, thinking=False, most=most)
    thinks = settings.enable_thinking
    if told.is_empty:
        return _EMPTY
    if told.beside and not told.content.strip() and not told.is_cut:
        words = f"no thought; the answer itself arrives in `{told.field}`, and `content` is empty. It is read there"
        return Seen("warning", words, "start the server with another --reasoning-parser, or a newer release")
    if not told.beside and not told.is_tagged:
        return Seen("ok", "no thought; the answer arrives in `content`")
    where = f"in `{told.field}`" if told.beside else "in `content`, between tags"
    words = f"it thinks although it is told not to: the thought arrives {where}"
    if told.is_cut and not (told.answer or "").strip():
        words += f", and there was no answer after {most} tokens"
        return Seen("warning" if thinks or most < settings.max_new_tokens else "error", words, _ALWAYS)
    return Seen("ok" if thinks else "warning", words, "" if thinks else _ALWAYS)


def thinking_on(visit: ServerVisit) -> Seen:
    """Whether there is a thought where one is wanted, and where it arrives."""
    settings = visit.settings
    most = min(settings.max_new_tokens + settings.thinking_budget, _MOST_ON)
    told = _ask(visit, thinking=True, most=most)
    wanted = settings.enable_thinking
    if told.is_empty:
        return _EMPTY
    if not told.beside and not told.is_tagged:
        if not wanted:
            return Seen("ok", "it does not think; nor do the settings ask for it")
        fix = "serve a model that thinks, or unset enable_thinking"
        return Seen("warning", "enable_thinking is set, and there is no thought", fix)
    where = f"in `{told.field}`" if told.beside else "in `content`, between tags, where it is taken out"
    if told.is_cut and not (told.answer or "").strip():
        words = f"the thought arrives {where}; it was not at its end after {most} tokens"
        return Seen("warning" if wanted else "ok", words, "raise thinking_budget" if wanted else "")
    return Seen("ok", f"the thought arrives {where}, the answer in `content`")


def _ask(visit: ServerVisit, *, thinking: bool, most: int) -> _Told:
    """Ask so that the fields of the reply keep their names."""
    message, ended_by = visit.message(plain_request(visit, _QUESTION, max_tokens=most, thinking=thinking))
    field = next((name for name in _FIELDS if _text(message.get(name)).strip()), "")
    content = _text(message.get("content"))
    return _Told(field, _text(message.get(field)), content, strip_thinking(content), ended_by == "length")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _without_tags(thought: str) -> str:
    """A thought without the words of its tags."""
    for tag in ("<think>", "</think>", "<thinking>", "</thinking>", "[THINK]", "[/THINK]"):
        thought = thought.replace(tag, "")
    return thought
