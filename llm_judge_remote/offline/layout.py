"""Which columns hold what: from the rows of a file to the arguments of a reward function."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from llm_judge_remote.errors import ConfigError, DatasetError

__all__ = ["JSON_TEXT", "Chunk", "Layout", "Row", "of_json_text"]

Row = tuple[Any, Any, Any, Any]
"""data_source, candidate, ground truth and extra_info."""

JSON_TEXT = {b"llm_judge_remote": b"json"}
"""Metadata of a column of text that stands for values of several types: JSON, or text that is none."""

_CANDIDATES = ("candidate", "solution_str", "response", "completion", "output", "prediction", "generated_text")
_PROBLEMS = ("problem", "question")
_HOLDERS = ("reward_model", "reward_spec")  # verl's and SkyRL's; the reference is their `ground_truth`
_REFERENCES = ("ground_truth", "reference", "references", "answer", "solution")
_INNER = "ground_truth"


class Chunk(NamedTuple):
    """Rows of a file.

    Attributes:
        table: As they will stand in the output.
        rows: As the input has them, where that is something else: JSON, whose columns may be of several types.
    """

    table: pa.RecordBatch
    rows: Sequence[Mapping[str, Any]] | None = None

    def values(self, name: str) -> list[Any]:
        """A column's values; all None if there is none.

        Raises:
            DatasetError: Some of them are no values: text that is no UTF-8, a time before or after all years.
        """
        if self.rows is not None:
            return [row.get(name) for row in self.rows]
        if name not in self.table.schema.names:
            return [None] * self.table.num_rows
        try:
            values: list[Any] = self.table.column(name).to_pylist()
        except (ValueError, OverflowError) as error:
            msg = f"column {name!r} holds what cannot be read: {error}"
            raise DatasetError(msg) from None
        is_json = (self.table.schema.field(name).metadata or {}).items() >= JSON_TEXT.items()
        return [of_json_text(value) for value in values] if is_json else values


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a row's parts are.

    Attributes:
        candidate: Column of the candidates; a column, or a path of names with dots into one.
        reference: Column of the references, or such a path.
        problem: Column of the problem, or such a path, or "": then it is what `extra_info` or the prompt say.
        explicit: Whether the problem's column was named, and so wins over `extra_info`.
    """

    candidate: str
    reference: str
    problem: str = ""
    explicit: bool = False

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        *,
        candidate: str | None = None,
        problem: str | None = None,
        reference: str | None = None,
    ) -> Layout:
        """The layout of a file with these columns.

        Args:
            names: All columns.
            candidate: Column of the candidates; None for the first usual name that there is.
            problem: The same of the problems.
            reference: The same of the references.

        Raises:
            ConfigError: There is no such column, or none with a usual name.
        """
        for option, name in (("candidate", candidate), ("problem", problem), ("reference", reference)):
            if name is not None and name not in names and name.partition(".")[0] not in names:
                msg = f"--{option} {name}: there is no such column; there are {', '.join(names) or 'none'}"
                raise ConfigError(msg)
        if candidate is None:
            candidate = _first("candidate", _CANDIDATES, names)
        if reference is None:
            holder = next((name for name in _HOLDERS if name in names), None)
            others = [name for name in names if name != candidate]
            reference = f"{holder}.{_INNER}" if holder else _first("reference", _REFERENCES, others)
        found = problem if problem is not None else next((name for name in _PROBLEMS if name in names), "")
        return cls(candidate, reference, found, problem is not None)

    def rows(self, chunk: Chunk) -> list[Row]:
        """What a reward function is given for each row of a chunk."""
        problems = _path(chunk, self.problem) if self.problem else [None] * chunk.table.num_rows
        return [
            (source, "" if candidate is None else candidate, reference, self._extra(extra, problem, prompt))
            for source, candidate, reference, extra, problem, prompt in zip(
                chunk.values("data_source"),
                _path(chunk, self.candidate),
                _path(chunk, self.reference),
                chunk.values("extra_info"),
                problems,
                chunk.values("prompt"),
                strict=True,
            )
        ]

    def _extra(self, extra: Any, problem: Any, prompt: Any) -> Any:
        """The row's `extra_info`, with the problem in it: its own if it has one, else the column's, else the prompt."""
        if problem is None and prompt is None:
            return extra
        own = extra if isinstance(extra, Mapping) else {}
        if self.explicit and problem is not None:
            return {**own, "problem": problem}
        if any(own.get(name) for name in _PROBLEMS):
            return extra
        if problem is not None:
            return {**own, "problem": problem}
        return extra if own.get("prompt") is not None else {**own, "prompt": prompt}


def of_json_text(text: str | None) -> Any:
    """What a text of a column of `JSON_TEXT` stands for."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def _first(what: str, usual: Sequence[str], names: Sequence[str]) -> str:
    found = next((name for name in usual if name in names), None)
    if found is None:
        msg = (
            f"no column of {what}s: none is called {', '.join(usual)}; name it with --{what} COLUMN; "
            f"there are {', '.join(names) or 'none'}"
        )
        raise ConfigError(msg)
    return found


def _path(chunk: Chunk, name: str) -> list[Any]:
    """A column's values, or those of a field in its objects."""
    has_column = name in chunk.table.schema.names
    head, *rest = [name] if has_column else name.split(".")
    values = chunk.values(head)
    for part in rest:
        values = [value.get(part) if isinstance(value, Mapping) else None for value in values]
    return values
