"""Batches of items as they are needed: of another size, or only some of the items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from llm_judge_remote.errors import DatasetError

__all__ = ["MOST_BYTES", "ReadAhead", "Subset", "cuts", "regrouped"]

MOST_BYTES = 16 << 20
"""What the texts of one step's rows may come to: so much is held several times over."""


class Rows(Protocol):
    """What `Subset` is taken from; see `llm_judge_remote.dataset.source.Source`."""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Batches of `ITEMS`; equal ones each time."""

    def digest(self) -> str:
        """Another one for another content."""


class ReadAhead:
    """The same rows, of which the next batch is read while one is worked on.

    Args:
        source: All rows.
    """

    def __init__(self, source: Rows) -> None:
        self._source = source

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        batches = iter(self._source)
        with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
            coming = reader.submit(next, batches, None)
            while (batch := coming.result()) is not None:
                coming = reader.submit(next, batches, None)
                yield batch

    def digest(self) -> str:
        """That of the source."""
        return self._source.digest()


class Subset:
    """Some rows of a source, drawn without replacement, in the source's order.

    Which rows there are is known only when all have been read, so the source is read once more.

    Args:
        source: All rows.
        size: How many to take.
        seed: Of the draw.
        on_rows: Called with the number of rows counted so far.
    """

    def __init__(self, source: Rows, size: int, seed: int, on_rows: Callable[[int], None] = lambda _: None) -> None:
        self._source = source
        self._size = size
        self._seed = seed
        self._on_rows = on_rows
        self._chosen: npt.NDArray[np.int64] | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        chosen = self.draw()
        done = 0
        for batch in self._source:
            first, last = np.searchsorted(chosen, (done, done + batch.num_rows))
            if first < last:
                yield batch.take(pa.array(chosen[first:last] - done))
            done += batch.num_rows

    def digest(self) -> str:
        """That of the source, its size and its seed."""
        return f"{self._source.digest()}, {self._size} rows by seed {self._seed}"

    def draw(self) -> npt.NDArray[np.int64]:
        """Count the rows, unless that was done before, and draw.

        Returns:
            The numbers of the rows that were drawn, in order.

        Raises:
            DatasetError: There are fewer rows.
        """
        if self._chosen is not None:
            return self._chosen
        count = 0
        for batch in self._source:
            count += batch.num_rows
            self._on_rows(count)
        if self._size > count:
            msg = f"a subset of {self._size} rows was asked for, and the input has {count}"
            raise DatasetError(msg)
        drawn = np.random.Generator(np.random.PCG64(self._seed)).choice(count, self._size, replace=False)
        self._chosen = np.sort(drawn)
        return self._chosen


def regrouped(
    batches: Iterable[pa.RecordBatch], most_rows: int, *, skip: int = 0, most_bytes: int = MOST_BYTES
) -> Iterator[pa.RecordBatch]:
    """The same items in batches of `most_rows`, fewer where their texts would come to more than `most_bytes`.

    How the items come makes no difference to how they leave.

    Args:
        batches: Of `ITEMS`.
        most_rows: In each batch.
        skip: So many items at the beginning are left out, of which another call has made batches.
        most_bytes: UTF-8 bytes of a batch's texts; one item may have more.
    """
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for whole in batches:
        batch = whole.slice(min(skip, whole.num_rows))
        skip -= whole.num_rows - batch.num_rows
        while batch.num_rows:
            sizes = np.cumsum(_text_bytes(batch))
            room = int(np.searchsorted(sizes, most_bytes - size, side="right"))
            taken = min(most_rows - rows, max(room, 0 if rows else 1), batch.num_rows)
            if taken:
                held.append(batch.slice(0, taken))
                rows += taken
                size += int(sizes[taken - 1])
                batch = batch.slice(taken)
            if batch.num_rows or rows == most_rows:
                yield _one(held)
                held, rows, size = [], 0, 0
    if held:
        yield _one(held)


def cuts(
    sizes: npt.NDArray[np.int64], most_rows: int, *, skip: int = 0, most_bytes: int = MOST_BYTES
) -> Iterator[tuple[int, int]]:
    """Where rows are cut into pieces of `most_rows`, fewer where they would come to more than `most_bytes`.

    Args:
        sizes: Of each row, in bytes.
        most_rows: In each piece.
        skip: So many rows at the beginning are in pieces that another call has cut.
        most_bytes: Of a piece; one row may have more.

    Yields:
        Of each piece its first row, and the first that is not in it.
    """
    upto = np.cumsum(sizes)
    while skip < len(sizes):
        before = int(upto[skip - 1]) if skip else 0
        room = int(np.searchsorted(upto, before + most_bytes, side="right"))
        end = max(min(skip + most_rows, room), skip + 1)
        yield skip, end
        skip = end


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _text_bytes(items: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """What the texts of each item come to."""
    sizes = _lengths(items.column("problem"))
    sizes = sizes + _sums(items.column("references"), lambda texts: texts)
    return sizes + _sums(items.column("messages"), lambda turns: turns.field("content"))


def _lengths(texts: pa.Array) -> npt.NDArray[np.int64]:
    lengths: npt.NDArray[np.int64] = pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64)


def _sums(lists: pa.Array, texts: Callable[[pa.Array], pa.Array]) -> npt.NDArray[np.int64]:
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    upto = np.concatenate(([0], np.cumsum(_lengths(texts(lists.flatten())))))
    ends = np.cumsum(counts)
    sums: npt.NDArray[np.int64] = upto[ends] - upto[ends - counts]
    return sums
