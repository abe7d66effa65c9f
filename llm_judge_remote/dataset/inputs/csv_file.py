"""CSV and TSV: a head line with names, then a row on each line, or over several where a value is quoted."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from llm_judge_remote.dataset.inputs.blocks import blocks, not_utf8, open_bytes, unreadable
from llm_judge_remote.dataset.inputs.chunk import Chunk
from llm_judge_remote.dataset.skipped import Place
from llm_judge_remote.errors import DatasetError

__all__ = ["CsvFile"]

_TEXT = pa.large_string()
BLOCK_BYTES = 4 << 20  # no row may be longer, and pyarrow reads up to 32 blocks ahead


class CsvFile:
    """A file of comma- or tab-separated values; empty lines are no rows.

    Args:
        path: The file; unpacked if its name ends with `.gz`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._delimiter = "\t" if path.lower().removesuffix(".gz").endswith(".tsv") else ","

    def names(self) -> list[str]:
        """The names in the head line."""
        first = next(blocks(self.path), None)
        if first is None:
            return []
        try:
            lines = io.StringIO(str(first.text, "utf-8"), newline="")
        except UnicodeDecodeError:
            raise not_utf8(self.path) from None
        try:
            return next(filter(None, csv.reader(lines, delimiter=self._delimiter)), [])
        except csv.Error as error:
            raise unreadable(self.path, error) from error

    def count(self) -> None:
        """Not known without reading the file."""

    def chunks(self, wanted: Sequence[str], batch_rows: int) -> Iterator[Chunk]:  # noqa: ARG002 (blocks are bounded)
        """The rows; those with too few or too many values are bad."""
        names = self.names()
        if not names:
            return
        for name in wanted:
            if names.count(name) > 1:
                msg = f"{self.path}: {names.count(name)} columns are called {name!r}"
                raise DatasetError(msg)
        columns = [name for name in wanted if name in names]
        ragged: deque[tuple[int, str]] = deque()
        lines = _Lines(self.path, self._delimiter)
        record = 2  # the head line is the first
        held: Chunk | None = None
        with _Followed(self.path, 2 if len(names) == 1 else 1, self._delimiter) as file:
            try:
                for batch in self._open(file, columns, ragged):
                    if held is not None:
                        yield held
                    held = _chunk(batch, record, ragged, lines)
                    record += held.rows
            except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, EOFError) as error:
                raise self._broken(error) from error
            if not file.end_seen:
                msg = f"{self.path}: a quote is opened and never closed, and all rows after it are in one value"
                raise DatasetError(msg)
        if held is not None:
            yield held
        if ragged:
            nothing = pa.record_batch([pa.array([], _TEXT)] * len(columns), columns)
            yield _chunk(nothing, record, ragged, lines)

    def _open(
        self, file: _Followed, columns: Sequence[str], ragged: deque[tuple[int, str]]
    ) -> pa_csv.CSVStreamingReader:
        def on_ragged(row: pa_csv.InvalidRow) -> str:
            if row.text == file.end:
                file.end_seen = True
            else:
                ragged.append((row.number, f"{row.actual_columns} values for {row.expected_columns} columns"))
            return "skip"

        return pa_csv.open_csv(
            file,
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),  # threads do not number rows
            parse_options=pa_csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=on_ragged
            ),
            convert_options=pa_csv.ConvertOptions(
                check_utf8=False,  # it was, on the way here
                column_types=dict.fromkeys(columns, _TEXT),
                include_columns=list(columns),
                strings_can_be_null=False,
            ),
        )

    def _broken(self, error: Exception) -> DatasetError:
        if "straddling" in str(error):
            most = BLOCK_BYTES >> 20
            return DatasetError(f"{self.path}: a row is longer than {most} MiB, or a quote is opened and never closed")
        return unreadable(self.path, error)


def _chunk(batch: pa.RecordBatch, record: int, ragged: deque[tuple[int, str]], lines: _Lines) -> Chunk:
    """The batch with the ragged rows before, among and right after its own; the first is this record of the file."""
    defects: dict[int, str] = {}
    rows = batch.num_rows
    while ragged and ragged[0][0] <= record + rows:
        number, why = ragged.popleft()
        defects[number - record] = why
        rows += 1
    if defects:
        bad = np.zeros(rows, dtype=bool)
        bad[list(defects)] = True
        batch = batch.take(pa.array(np.cumsum(~bad) - 1, mask=bad))
    columns = {name: batch.column(name) for name in batch.schema.names}
    return Chunk(columns, rows, lambda row: lines.place(record + row), defects)


class _Lines:
    """Tells on which line a record begins, by another way through the file: one for all that are asked for in order."""

    def __init__(self, path: str, delimiter: str) -> None:
        self._path = path
        self._delimiter = delimiter
        self._record = 0
        self._begins: Iterator[int] = iter(())

    def place(self, record: int) -> Place:
        """That of a record; the head line is the first."""
        if record <= self._record or not self._record:
            self._record, self._begins = 0, self._all()
        with contextlib.suppress(csv.Error):  # a value is longer than this other way takes
            for line in self._begins:
                self._record += 1
                if self._record == record:
                    return Place(f"line {line}", line)
        return Place(f"row {record - 1}", record - 1)

    def _all(self) -> Iterator[int]:
        with open_bytes(self._path) as file:
            reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), delimiter=self._delimiter)
            line = 1
            for values in reader:
                if values:  # an empty line is no record
                    yield line
                line = reader.line_num + 1


class _Followed:
    """The file's bytes, and then a line of its own: if the parser does not come to it, a quote was left open.

    Attributes:
        end: That line; nobody has such a row.
        end_seen: Whether the parser came to it.
    """

    def __init__(self, path: str, width: int, delimiter: str) -> None:
        self._path = path
        self._file = open_bytes(path)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.end = delimiter.join(["\x00end of the file\x00"] * width)
        self.end_seen = False
        self._rest = f"\n{self.end}\n".encode()
        self.closed = False

    def read(self, size: int) -> bytes:
        """The next bytes, which are UTF-8."""
        data: bytes = self._file.read(size)
        try:
            self._decoder.decode(data, final=not data)
        except UnicodeDecodeError:
            raise not_utf8(self._path) from None
        if not data:
            data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        """It is no longer needed."""
        self.closed = True
        self._file.close()

    def __enter__(self) -> _Followed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
