"""What an inspection says of a file, as values and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from llm_judge_remote.dataset.as_judged import Shown
from llm_judge_remote.dataset.findings import Finding
from llm_judge_remote.dataset.measures import Length

__all__ = ["Example", "Inspection"]


@dataclass(frozen=True, slots=True)
class Example:
    """A row as the judge would see it.

    Attributes:
        row: From 0.
        data_source: Its name.
        overrides: Names of the settings that it brings.
        shown: What the judge is sent.
    """

    row: int
    data_source: str
    overrides: tuple[str, ...]
    shown: Shown

    def to_dict(self) -> dict[str, Any]:
        """`row`, `data_source`, `overrides`, `model`, `why_not` ("" where it is shown), `conversations`."""
        return {
            "row": self.row,
            "data_source": self.data_source,
            "overrides": list(self.overrides),
            "model": self.shown.model,
            "why_not": self.shown.why_not,
            "conversations": [[dict(message) for message in each] for each in self.shown.conversations],
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """What came of inspecting a file.

    Attributes:
        file: Its name.
        format: `parquet` or `json`.
        layout: `verl`, `SkyRL` or `columns`.
        rows: How many.
        requests: Conversations with the judge about one candidate for each row: one for each reference.
        columns: Name and type of each field, as `prompt[].role`.
        metadata: What `prepare` wrote of itself into the file.
        data_sources: Rows by name, the most frequent first; those beyond the 10,000th name are counted under "…".
        lengths: In characters; of `prompt`, `problem`, `reference`, `candidate`, and `judge_prompt` (the longest of a
            row's prompts for the judge, without the candidate), as far as there are any.
        overrides: Settings that rows bring; see `Overrides.to_dicts`.
        judge: `prompt_template`, `model_name`, `context` (tokens), `counted_by` (`rule of thumb` or `tokenizer`).
        findings: Errors, then warnings.
        examples: Rows as the judge would see them.
    """

    file: str
    format: str
    layout: str
    rows: int
    requests: int
    columns: tuple[tuple[str, str], ...]
    metadata: Mapping[str, Any]
    data_sources: Mapping[str, int]
    lengths: Mapping[str, Length]
    overrides: tuple[dict[str, Any], ...]
    judge: Mapping[str, Any]
    findings: tuple[Finding, ...]
    examples: tuple[Example, ...]

    @property
    def has_errors(self) -> bool:
        """Whether there are rows that can never be scored."""
        return any(finding.level == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it: the attributes by name.

        `columns` are objects with `name` and `type`; a length has `median`, `p95`, `max` and `longest_row`; a finding
        `level`, `code`, `message`, `rows` and `first_rows`; an example as `Example.to_dict` has it; and `has_errors`.
        """
        return {
            "file": self.file,
            "format": self.format,
            "layout": self.layout,
            "rows": self.rows,
            "requests": self.requests,
            "has_errors": self.has_errors,
            "columns": [{"name": name, "type": kind} for name, kind in self.columns],
            "metadata": dict(self.metadata),
            "data_sources": dict(self.data_sources),
            "lengths": {name: asdict(length) for name, length in self.lengths.items()},
            "overrides": list(self.overrides),
            "judge": dict(self.judge),
            "findings": [finding.to_dict() for finding in self.findings],
            "examples": [example.to_dict() for example in self.examples],
        }
