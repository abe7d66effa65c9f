"""Parquet files, as any program writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llm_judge_remote.dataset.inputs.blocks import unreadable
from llm_judge_remote.dataset.inputs.chunk import Chunk
from llm_judge_remote.dataset.skipped import Place

__all__ = ["ParquetRows", "table_chunk"]

_READ_BYTES = 1 << 20


class ParquetRows:
    """A parquet file.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def names(self) -> list[str]:
        """The columns' names."""
        with self._open() as file:
            return list(file.schema_arrow.names)

    def count(self) -> int:
        """How many rows there are."""
        with self._open() as file:
            return int(file.metadata.num_rows)

    def chunks(self, wanted: Sequence[str], batch_rows: int) -> Iterator[Chunk]:
        """The rows; read page by page, however large the row groups are."""
        first = 1
        with self._open() as file:
            names = file.schema_arrow.names
            heads = {name if name in names else name.partition(".")[0] for name in wanted}
            try:
                for batch in file.iter_batches(batch_rows, columns=sorted(heads.intersection(names))):
                    yield table_chunk(batch, wanted, first)
                    first += batch.num_rows
            except (pa.ArrowInvalid, OSError) as error:
                raise unreadable(self.path, error) from error

    def _open(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path, memory_map=False, buffer_size=_READ_BYTES, pre_buffer=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise unreadable(self.path, error) from error


def table_chunk(batch: pa.RecordBatch, wanted: Sequence[str], first: int) -> Chunk:
    """A chunk of a table's rows, the first of which has this number, from 1."""
    columns = {}
    for name in wanted:
        column = _column(batch, name)
        if column is not None:
            columns[name] = column
    return Chunk(columns, batch.num_rows, lambda row: Place(f"row {first + row}", first + row))


def _column(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    """A column by its name, or by a path into structs; None if there is none."""
    names = batch.schema.names
    if name in names:
        return batch.column(names.index(name))
    head, *rest = name.split(".")
    if head not in names:
        return None
    column = batch.column(names.index(head))
    for part in rest:
        of = column.type
        if not pa.types.is_struct(of) or of.get_field_index(part) < 0:
            return None
        column = pc.struct_field(column, part)
    return column
