"""Single rows to read: their texts, the prompt as the judge saw it, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from llm_judge_remote.dataset.as_judged import AsJudged
from llm_judge_remote.dataset.trainer_file import LAYOUTS, TrainerRow
from llm_judge_remote.report import formats
from llm_judge_remote.report.columns import CANDIDATES
from llm_judge_remote.report.picks import Pick
from llm_judge_remote.report.prompts import Text, prompt_of
from llm_judge_remote.report.scored import kind_of
from llm_judge_remote.report.source import Source
from llm_judge_remote.report.texts import bounded, one_line
from llm_judge_remote.report.values import LabelArray
from llm_judge_remote.sample import Sample, as_text

__all__ = ["Example", "ExampleGroup", "read_examples"]

_MOST = 4_000
"""Characters of a text that are shown."""

_LABELS = {1: "labelled right", 0: "labelled wrong"}
_FACTS = (
    ("judge_latency_s", "latency", formats.seconds),
    ("judge_attempts", "requests", formats.count),
    ("judge_prompt_tokens", "prompt tokens", formats.count),
    ("judge_completion_tokens", "completion tokens", formats.count),
    ("judge_spread", "spread of the votes", formats.decimal),
)


@dataclass(frozen=True, slots=True)
class Example:
    """One row.

    Attributes:
        row: Its number in the file.
        score: As written.
        outcome: How it came by it.
        kind: Whose it is, as `Kind` names it in lower case.
        opening: How the candidate begins.
        label: In words; "" without one.
        data_source: Its name.
        facts: Names and values, in words.
        texts: Problem, reference, candidate, reply and reason, as far as there are any.
        prompt: The messages that the judge was sent, by role.
        prompt_note: Where the prompt comes from, or why there is none.
    """

    row: int
    score: str
    outcome: str
    kind: str
    opening: str
    label: str
    data_source: str
    facts: tuple[tuple[str, str], ...]
    texts: tuple[Text, ...]
    prompt: tuple[Text, ...]
    prompt_note: str


class ExampleGroup(NamedTuple):
    """Rows of one sort, to read."""

    key: str
    title: str
    of: int
    examples: tuple[Example, ...]


def read_examples(
    picks: Sequence[Pick],
    source: Source,
    other: Source | None,
    candidate: str,
    labels: LabelArray | None,
    prompts: AsJudged | str,
) -> tuple[ExampleGroup, ...]:
    """Read the picked rows, and only these.

    Args:
        picks: Which rows.
        source: The file's rows.
        other: The second judge's, if there is one.
        candidate: Column of candidates; "" for none.
        labels: 1 right, 0 wrong, -1 unknown for each row of the file; None for none.
        prompts: What renders the prompts that the file does not hold; or why nothing can.
    """
    shows = _Shower(candidate, labels, prompts)
    rows = dict(source.rows(_sorted(row for pick in picks for row in pick.rows)))
    partners = dict(other.rows(_sorted(row for pick in picks for row in pick.partners))) if other is not None else {}
    groups = []
    for pick in picks:
        pairs = zip(pick.rows, pick.partners or (None,) * len(pick.rows), strict=True)
        shown = tuple(
            shows.example(row, rows[row], None if partner is None else partners[partner]) for row, partner in pairs
        )
        groups.append(ExampleGroup(pick.key, pick.title, pick.of, shown))
    return tuple(groups)


class _Shower:
    def __init__(self, candidate: str, labels: LabelArray | None, prompts: AsJudged | str) -> None:
        self._candidate = candidate
        self._labels = labels
        self._prompts = prompts

    def example(self, number: int, row: Mapping[str, Any], other: Mapping[str, Any] | None) -> Example:
        given = _trainer_row(number, row, self._candidate)
        sample = Sample.from_row(given.data_source, given.candidate, given.ground_truth, given.extra_info)
        problem = sample.problem or as_text(row.get("problem")) or as_text(row.get("question"))
        references = sample.references or tuple(filter(None, (as_text(row.get("reference")),)))
        prompt, note = prompt_of(row, given, self._prompts)
        texts = [
            Text("Problem", problem),
            *(Text(f"Reference {index} of {len(references)}" if len(references) > 1 else "Reference", reference)
              for index, reference in enumerate(references[:3], 1)),
            Text("Candidate", sample.candidate),
            Text("The judge's reply" if other is None else "Judge A's reply", as_text(row.get("judge_reply"))),
            Text("Why it was not judged", as_text(row.get("judge_reason"))),
        ]  # fmt: skip
        facts = list(_facts(row))
        if other is not None:
            texts.append(Text("Judge B's reply", as_text(other.get("judge_reply"))))
            texts.append(Text("Why B did not judge it", as_text(other.get("judge_reason"))))
        return Example(
            row=number,
            score=_score(row) if other is None else f"A {_score(row)}, B {_score(other)}",
            outcome=one_line(row.get("judge_outcome"), 40),
            kind=kind_of(as_text(row.get("judge_outcome"))).name.lower(),
            opening=one_line(sample.candidate, 140),
            label="" if self._labels is None else _LABELS.get(int(self._labels[number]), ""),
            data_source=one_line(row.get("data_source"), 60),
            facts=tuple(facts),
            texts=tuple(Text(each.name, bounded(each.text, _MOST)) for each in texts if each.text.strip()),
            prompt=prompt,
            prompt_note=note,
        )


def _trainer_row(number: int, row: Mapping[str, Any], candidate: str) -> TrainerRow:
    layout = next((each for each in LAYOUTS if each.holder in row), None)
    truth = row.get(layout.holder) if layout else None
    if layout is not None and layout.is_struct:
        truth = truth.get("ground_truth") if isinstance(truth, Mapping) else None
    extra = row.get("extra_info")
    if layout is not None and layout.passes_prompt and row.get("prompt") is not None:
        known = extra if isinstance(extra, Mapping) else {}
        extra = {"prompt": row["prompt"], **{name: value for name, value in known.items() if value is not None}}
    name = candidate or next((each for each in CANDIDATES if each in row), "")
    text = _inner(row, name) if name else None
    return TrainerRow(
        number, row.get("data_source"), row.get("prompt"), "" if name and text is None else text, truth, extra
    )


def _inner(row: Mapping[str, Any], path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _facts(row: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, words, form in _FACTS:
        value = row.get(name)
        if isinstance(value, (int, float)) and value == value and value:  # noqa: PLR0124 (not NaN)
            yield words, form(value)
    for name, words in (("judge_server", "server"), ("judge_fallback_by", "fallback by"), ("uid", "uid")):
        if row.get(name):
            yield words, one_line(row[name], 80)


def _score(row: Mapping[str, Any]) -> str:
    value = row.get("score")
    return formats.decimal(float(value)) if isinstance(value, (int, float)) else "no score"


def _sorted(numbers: Iterable[int]) -> Any:
    return np.array(sorted(set(numbers)), dtype=np.int64)
