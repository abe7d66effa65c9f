"""The rows of a file as a trainer hands them over: verl's parquet, SkyRL's, or JSON of the same columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_judge_remote.dataset.row_source import RowSource, row_source
from llm_judge_remote.errors import DatasetError

__all__ = ["LAYOUTS", "Layout", "TrainerFile", "TrainerRow"]

_CANDIDATES = ("candidate", "solution_str", "response", "completion")


@dataclass(frozen=True, slots=True)
class Layout:
    """Whose columns a file has.

    Attributes:
        name: Of the trainer, or `columns` for the arguments of `compute_score` as columns.
        holder: Column that tells the layout and holds the reference.
        is_struct: Whether the reference is the `ground_truth` in it.
        needs: Columns without which the trainer does not take the file.
        passes_prompt: Whether the reward function is told the prompt.
    """

    name: str
    holder: str
    is_struct: bool
    needs: tuple[str, ...]
    passes_prompt: bool = False


LAYOUTS = (
    Layout("verl", "reward_model", True, ("prompt", "data_source")),
    Layout("SkyRL", "reward_spec", True, ("prompt",), passes_prompt=True),
    Layout("columns", "ground_truth", False, ()),
)
"""The layouts that are known; the first whose column there is counts."""


@dataclass(frozen=True, slots=True)
class TrainerRow:
    """What a reward function is given for a row, and the prompt.

    Attributes:
        index: From 0.
        data_source: As it stands in the file, like the others.
        prompt: For the policy.
        candidate: None without a column of candidates.
        ground_truth: The reference, or several.
        extra_info: A mapping, or whatever else the file holds in its place.
    """

    index: int
    data_source: Any
    prompt: Any
    candidate: Any
    ground_truth: Any
    extra_info: Any


class TrainerFile:
    """A file of rows, read in batches of some 4 MiB, whatever the size of its row groups.

    Args:
        path: `.parquet`, or JSON: lines or one array, `.gz` or not.
        candidate: Column that holds candidates; None for `candidate`, `solution_str`, `response` or `completion`, if
            there is one.

    Attributes:
        path: The same.
        format: `parquet` or `json`.
        layout: Whose columns they are.
        candidate: The column of candidates, or None.
        row_count: Where it can be known before reading, else None.
        metadata: What `prepare` wrote of itself into the file, else an empty dict.

    Raises:
        DatasetError: The file cannot be read, or holds no trainer's rows; the message lists the columns there are.
    """

    def __init__(self, path: Path, candidate: str | None = None) -> None:
        self.path = path
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "no such file"
            msg = f"{path}: {kind}; name one parquet or JSON file"
            raise DatasetError(msg)
        self._source: RowSource = row_source(path)
        self.format = self._source.format
        names = self._source.names
        found = next((each for each in LAYOUTS if each.holder in names), None)
        self.row_count = self._source.row_count
        self.metadata = self._source.metadata
        if found is None:
            wanted = ", ".join(layout.holder for layout in LAYOUTS)
            msg = (
                f"{path} is no trainer's file: none of {wanted} is among its columns ({', '.join(names) or 'none'}); "
                "`llm-judge-remote prepare` makes one from a data set"
            )
            raise DatasetError(msg)
        self.layout = found
        if candidate is not None and candidate not in names:
            msg = f"{path} has no column {candidate!r} of candidates; its columns: {', '.join(names)}"
            raise DatasetError(msg)
        self.candidate = candidate or next((name for name in _CANDIDATES if name in names), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns; of a JSON file those of its first rows."""
        return self._source.names

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Name and type of each field down to the innermost, as `prompt[].role`; of JSON, of the rows read so far."""
        return self._source.fields

    @property
    def mixed(self) -> tuple[tuple[str, str], ...]:
        """Fields of several types, of the rows read so far; never any in parquet."""
        return self._source.mixed

    def __iter__(self) -> Iterator[TrainerRow]:
        """The rows, in order.

        Raises:
            DatasetError: The file is damaged; the message says where.
        """
        layout = self.layout
        wanted = {"data_source", "prompt", "extra_info", layout.holder, self.candidate}
        for index, row in enumerate(self._source.rows([name for name in self.names if name in wanted])):
            truth = row.get(layout.holder)
            if layout.is_struct:
                truth = truth.get("ground_truth") if isinstance(truth, Mapping) else None
            prompt, extra = row.get("prompt"), row.get("extra_info")
            if layout.passes_prompt and prompt is not None:
                given = {name: value for name, value in _mapping(extra).items() if value is not None}
                extra = {"prompt": prompt, **given}
            candidate = None
            if self.candidate is not None:
                candidate = "" if row.get(self.candidate) is None else row[self.candidate]
            yield TrainerRow(index, row.get("data_source"), prompt, candidate, truth, extra)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
