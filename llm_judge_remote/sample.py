"""Rows as trainers hand them over, turned into plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_judge_remote.layers import is_missing, plain, row_overrides
from llm_judge_remote.references import containing_last_word

__all__ = ["Sample", "as_text", "last_user_turn"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One row.

    Attributes:
        candidate: The text to judge; "" if there is none.
        references: The texts to judge it against; the best score counts.
        problem: The task, if known.
        data_source: The data set's name.
        overrides: Settings of this row alone, by field name.
        defect: Why the row could not be read; "" for a sound one.
    """

    candidate: str
    references: tuple[str, ...]
    problem: str = ""
    data_source: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    defect: str = ""

    def __post_init__(self) -> None:
        """Keep what UTF-8 cannot carry out of every later stage."""
        if isinstance(self.references, str):
            object.__setattr__(self, "references", (self.references,))
        object.__setattr__(self, "candidate", _encodable(self.candidate, "candidate"))
        references = [_encodable(text, "references") for text in self.references]
        object.__setattr__(self, "references", tuple(references))
        object.__setattr__(self, "problem", _encodable(self.problem, "problem"))

    @classmethod
    def from_row(
        cls,
        data_source: Any = None,
        solution: Any = None,
        ground_truth: Any = None,
        extra_info: Any = None,
        *,
        filter_by_prompt: bool = False,
    ) -> Sample:
        """The sample of a trainer's row; never raises, and never writes to what it is given.

        Args:
            data_source: The data set's name.
            solution: The candidate: text, chat messages (the last one counts), or a scalar.
            ground_truth: The reference, or a list or array of them.
            extra_info: A mapping, or None. `target_gt` replaces `ground_truth`; the problem is `problem`, else
                `question`, else the last user turn of `prompt`; the settings that a row may change are taken along.
            filter_by_prompt: Whether `filter_gt_by_prompt_token` is on for rows that do not say.
        """
        try:
            extra: Mapping[str, Any] = extra_info if isinstance(extra_info, Mapping) else plain(extra_info)
            if not isinstance(extra, Mapping):
                extra = {}
            overrides = row_overrides(extra)
            targets = _as_texts(extra.get("target_gt"))
            references = targets or _as_texts(ground_truth)
            prompt = extra.get("prompt")
            if targets:
                pass  # authoritative: exactly these
            elif _as_flag(overrides.get("filter_gt_by_prompt_token", filter_by_prompt)) and prompt is not None:
                references = containing_last_word(references, last_user_turn(prompt))
            return cls(as_text(solution), references, _problem(extra), as_text(data_source), overrides)
        except Exception as error:  # noqa: BLE001 (the pipeline's boundary: no row may stop its neighbours)
            return cls("", (), defect=f"{type(error).__name__}: {error}")


def as_text(value: Any) -> str:
    """Text for what a trainer may pass as text; "" for None and NaN."""
    if type(value) is str:
        return value
    value = plain(value)
    if isinstance(value, str):
        return str(value)
    if is_missing(value):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        if "content" in value:
            return as_text(value["content"])
        if isinstance(value.get("text"), str):  # a part of a multi-part message
            return as_text(value["text"])
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[-1], Mapping) and "role" in value[-1]:
            return as_text(value[-1])
        return "\n".join(filter(None, map(as_text, value)))
    return str(value)


def last_user_turn(prompt: Any) -> str:
    """The text of a prompt: its last user message, or the whole when it is no chat."""
    prompt = plain(prompt)
    if isinstance(prompt, Sequence) and not isinstance(prompt, (str, bytes)):
        for message in reversed(prompt):
            if isinstance(message, Mapping) and message.get("role") == "user":
                return as_text(message)
    return as_text(prompt)


def _problem(extra: Mapping[str, Any]) -> str:
    for name in ("problem", "question"):
        text = as_text(extra.get(name))
        if text:
            return text
    return last_user_turn(extra.get("prompt")) or last_user_turn(extra.get("raw_prompt"))  # the latter is verl's


def _as_texts(value: Any) -> tuple[str, ...]:
    """The distinct, non-blank texts of a reference or a nested list of them, in order."""
    value = plain(value)
    if not isinstance(value, (list, tuple)):
        text = as_text(value)
        return (text,) if text.strip() else ()
    found: dict[str, None] = {}

    def collect(item: Any) -> None:
        if isinstance(item, (list, tuple)):
            for inner in item:
                collect(inner)
        else:
            text = as_text(item)
            if text.strip():
                found[text] = None

    collect(value)
    return tuple(found)


def _as_flag(value: Any) -> bool:
    return value.strip().lower() in ("1", "true", "yes", "on") if isinstance(value, str) else bool(value)


def _encodable(text: str, name: str) -> str:
    """Surrogate pairs joined, lone surrogates replaced by U+FFFD: what UTF-8 can carry. `name` is for the message."""
    if not isinstance(text, str):
        msg = f"a Sample's {name} is text; Sample.from_row takes rows of other kinds"
        raise TypeError(msg)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
