"""The input, part by part: parquet, JSON lines or a JSON array of objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from llm_judge_remote.dataset.json_rows import json_rows
from llm_judge_remote.dataset.parquet import is_parquet
from llm_judge_remote.errors import DatasetError
from llm_judge_remote.offline.layout import JSON_TEXT, Chunk, of_json_text

__all__ = ["Table", "digest", "open_table"]

_PART_BYTES = 16 << 20
_FEWEST, _MOST = 64, 4096  # rows of a part
_LOOK_ROWS = 1024
_PIECE = 1 << 20
_NOT_ARROW = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError)
"""What Arrow says to values that it cannot hold as they are: of several types, too large, no UTF-8."""


class Table(Protocol):
    """The rows of one file. It can be pickled.

    Attributes:
        path: The file.
        schema: Of the columns.
        row_count: Rows.
        part_rows: Rows of a part: some 16 MiB of them, if they are of the usual length.
    """

    path: Path
    schema: pa.Schema
    row_count: int
    part_rows: int

    def starts(self) -> list[int]:
        """Rows from which on reading may begin without reading what is before them; the first is 0."""

    def chunks(self, start: int, size: int) -> Iterator[Chunk]:
        """The rows from `start` on, so many at a time; fewer the last time."""


def open_table(path: Path) -> Table:
    """The rows of a file; JSON is read once, to know its columns.

    Raises:
        DatasetError: It cannot be read.
    """
    if not path.is_file():
        msg = f"{path}: {'a folder' if path.is_dir() else 'no such file'}; name one parquet or JSON file"
        raise DatasetError(msg)
    return _Parquet(path) if is_parquet(path) or path.suffix == ".parquet" else _Json(path)


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    made = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            made.update(piece)
    return made.hexdigest()


class _Parquet:
    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            self.schema = file.schema_arrow.remove_metadata()
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
            self._group_rows = [group.num_rows for group in groups]
            size = sum(group.total_byte_size for group in groups)
        self.row_count = sum(self._group_rows)
        self.part_rows = _part_rows(size, self.row_count)

    def starts(self) -> list[int]:
        starts = [0]
        for rows in self._group_rows[:-1]:
            starts.append(starts[-1] + rows)
        return starts

    def chunks(self, start: int, size: int) -> Iterator[Chunk]:
        starts = self.starts()
        first = max((number for number, row in enumerate(starts) if row <= start), default=0)
        held: list[pa.RecordBatch] = []
        rows = 0
        try:
            with self._open() as file:
                groups = list(range(first, file.num_row_groups))
                skip = start - starts[first]
                for whole in file.iter_batches(min(size, _MOST), row_groups=groups):
                    batch = whole.slice(min(skip, whole.num_rows))
                    skip -= whole.num_rows - batch.num_rows
                    while batch.num_rows:
                        held.append(batch.slice(0, size - rows))
                        rows += held[-1].num_rows
                        batch = batch.slice(held[-1].num_rows)
                        if rows == size:
                            yield Chunk(_joined(held))
                            held, rows = [], 0
        except (OSError, ValueError) as error:  # pyarrow's own errors are of these
            msg = f"{self.path} is damaged: {error}"
            raise DatasetError(msg) from None
        if rows:
            yield Chunk(_joined(held))

    def _open(self) -> pq.ParquetFile:
        try:
            # Read piece by piece: a file of one row group would else be held whole.
            return pq.ParquetFile(self.path, buffer_size=_PIECE, pre_buffer=False)
        except (OSError, ValueError) as error:
            msg = f"{self.path} is no parquet that can be read: {error}"
            raise DatasetError(msg) from None


class _Json:
    def __init__(self, path: Path) -> None:
        self.path = path
        types: dict[str, pa.DataType | None] = {}
        self.row_count = 0
        rows = json_rows(path)
        while look := list(islice(rows, _LOOK_ROWS)):
            self.row_count += len(look)
            for name in dict.fromkeys(name for row in look for name in row):
                types[name] = _common(types.get(name, pa.null()), [row.get(name) for row in look])
        self._types = {name: None if of is None else _writable(of) for name, of in types.items()}
        fields = (
            pa.field(name, pa.string(), metadata=JSON_TEXT) if of is None else pa.field(name, of)
            for name, of in self._types.items()
        )
        self.schema = pa.schema(fields)
        self.part_rows = _part_rows(path.stat().st_size, self.row_count)

    def starts(self) -> list[int]:
        return [0]

    def chunks(self, start: int, size: int) -> Iterator[Chunk]:
        rows = islice(json_rows(self.path), start, None)
        while held := list(islice(rows, size)):
            arrays = [_array([row.get(name) for row in held], of) for name, of in self._types.items()]
            yield Chunk(pa.RecordBatch.from_arrays(arrays, schema=self.schema), held)


def _part_rows(size: int, rows: int) -> int:
    return min(max(_PART_BYTES * rows // max(size, 1), _FEWEST), _MOST)


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _common(before: pa.DataType | None, values: list[Any]) -> pa.DataType | None:
    """The type that holds these values too; None: none does, and they are kept as text."""
    if before is None:
        return None
    try:
        own = pa.array(values).type
        if own == before:
            return before
        both = [pa.schema([("", before)]), pa.schema([("", own)])]
        return pa.unify_schemas(both, promote_options="permissive").field(0).type
    except _NOT_ARROW:
        return None


def _writable(of: pa.DataType) -> pa.DataType:
    """The type, with a field in objects that have none: parquet has no such objects."""
    if pa.types.is_struct(of):
        return pa.struct([of[n].with_type(_writable(of[n].type)) for n in range(of.num_fields)] or [("_", pa.null())])
    return pa.list_(_writable(of.value_type)) if pa.types.is_list(of) else of


def _array(values: list[Any], of: pa.DataType | None) -> pa.Array:
    return pa.array([_text(value) for value in values], pa.string()) if of is None else pa.array(values, of)


def _text(value: Any) -> str | None:
    """A value of a column that no type holds: text as it is, anything else as JSON, and so text that looks like it."""
    if value is None:
        return None
    if not isinstance(value, str) or of_json_text(value) != value:
        try:
            return orjson.dumps(value).decode()
        except TypeError:
            value = json.dumps(value, ensure_ascii=False)
    text: str = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
