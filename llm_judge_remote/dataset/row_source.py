"""The rows of a parquet or JSON file as Python values, a few at a time, and the types of their fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from llm_judge_remote.dataset.json_rows import JsonTypes, json_rows
from llm_judge_remote.dataset.parquet import METADATA_KEY, is_parquet
from llm_judge_remote.errors import DatasetError

__all__ = ["RowSource", "row_source"]

_BATCH_BYTES = 4 * 2**20
_FEWEST, _MOST = 16, 8192  # rows of a batch
_LOOKED_AT = 64  # rows of a JSON file whose columns stand for all


class RowSource(Protocol):
    """How the rows of one format are read."""

    format: str
    names: tuple[str, ...]
    row_count: int | None
    metadata: Mapping[str, Any]

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Name and type of each field; of JSON, of the rows read so far."""

    @property
    def mixed(self) -> tuple[tuple[str, str], ...]:
        """Fields of several types, of the rows read so far."""

    def rows(self, names: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        """The rows, with these columns at least."""


def row_source(path: Path) -> RowSource:
    """The rows of a file: parquet by its name or its first bytes, else JSON.

    Raises:
        DatasetError: It cannot be read.
    """
    return _Parquet(path) if path.suffix.lower() == ".parquet" or is_parquet(path) else _Json(path)


class _Parquet:
    format = "parquet"

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as file:
            self._schema = file.schema_arrow
            self.row_count: int | None = file.metadata.num_rows
            # Not the schema's, which lacks what does not come from Arrow.
            own = (file.metadata.metadata or {}).get(METADATA_KEY)
            size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
        self.names: tuple[str, ...] = tuple(self._schema.names)
        self.mixed: tuple[tuple[str, str], ...] = ()
        self.fields = tuple(leaf for field in self._schema for leaf in _leaves(field.name, field.type))
        self._batch = min(max(_BATCH_BYTES * (self.row_count or 0) // max(size, 1), _FEWEST), _MOST)
        self.metadata: Mapping[str, Any] = _metadata(own)

    def rows(self, names: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        names = list(names)
        try:
            with self._open() as file:
                for batch in file.iter_batches(self._batch, columns=names):
                    columns = [column.to_pylist() for column in batch.columns]
                    for values in zip(*columns, strict=True):
                        yield dict(zip(batch.schema.names, values, strict=True))
        except (OSError, ValueError) as error:  # pyarrow's own errors are of these
            msg = f"{self._path} is damaged: {error}"
            raise DatasetError(msg) from None

    def _open(self) -> pq.ParquetFile:
        try:
            # Read piece by piece: a file of one row group would else be held whole.
            return pq.ParquetFile(self._path, buffer_size=2**20, pre_buffer=False)
        except (OSError, ValueError) as error:
            msg = f"{self._path} is no parquet that can be read: {error}"
            raise DatasetError(msg) from None


class _Json:
    format = "json"

    def __init__(self, path: Path) -> None:
        self._path = path
        first = islice(json_rows(path), _LOOKED_AT)
        self.names = tuple(dict.fromkeys(name for row in first for name in row))
        self._types = JsonTypes()
        self.row_count: int | None = None
        self.metadata: Mapping[str, Any] = {}

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        return self._types.fields

    @property
    def mixed(self) -> tuple[tuple[str, str], ...]:
        return self._types.mixed

    def rows(self, names: Iterable[str]) -> Iterator[Mapping[str, Any]]:  # noqa: ARG002 (a line is read as a whole)
        self._types = JsonTypes()
        for row in json_rows(self._path):
            self._types.add(row)
            yield row


def _leaves(name: str, kind: pa.DataType) -> Iterator[tuple[str, str]]:
    if pa.types.is_struct(kind) and kind.num_fields:
        for inner in kind:
            yield from _leaves(f"{name}.{inner.name}", inner.type)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(f"{name}[]", kind.value_type)
    else:
        yield name, str(kind)


def _metadata(said: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(said or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
