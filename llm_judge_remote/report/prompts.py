"""The prompt of a row, as the judge saw it: from the file, or rendered anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from llm_judge_remote.dataset.as_judged import AsJudged, Context
from llm_judge_remote.dataset.trainer_file import TrainerRow
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.report.texts import bounded, one_line
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Text", "prompt_of", "prompt_source"]

_MOST = 8_000  # characters of a message
_CONTEXT = 32_768  # tokens, Qwen3's; says how much of a candidate is cut
_MOST_MESSAGES = 40


class Text(NamedTuple):
    """A text of a row's under a heading."""

    name: str
    text: str


def prompt_source(template: str) -> AsJudged | str:
    """What renders prompts, by the settings of the environment; or why nothing can, as the run may be over since long.

    Args:
        template: The prompt template; "" for that of the settings.

    Raises:
        ConfigError: A template is named, and nobody could run with it.
    """
    try:
        settings = JudgeSettings(**({"prompt_template": template} if template else {}))
        return AsJudged(settings, Context(_CONTEXT))
    except ConfigError as error:
        if template:
            raise
        return str(error)


def prompt_of(row: Mapping[str, Any], given: TrainerRow, source: AsJudged | str) -> tuple[tuple[Text, ...], str]:
    """The messages that the judge was sent, by role; and where they come from, or why there are none.

    Args:
        row: As it stands in the file.
        given: The same, as a reward function is given it.
        source: See `prompt_source`.
    """
    told = row.get("judge_prompt")
    if isinstance(told, str):
        told = _parsed(told)
    if isinstance(told, (list, tuple)) and told and all(isinstance(each, Mapping) for each in told):
        return _messages(told), "As the file has it."
    if told:
        return (Text("prompt", bounded(told, _MOST)),), "As the file has it."
    if isinstance(source, str):
        return (), f"The file does not hold it, and it cannot be rendered: {source}."
    if given.candidate is None:
        return (), "The file does not hold it, nor a column of candidates to render it with."
    shown = source.shown(source.sample(given))
    if not shown.conversations:
        return (), f"Nothing is sent to the judge about this row: {shown.why_not}."
    index = row.get("judge_reference_index")
    counts = index if isinstance(index, int) and 0 <= index < len(shown.conversations) else 0
    name = source.settings.prompt_template
    return _messages(shown.conversations[counts]), (
        f"Rendered from the row with the template {name!r} of the settings at the time of this report: "
        "the same words that the judge saw, if the run had the same settings."
    )


def _messages(told: Iterable[Mapping[str, Any]]) -> tuple[Text, ...]:
    return tuple(
        Text(one_line(each.get("role"), 20), bounded(each.get("content"), _MOST))
        for each in list(told)[:_MOST_MESSAGES]
    )


def _parsed(told: str) -> Any:
    """A conversation that was written as JSON; else the text itself."""
    if told.lstrip().startswith("["):
        try:
            return json.loads(told)
        except ValueError:
            return told
    return told
