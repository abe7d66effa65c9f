"""What may be wrong with a row's texts, and with the settings that it brings."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from llm_judge_remote.dataset.findings import Findings
from llm_judge_remote.dataset.trainer_file import TrainerRow
from llm_judge_remote.layers import is_missing
from llm_judge_remote.sample import Sample, as_text
from llm_judge_remote.setting_sources import ALIASES, ENV_PREFIX, SECRETS
from llm_judge_remote.setting_types import without_secrets
from llm_judge_remote.settings import ROW_FIELDS, JudgeSettings

__all__ = ["Overrides", "check_texts", "prompt_texts"]

_NOTHING = frozenset(("none", "nan", "null", "n/a", "na", "[]", "{}", "<na>"))
_LEAST_COPIED = 20  # characters; a shorter reference is in many prompts by chance
_MOST_VALUES = 1000
_SHOWN_VALUES = 5
_LONGEST_VALUE = 48
_NAMES = frozenset((*JudgeSettings.model_fields, *ALIASES))
_ROW_NAMES = frozenset((*ROW_FIELDS, *(name for name, field in ALIASES.items() if field in ROW_FIELDS)))
_CLOSE = 0.85  # of difflib's ratio: one wrong letter in a name of seven
_PREFIXES = (ENV_PREFIX.lower(), "judge_")


def prompt_texts(prompt: Any) -> list[str]:
    """What the policy is shown: the content of each message."""
    if not isinstance(prompt, list):
        text = as_text(prompt)
        return [text] if text else []
    return [_content(message) for message in prompt]


def _content(message: Any) -> str:
    content = message.get("content") if isinstance(message, Mapping) else None
    return content if isinstance(content, str) else as_text(message)


def check_texts(row: TrainerRow, sample: Sample, turns: Sequence[str], findings: Findings) -> None:
    """Note what is odd about problem, references, prompt and data source; whether it can be scored is not asked here.

    Args:
        row: As it stands in the file.
        sample: As the judge gets it.
        turns: The row's `prompt_texts`.
        findings: Where it is noted.
    """
    index, prompt = row.index, "\n".join(turns)
    if not sample.data_source.strip():
        findings.add("no_data_source", index)
    if not sample.problem.strip():
        findings.add("no_problem", index)
    if row.prompt is not None:
        _check_prompt(row, sample, prompt, findings)
    told = {sample.problem.strip(), *map(str.strip, turns)} - {""}
    if any(text.strip() in told for text in sample.references):
        findings.add("reference_is_problem", index)
    elif any(len(text) >= _LEAST_COPIED and text.strip() in prompt for text in sample.references):
        findings.add("reference_in_prompt", index)
    if any(len(text) <= len("<na>") + 2 and text.strip().casefold() in _NOTHING for text in sample.references):
        findings.add("reference_is_nothing", index)
    if isinstance(row.extra_info, Mapping):
        _check_target(row, sample, findings)
    elif not is_missing(row.extra_info):
        findings.add("extra_info_unused", index, type(row.extra_info).__name__)
    texts = (sample.problem, *sample.references)
    if any(not text.isascii() and "\ufffd" in text for text in texts):
        findings.add("replaced_characters", index)


def _check_prompt(row: TrainerRow, sample: Sample, prompt: str, findings: Findings) -> None:
    messages = row.prompt
    if not prompt.strip():
        findings.add("no_prompt", row.index)
        return
    if not isinstance(messages, list) or not all(_is_message(each) for each in messages):
        findings.add("prompt_not_chat", row.index)
    elif not any(each["role"] == "user" for each in messages):
        findings.add("no_user_turn", row.index)
    problem = sample.problem.strip()
    if problem and problem not in prompt and " ".join(problem.split()) not in " ".join(prompt.split()):
        findings.add("problem_not_in_prompt", row.index)


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("role"), str) and value.get("content") is not None


def _check_target(row: TrainerRow, sample: Sample, findings: Findings) -> None:
    """`target_gt` is authoritative: what `ground_truth` says beside it is not looked at."""
    if is_missing(row.extra_info.get("target_gt")) or is_missing(row.ground_truth):
        return
    truth = row.ground_truth[0] if isinstance(row.ground_truth, list) and row.ground_truth else row.ground_truth
    text = as_text(truth)
    if text.strip() and text not in sample.references:
        findings.add("target_replaces", row.index)


class Overrides:
    """The settings that rows bring, those that they may not bring, and names that look like settings."""

    def __init__(self) -> None:
        self._values: dict[str, Counter[str]] = {}
        self._rows: dict[str, tuple[int, list[int]]] = {}

    def add(self, row: TrainerRow, sample: Sample, findings: Findings) -> None:
        """Look at a row."""
        for name, value in sample.overrides.items():
            values = self._values.setdefault(name, Counter())
            text = _shown(name, value)
            values[text if text in values or len(values) < _MOST_VALUES else "…"] += 1
            count, first = self._rows.get(name, (0, []))
            self._rows[name] = count + 1, first if count >= _SHOWN_VALUES else [*first, row.index]
            if name == "api_key":
                findings.add("secret_in_row", row.index)
        if isinstance(row.extra_info, Mapping):
            for name, code, detail in _suspects(tuple(row.extra_info)):
                value = row.extra_info[name]
                if not (is_missing(value) or value in ("", [], {})):
                    findings.add(code, row.index, detail)

    def tell(self, findings: Findings) -> None:
        """Add what rows override to the findings."""
        for each in self.to_dicts():
            name = each["setting"]
            alias = f" ({ALIASES[name]})" if name in ALIASES else ""
            values = [f"{one['value']} ({one['rows']} x)" for one in each["values"]]
            more = ["…"] if each["distinct"] > len(values) else []
            detail = f"{name}{alias} to {', '.join([*values, *more])}"
            findings.add_many("setting_override", *self._rows[name], detail)

    def to_dicts(self) -> list[dict[str, Any]]:
        """By name as given: `setting`, `rows`, `distinct` (values, at most 1001), `values` (the five most frequent)."""
        return [
            {
                "setting": name,
                "rows": self._rows[name][0],
                "distinct": len(values),
                "values": [{"value": text, "rows": rows} for text, rows in values.most_common(_SHOWN_VALUES)],
            }
            for name, values in sorted(self._values.items())
        ]


def _shown(name: str, value: Any) -> str:
    if ALIASES.get(name, name) in SECRETS:
        return "(not shown)"
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(without_secrets(text).split())
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"


@lru_cache(maxsize=1024)
def _suspects(names: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    """Names in extra_info that are settings of no effect there, or nearly a setting's: (name, code, detail)."""
    found = []
    for name in names:
        if name in _ROW_NAMES or not isinstance(name, str):
            continue
        plain = name.lower().replace("-", "_")
        for prefix in _PREFIXES:
            plain = plain.removeprefix(prefix)
        if name in _NAMES:
            found.append((name, "not_a_row_setting", name))
        elif near := [plain] if plain in _ROW_NAMES else difflib.get_close_matches(plain, _ROW_NAMES, 1, _CLOSE):
            found.append((name, "unknown_setting", f"{name} is no setting; did you mean {near[0]!r}?"))
    return tuple(found)
