"""The state of a scoring, which outlives the process: parts that are written, and rows of those that are under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

import pyarrow as pa

from llm_judge_remote.dataset.parquet import RowFile, packed, unpacked
from llm_judge_remote.dataset.work_folder import WorkFolder
from llm_judge_remote.judgement import Judgement
from llm_judge_remote.offline.journal import Journal
from llm_judge_remote.offline.layout import Chunk, Layout, Row
from llm_judge_remote.offline.prompts import Prompts
from llm_judge_remote.offline.record import NAMES, Values, column, decoded, encoded, is_sound, was_not_judged
from llm_judge_remote.offline.table import Table
from llm_judge_remote.offline.tally import Tally

__all__ = ["OUTPUT", "ROWS", "Columns", "Part", "Work"]

ROWS = "rows.arrow"
"""The rows of the parts that are complete."""

OUTPUT = "rows.parquet"
"""The same as parquet, of which half a file cannot be read."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns are read, kept and written.

    Attributes:
        layout: Those that are judged.
        kept: The input's that stay.
        added: The judgement's.
        prefix: Before the names of the judgement's.
        failed_only: Whether only rows are judged that fell back or failed in an earlier scoring.
    """

    layout: Layout
    kept: tuple[str, ...]
    added: pa.Schema
    prefix: str
    failed_only: bool

    def earlier(self, chunk: Chunk) -> dict[int, Values]:
        """What an earlier scoring said of those rows of a chunk that are not to be judged."""
        if not self.failed_only:
            return {}
        rows = zip(*(chunk.values(f"{self.prefix}{name}") for name in NAMES), strict=True)
        return {number: list(own) for number, own in enumerate(rows) if is_sound([*own]) and not was_not_judged([*own])}


@dataclass(slots=True)
class Part:
    """Rows that are written together.

    Attributes:
        number: From 0.
        first: The number of its first row.
        chunk: Its rows.
        earlier: What an earlier scoring said of rows, by their places in the chunk.
        places: Of the rows that are to be judged.
        rows: These rows.
        left: How many of them are not judged yet.
        tally: Of the rows that are judged.
    """

    number: int
    first: int
    chunk: Chunk
    earlier: dict[int, Values]
    places: list[int]
    rows: list[Row]
    left: int
    tally: Tally = field(default_factory=Tally)


class Work:
    """What is done and what is left; used as a context manager, after which the output is whole if there was no error.

    Args:
        table: The input.
        columns: Which columns are what.
        folder: For the parts that are written.
        journal: Of the rows of parts that are not.
        metadata: How the output is made.
        prompts: Makes the prompts to be kept, if that is asked for.

    Attributes:
        written: Rows in the parts that are written.
        taken_over: Rows that an earlier run has judged.
    """

    def __init__(
        self,
        table: Table,
        columns: Columns,
        folder: WorkFolder,
        journal: Journal,
        metadata: Mapping[str, Any],
        prompts: Prompts | None = None,
    ) -> None:
        self.table = table
        self.columns = columns
        self.written = sum(note["rows"] for note in folder.notes)
        self.taken_over = self.written
        self._folder = folder
        self._journal = journal
        self._metadata = metadata
        self._prompts = prompts
        self._opened = ExitStack()
        self._output: RowFile | None = None
        self._closed = Tally()
        self._open: dict[int, Part] = {}
        self._lock = threading.Lock()  # parts are read and written beside the judging
        for note in folder.notes:
            self._closed.merge(Tally.from_dict(note["tally"]))
        for part in journal.parts:
            if part * table.part_rows < self.written:
                journal.remove(part)  # it was written, and the process ended before that was noted
            else:
                self.taken_over += len(journal.read(part, judged_only=True))
        self._schema = pa.schema([table.schema.field(name) for name in columns.kept] + list(columns.added))

    def __enter__(self) -> Work:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._file()
        self._opened.__exit__(kind, error, at)

    def tally(self) -> Tally:
        """Of all rows so far, whoever judged them."""
        made = Tally()
        with self._lock:
            for each in [self._closed, *(part.tally for part in self._open.values())]:
                made.merge(each)
        return made

    def known(self) -> frozenset[int]:
        """The numbers of the rows that are judged, of parts that are not written."""
        parts = (self._journal.read(part, judged_only=True) for part in self._journal.parts)
        return frozenset(row for found in parts for row in found)

    def parts(self) -> Iterator[Part]:
        """The parts that are not written, in order."""
        size = self.table.part_rows
        first = self.written
        for chunk in self.table.chunks(first, size):
            number = first // size
            known = self._journal.read(number, judged_only=True)
            earlier = self.columns.earlier(chunk)
            rows = self.columns.layout.rows(chunk)
            places = [place for place in range(len(rows)) if place not in earlier and first + place not in known]
            part = Part(number, first, chunk, earlier, places, [rows[place] for place in places], len(places))
            for values in [*known.values(), *earlier.values()]:
                part.tally.add_values(values)
            with self._lock:
                self._open[number] = part
            yield part
            first += chunk.table.num_rows

    def add(self, part: Part, judged: Sequence[tuple[int, Judgement]]) -> None:
        """Keep judgements of rows, named by their places in the part."""
        self._journal.add(part.number, [encoded(part.first + place, judgement) for place, judgement in judged])
        for _, judgement in judged:
            part.tally.add(judgement)
        part.left -= len(judged)

    def add_lines(self, part_number: int, lines: Sequence[bytes]) -> None:
        """Keep judgements that another process has made, of a part that may not have been read yet."""
        self._journal.add(part_number, lines)
        part = self._open.get(part_number)
        if part is not None:
            for line in lines:
                part.tally.add_values(decoded(line)[1])
            part.left -= len(lines)

    def write(self, part: Part) -> None:
        """Write a part that is complete; the one before it is written."""
        own = {part.first + place: values for place, values in part.earlier.items()} | self._journal.read(part.number)
        count = part.chunk.table.num_rows
        judged = list(zip(*(own[row] for row in range(part.first, part.first + count)), strict=True))
        if self._prompts is not None:
            judged.append(tuple(self._prompts.of(self.columns.layout.rows(part.chunk), judged)))
        arrays = [part.chunk.table.column(name) for name in self.columns.kept]
        arrays += [column(values, added.type) for values, added in zip(judged, self.columns.added, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        file = self._file()
        self._folder.append({ROWS: [packed(batch)]}, {"rows": count, "tally": part.tally.to_dict()})
        file.write(batch)
        self._journal.remove(part.number)
        with self._lock:
            self.written += count
            self._closed.merge(part.tally)
            del self._open[part.number]

    def _file(self) -> RowFile:
        """The output, with all parts in it that are written."""
        if self._output is None:
            parquet = self._folder.folder / OUTPUT
            made = RowFile(parquet, self._schema, self._metadata, partial(self._folder.writing, OUTPUT))
            self._output = self._opened.enter_context(made)
            for batch in unpacked(self._folder.folder / ROWS):
                self._output.write(batch)
        return self._output

    def flush(self) -> None:
        """Have all that was added outlive this process."""
        self._journal.flush()

    def sync(self) -> None:
        """Have the disk take all that was added."""
        self._journal.sync()
