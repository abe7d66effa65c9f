"""Parquet files that say how they were made: the same bytes for the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from llm_judge_remote.errors import DatasetError

__all__ = ["METADATA_KEY", "ROW_GROUP_ROWS", "RowFile", "is_parquet", "packed", "read_metadata", "unpacked"]

METADATA_KEY = b"llm_judge_remote"
"""Where a file's metadata say how it was made, as a JSON object."""

ROW_GROUP_ROWS = 16_384

_MAGIC = b"PAR1"


class RowFile:
    """A parquet file in the making; used as a context manager. It is whole when that ends without an error.

    Row groups are compressed in a thread of its own, one at a time.

    Args:
        path: Of the file; one that is there is written over.
        schema: Of the rows.
        metadata: How the file is made.
        writing: What to enter whenever something is written, for its errors to be told.
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        metadata: Mapping[str, Any],
        writing: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._writing = writing
        told = schema.with_metadata({METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()})
        with writing():
            # Statistics of texts help no reader, and put whole texts into the footer.
            self._writer = pq.ParquetWriter(path, told, compression="zstd", write_statistics=False)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._last: Future[None] | None = None

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown()
        failure = self._last.exception() if self._last is not None else None
        # What stopped it is to be known, not that the file's end cannot be written either.
        with suppress(OSError) if kind or failure else self._writing():
            self._writer.close()
        if failure is not None and kind is None:
            with self._writing():
                raise failure

    def write(self, rows: pa.RecordBatch) -> None:
        """Add a row group; return when the one before it is written."""
        with self._writing():
            if self._last is not None:
                self._last.result()
        group = pa.Table.from_batches([rows])
        self._last = self._thread.submit(self._writer.write_table, group, row_group_size=max(rows.num_rows, 1))


def packed(rows: pa.RecordBatch) -> memoryview:
    """Rows as bytes, quickly made and quickly read. Several threads may do that at once."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_batch(rows)
    return memoryview(sink.getvalue())


def unpacked(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a file that is made of `packed` ones, one behind the other."""
    with pa.OSFile(str(path)) as file:
        while file.tell() < file.size():
            yield from pa.ipc.open_stream(file)


def is_parquet(path: Path) -> bool:
    """Whether a file begins as parquet does.

    Raises:
        DatasetError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise DatasetError(msg) from None


def read_metadata(path: Path) -> dict[str, Any] | None:
    """How a file was made; None if it is not of this package's making.

    Raises:
        DatasetError: It is no parquet file, or there is none.
    """
    try:
        found = (pq.read_metadata(path).metadata or {}).get(METADATA_KEY)
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"{path}: {error}"
        raise DatasetError(msg) from None
    made: dict[str, Any] | None = json.loads(found) if found else None
    return made
