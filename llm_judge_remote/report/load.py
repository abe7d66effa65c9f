"""One walk through a file, in batches: what all figures are made of, 100 to 200 bytes for each row."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from llm_judge_remote.judgement import Outcome
from llm_judge_remote.report import values
from llm_judge_remote.report.columns import Wanted, find_columns
from llm_judge_remote.report.scored import NO_GROUP, NUMBERS, Columns, Scored, kind_of
from llm_judge_remote.report.source import Batch, Source
from llm_judge_remote.report.values import IntArray, Names

__all__ = ["Progress", "load"]

Progress = Callable[[int, int | None], None]
"""Called with the rows that were read, and with how many there are where that is known."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_FLAGS = ("judge_ok", "judge_fallback")


def load(
    source: Source,
    path: Path,
    wanted: Wanted,
    *,
    with_identity: bool = False,
    on_progress: Progress = lambda done, total: None,  # noqa: ARG005
) -> Scored:
    """What is known of all rows.

    Args:
        source: The file's rows.
        path: Where it is.
        wanted: Columns that the user names.
        with_identity: Whether problems and candidates are compared later with those of another file.
        on_progress: Called after each batch.

    Raises:
        ConfigError: A named column is not there, or there is no score.
        DatasetError: The file is damaged.
    """
    columns = find_columns(source.names, path.name, wanted)
    walk = _Walk(source.names, columns, with_identity)
    done = 0
    for batch in source.batches(walk.paths):
        walk.add(batch)
        done += batch.num_rows
        on_progress(done, source.row_count)
    return walk.scored(path.name)


class _Walk:
    def __init__(self, names: tuple[str, ...], columns: Columns, with_identity: bool) -> None:
        self._columns = columns
        self._numbers = [name for name in NUMBERS if name in names]
        self._names = {
            "data_source": Names(),
            columns.outcome or "judge_outcome": Names(),
            "judge_server": Names(),
            "judge_reason": Names(lambda text: _NUMBER.sub("#", text)),
        }
        self._flags = [name for name in _FLAGS if name in names and not columns.outcome]
        same = (columns.problem, columns.candidate)
        self._same = [name for name in same if name] if with_identity and columns.candidate else []
        optional = (columns.label, columns.group, columns.time, *self._same, *self._flags)
        self._there = {
            "score",
            *self._numbers,
            *(name for name in self._names if name in names),
            *filter(None, optional),
        }
        self._parts: dict[str, list[npt.NDArray[Any]]] = defaultdict(list)

    @property
    def paths(self) -> list[str]:
        """The columns that are read."""
        return sorted(self._there)

    def add(self, batch: Batch) -> None:
        parts, columns = self._parts, self._columns
        parts["score"].append(values.numbers(batch.column("score")))
        for name in self._numbers:
            parts[name].append(values.numbers(batch.column(name)))
        for name, known in self._names.items():
            if name in self._there:
                parts[name].append(known.codes(batch.column(name)))
            elif name == "judge_outcome" and self._flags:
                parts[name].append(known.codes(_outcomes(batch, self._flags)))
            else:
                parts[name].append(known.none(batch.num_rows))
        if columns.label:
            parts["label"].append(values.labels(batch.column(columns.label)))
        if columns.time:
            parts["time"].append(values.times(batch.column(columns.time)))
        if columns.group:
            hashed, there = values.hashes(batch.column(columns.group))
            parts["group"].append(hashed)
            parts["in_group"].append(there)
        for name in self._same:
            parts[f"same {name}"].append(values.hashes(batch.column(name))[0])

    def scored(self, file: str) -> Scored:
        outcomes, sources, servers, reasons = (self._names[name] for name in self._order)
        codes = [self._whole(name, np.int32) for name in self._order]
        kinds = np.array([int(kind_of(name)) for name in outcomes.names] or [0], dtype=np.int8)
        return Scored(
            file=file,
            columns=self._columns,
            score=self._whole("score", np.float64),
            kind=kinds[codes[0]],
            outcome=codes[0],
            outcomes=tuple(outcomes.names),
            source=codes[1],
            sources=tuple(sources.names),
            server=codes[2],
            servers=tuple(servers.names),
            reason=codes[3],
            reasons=tuple(reasons.names),
            numbers={name: self._whole(name, np.float64) for name in self._numbers},
            label=self._whole("label", np.int8) if self._columns.label else None,
            group=self._group() if self._columns.group else None,
            time=self._whole("time", np.float64) if self._columns.time else None,
            identity=self._identity(),
        )

    @property
    def _order(self) -> tuple[str, ...]:
        return (self._columns.outcome or "judge_outcome", "data_source", "judge_server", "judge_reason")

    def _whole(self, name: str, kind: type[np.generic]) -> npt.NDArray[Any]:
        parts = self._parts.pop(name, [])
        return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)

    def _group(self) -> IntArray:
        """Groups numbered as they appear: hashes differ from process to process, and the report must not."""
        hashed, there = self._whole("group", np.int64), self._whole("in_group", np.bool_)
        _, first, codes = np.unique(hashed, return_index=True, return_inverse=True)
        order = np.empty(len(first), dtype=np.int64)
        order[np.argsort(first)] = np.arange(len(first))
        return np.where(there, order[codes], NO_GROUP)

    def _identity(self) -> IntArray | None:
        if not self._same:
            return None
        mixed = np.zeros(0, dtype=np.int64)
        for number, name in enumerate(self._same):
            hashed = self._whole(f"same {name}", np.int64)
            mixed = mixed * np.int64(1_000_003) + hashed if number else hashed
        return mixed


def _outcomes(batch: Batch, flags: list[str]) -> pa.Array:
    """What older files say in two columns of 0 and 1."""
    found = np.full(batch.num_rows, Outcome.EMPTY_CANDIDATE.value, dtype=object)
    for name, outcome in zip(_FLAGS, (Outcome.JUDGED, Outcome.FALLBACK), strict=True):
        if name in flags:
            found[values.numbers(batch.column(name)) > 0] = outcome.value
    return pa.array(found, pa.string())
