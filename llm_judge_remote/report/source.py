"""A file of scored rows, as batches of columns and as single rows: parquet or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llm_judge_remote.dataset.json_rows import json_rows
from llm_judge_remote.dataset.parquet import is_parquet
from llm_judge_remote.errors import DatasetError
from llm_judge_remote.report.values import IntArray
from llm_judge_remote.sample import as_text

__all__ = ["Batch", "Source", "open_source"]

_BATCH_BYTES = 8 * 2**20
_FEWEST, _MOST = 64, 65_536  # rows of a batch
_JSON_BATCH = 4096
_LOOKED_AT = 256  # rows of a JSON file whose columns stand for all


class Batch(Protocol):
    """Some rows, one after the other in the file."""

    @property
    def num_rows(self) -> int:
        """How many."""

    def column(self, path: str) -> pa.Array:
        """A column, or with dots a field within one; null where a row has none."""


class Source(Protocol):
    """How the rows of one format are read."""

    @property
    def names(self) -> tuple[str, ...]:
        """Columns, and with dots the fields of structs: `extra_info.problem`."""

    @property
    def row_count(self) -> int | None:
        """Where it can be known before reading."""

    def batches(self, paths: Sequence[str]) -> Iterator[Batch]:
        """All rows, with these columns of `names`."""

    def rows(self, numbers: IntArray) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of these numbers (rising, from 0), whole."""


def open_source(path: Path) -> Source:
    """A file's rows: parquet by its name or its first bytes, else JSON: lines or one array, `.gz` or not.

    Raises:
        DatasetError: There is no such file, or it cannot be read.
    """
    if not path.is_file():
        msg = f"{path}: {'a folder' if path.is_dir() else 'no such file'}; name one parquet or JSON file"
        raise DatasetError(msg)
    return _Parquet(path) if path.suffix == ".parquet" or is_parquet(path) else _Json(path)


class _ParquetBatch:
    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self.num_rows: int = batch.num_rows

    def column(self, path: str) -> pa.Array:
        name, *fields = [path] if path in self._batch.schema.names else path.split(".")
        found = self._batch.column(name)
        for field in fields:
            found = pc.struct_field(found, field)
        return found.dictionary_decode() if pa.types.is_dictionary(found.type) else found


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as file:
            self.names = tuple(name for field in file.schema_arrow for name in _paths(field.name, field.type))
            self.row_count: int | None = file.metadata.num_rows
            again = [name for name, times in Counter(file.schema_arrow.names).items() if times > 1]
            if again:
                msg = f"{path} has more than one column {again[0]!r}"
                raise DatasetError(msg)
            size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
        self._batch = min(max(_BATCH_BYTES * (self.row_count or 0) // max(size, 1), _FEWEST), _MOST)

    def batches(self, paths: Sequence[str]) -> Iterator[Batch]:
        with self._reading(), self._open() as file:
            for batch in file.iter_batches(_MOST, columns=list(dict.fromkeys(paths))):
                yield _ParquetBatch(batch)

    def rows(self, numbers: IntArray) -> Iterator[tuple[int, dict[str, Any]]]:
        with self._reading(), self._open() as file:
            start = 0
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                own = numbers[(numbers >= start) & (numbers < end)]
                if len(own):
                    for batch in file.iter_batches(self._batch, row_groups=[group]):
                        here = own[(own >= start) & (own < start + batch.num_rows)]
                        taken = batch.take(pa.array(here - start)).to_pylist() if len(here) else []
                        yield from zip(here.tolist(), taken, strict=True)
                        start += batch.num_rows
                        if start > own[-1]:
                            break
                start = end

    def _open(self) -> pq.ParquetFile:
        with self._reading():
            # Read piece by piece: a file of one row group would else be held whole.
            return pq.ParquetFile(self._path, buffer_size=2**20, pre_buffer=False)

    def _reading(self) -> _Damage:
        return _Damage(self._path)


class _Damage:
    """What pyarrow raises (OSError, ValueError and their like) becomes ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, ValueError)) and not isinstance(error, DatasetError):
            msg = f"{self._path} is no parquet that can be read: {error}"
            raise DatasetError(msg) from None


class _JsonBatch:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        self.num_rows = len(rows)

    def column(self, path: str) -> pa.Array:
        values = [_field(row, path) for row in self._rows]
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
            # Values of several types, or lone surrogates, which JSON can hold and UTF-8 cannot.
            texts = (None if value is None else as_text(value) for value in values)
            return pa.array([None if text is None else text.encode("utf-8", "replace").decode() for text in texts])


class _Json:
    row_count: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        first = islice(json_rows(path), _LOOKED_AT)
        self.names = tuple(dict.fromkeys(name for row in first for name in _row_paths(row)))

    def batches(self, paths: Sequence[str]) -> Iterator[Batch]:  # noqa: ARG002 (a line is read as a whole)
        rows = json_rows(self._path)
        while chunk := list(islice(rows, _JSON_BATCH)):
            yield _JsonBatch(chunk)

    def rows(self, numbers: IntArray) -> Iterator[tuple[int, dict[str, Any]]]:
        wanted = set(numbers.tolist())
        for number, row in enumerate(json_rows(self._path)):
            if number in wanted:
                wanted.remove(number)
                yield number, row
            if not wanted:
                break


def _paths(name: str, kind: pa.DataType) -> Iterator[str]:
    yield name
    if pa.types.is_struct(kind):
        for inner in kind:
            yield from _paths(f"{name}.{inner.name}", inner.type)


def _row_paths(row: dict[str, Any], holder: str = "") -> Iterable[str]:
    for name, value in row.items():
        yield holder + name
        if isinstance(value, dict):
            yield from _row_paths(value, f"{holder}{name}.")


def _field(row: dict[str, Any], path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
