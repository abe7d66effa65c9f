"""What an inspection finds to say about the rows of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["CODES", "Finding", "Findings"]

Level = Literal["error", "warning"]

CODES: Mapping[str, tuple[Level, str]] = {
    "no_rows": ("error", "the file has no rows"),
    "missing_column": ("error", "the trainer stops without a column {detail}"),
    "unreadable_row": ("error", "the row cannot be read: {detail}"),
    "no_reference": ("error", "no reference, or a blank one: these rows can never be scored"),
    "no_scorer": ("error", "nobody scores them: {detail}"),
    "unusable_setting": ("error", "a setting that the row brings is of no use, so it is never judged: {detail}"),
    "template_fails": ("error", "the prompt template fails on them: {detail}"),
    "too_long": ("error", "problem and reference do not fit into {detail}: these rows can never be judged"),
    "may_be_too_long": (
        "warning",
        "problem and reference may not fit into {detail}: such rows can never be judged; count with a tokenizer",
    ),
    "candidate_cut": ("warning", "the candidate's middle will be left out to fit into {detail}"),
    "no_problem": (
        "warning",
        "no problem: the judge sees none. verl's own reward managers do not pass the prompt: put it into extra_info",
    ),
    "setting_override": ("warning", "rows set {detail}, which wins over the trainer's configuration"),
    "secret_in_row": ("warning", "rows hold an api_key: a key does not belong into a data set"),
    "not_a_row_setting": ("warning", "extra_info.{detail} is a setting that a row cannot change: it is ignored"),
    "unknown_setting": ("warning", "extra_info.{detail}: it is ignored"),
    "extra_info_unused": ("warning", "extra_info is a {detail} and no struct: nothing in it is looked at"),
    "empty_candidate": ("warning", "the candidate is empty: 0 without asking the judge"),
    "degenerate_candidate": ("warning", "the candidate says nothing: 0 without asking the judge"),
    "candidate_column": (
        "warning",
        "the column {detail} holds candidates, which trainers ignore: they judge what the policy answers",
    ),
    "duplicate": ("warning", "the same prompt, problem and references (and candidate) as an earlier row"),
    "other_reference": ("warning", "the same problem as an earlier row, with other references"),
    "reference_is_problem": ("warning", "a reference equals the problem, or a turn of the prompt"),
    "reference_in_prompt": ("warning", "the prompt holds a whole reference: the policy can copy it"),
    "reference_is_nothing": ("warning", "a reference is a word for nothing, such as None or nan"),
    "target_replaces": ("warning", "target_gt replaces a ground_truth that is not among its texts"),
    "problem_not_in_prompt": (
        "warning",
        "the prompt does not hold the problem: the policy is asked something else than the judge is told",
    ),
    "no_prompt": ("warning", "no prompt"),
    "prompt_not_chat": ("warning", "the prompt is no list of chat messages with role and content, which trainers want"),
    "no_user_turn": ("warning", "the prompt has no turn of the user's"),
    "replaced_characters": ("warning", "U+FFFD or a lone surrogate in a text: it was decoded wrongly somewhere"),
    "no_data_source": ("warning", "data_source is empty: routes and verl's metrics go by it"),
    "few_of_source": ("warning", "so few rows have this data_source: {detail}"),
    "many_sources": ("warning", "so many data_sources are hardly meant: {detail}"),
    "mixed_types": ("warning", "{detail}: pyarrow, and the older releases of datasets that verl reads with, refuse it"),
}
"""Level and words by code; `{detail}` is filled in."""

_MOST_ROWS = 5
_MOST_DETAILS = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to say about rows.

    Attributes:
        code: One of `CODES`.
        detail: What is filled into its words; with "…" for what is beyond the twentieth detail of one code.
        rows: How many rows it concerns; 0 where it concerns the file.
        first_rows: The first five of them, counted from 0.
    """

    code: str
    detail: str
    rows: int
    first_rows: tuple[int, ...]

    @property
    def level(self) -> Level:
        """`error` for rows that can never be scored; else `warning`."""
        return CODES[self.code][0]

    @property
    def message(self) -> str:
        """In words."""
        return CODES[self.code][1].replace("{detail}", self.detail)

    def to_dict(self) -> dict[str, Any]:
        """`level`, `code`, `message`, `rows`, `first_rows`."""
        own = {"level": self.level, "code": self.code, "message": self.message}
        return {**own, "rows": self.rows, "first_rows": list(self.first_rows)}


class Findings:
    """Collects what is found, row by row; its size does not depend on how many rows there are."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, tuple[list[int], list[int]]]] = {}

    def add(self, code: str, row: int, detail: str = "") -> None:
        """A row has this to it."""
        details = self._found.setdefault(code, {})
        if detail not in details and len(details) >= _MOST_DETAILS:
            detail = "…"
        count, first = details.setdefault(detail, ([0], []))
        count[0] += 1
        if len(first) < _MOST_ROWS:
            first.append(row)

    def add_many(self, code: str, count: int, first: list[int], detail: str = "") -> None:
        """So many rows have it, these first; or, with 0, the file."""
        details = self._found.setdefault(code, {})
        details[detail] = ([count], first[:_MOST_ROWS])

    def listed(self) -> tuple[Finding, ...]:
        """Errors before warnings, in the order of `CODES`."""
        return tuple(
            Finding(code, detail, count[0], tuple(first))
            for code in sorted(CODES, key=lambda code: CODES[code][0])  # sorted is stable
            for detail, (count, first) in self._found.get(code, {}).items()
        )
