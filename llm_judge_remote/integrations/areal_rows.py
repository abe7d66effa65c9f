"""AReaL's rows: the problem, the candidate and the references in what a reward function is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llm_judge_remote.layers import is_missing, plain

__all__ = ["as_row", "user_turn", "without_end_tokens"]

_REFERENCES = ("ground_truth", "answer", "solution", "solutions", "reference", "target", "label")
"""Columns that hold the reference, the first of them that holds anything: GSM8K, Geometry3K and CLEVR have `answer`,
MATH an `answer` beside its longer `solution`."""

_TURNS = re.compile(
    r"<\|im_start\|>user\n(.*?)<\|im_end\|>"  # ChatML: Qwen and many others
    r"|<\|start_header_id\|>user<\|end_header_id\|>\s*(.*?)<\|eot_id\|>"  # Llama 3
    r"|<start_of_turn>user\n(.*?)<end_of_turn>"  # Gemma
    r"|<\|user\|>\n?(.*?)(?=<\|assistant\|>|<\|end\|>)"  # GLM, Phi
    r"|<｜User｜>(.*?)<｜Assistant｜>"  # DeepSeek
    r"|\[INST\](.*?)\[/INST\]",  # Mistral, Llama 2
    re.DOTALL,
)
_ONE_SPECIAL = r"(?:<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,60}｜>|</?s>|<(?:bos|eos|pad)>|<(?:start|end)_of_turn>)"
_SPECIAL = re.compile(_ONE_SPECIAL)
_END = re.compile(rf"(?:\s*{_ONE_SPECIAL})+\s*\Z")
_LONGEST_END = 512  # characters; padding aside there are one or two such tokens


def as_row(prompt: Any, completions: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `compute_score` for a row.

    Args:
        prompt: The decoded prompt, chat template and all; the problem where no column tells it.
        completions: The decoded completion, special tokens and all.
        data: The row's columns. The reference is in the first of `ground_truth`, `answer`, `solution`, `solutions`,
            `reference`, `target` and `label` that holds anything, else in verl's `reward_model`; the problem in
            `problem` or `question`, else in the last user turn of `messages`. Settings of a row are read from its
            `extra_info` alone: a column may be called `model` and mean something else.
    """
    given = plain(data.get("extra_info"))
    extra: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    for name in ("problem", "question", "target_gt"):
        if _holds(data.get(name)):
            extra[name] = data[name]
    if not _holds(extra.get("prompt")):
        messages = data.get("messages")
        extra["prompt"] = messages if _holds(messages) else user_turn(prompt)
    return {
        "data_source": data.get("data_source"),
        "solution_str": without_end_tokens(completions) if isinstance(completions, str) else completions,
        "ground_truth": _reference(data),
        "extra_info": extra,
    }


def user_turn(prompt: Any) -> Any:
    """The last user turn of a decoded prompt, by the common chat templates; else the prompt without special tokens."""
    if not isinstance(prompt, str):
        return prompt
    turns = _TURNS.findall(prompt)
    return "".join(turns[-1]).strip() if turns else _SPECIAL.sub("", prompt).strip()


def without_end_tokens(completion: str) -> str:
    """The completion without the special tokens at its end, which are no part of the answer."""
    head, tail = completion[:-_LONGEST_END], completion[-_LONGEST_END:]
    return head + _END.sub("", tail)


def _reference(data: Mapping[str, Any]) -> Any:
    for name in _REFERENCES:
        if _holds(data.get(name)):
            return data[name]
    reward_model = plain(data.get("reward_model"))
    return reward_model.get("ground_truth") if isinstance(reward_model, Mapping) else None


def _holds(value: Any) -> bool:
    """Whether a column holds anything: tables have None, NaN, "" and empty lists where there is nothing."""
    value = plain(value)
    return not (is_missing(value) or value in ("", [], {}))
