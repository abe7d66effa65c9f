"""Reading: files of any kind, or a hub's data set, as record batches of items."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from llm_judge_remote.dataset.inputs.blocks import unreadable
from llm_judge_remote.dataset.inputs.chunk import to_items
from llm_judge_remote.dataset.inputs.files import Reader, find, reader_of
from llm_judge_remote.dataset.inputs.hub import HubData
from llm_judge_remote.dataset.inputs.roles import Columns, Roles, assign
from llm_judge_remote.dataset.skipped import BadRows, Skipped
from llm_judge_remote.errors import DatasetError

__all__ = ["Columns", "InputDigest", "Skipped", "Source", "open_source"]

_HASH_BYTES = 1 << 20


class InputDigest(NamedTuple):
    """What tells whether a file is the same.

    Attributes:
        name: Its name without the folders, so that moving the files changes nothing.
        size: Its length in bytes.
        sha256: Of its contents.
    """

    name: str
    size: int
    sha256: str


def open_source(
    inputs: Sequence[str],
    *,
    columns: Columns = Columns(),  # noqa: B008 (frozen)
    split: str = "train",
    name: str | None = None,
    skip_bad: bool = False,
    batch_rows: int = 8192,
) -> Source:
    """Find the inputs and look at what columns they have.

    Args:
        inputs: Files (`.jsonl`, `.ndjson`, `.json`, `.csv`, `.tsv`, each also with `.gz`, and `.parquet`), folders and
            patterns; or the name of one data set of the hub, or one folder that its `save_to_disk` wrote.
        columns: The columns' names, where they are not the usual ones.
        split: Which split of a hub's data set, or of a JSON object that has several.
        name: Which configuration of a hub's data set.
        skip_bad: Whether bad rows are counted and left out, rather than an error; so is a file without rows.
        batch_rows: The most rows of a batch.

    Raises:
        DatasetError: An input is not there, cannot be read, is empty, or lacks a column.
    """
    files, hub_name = find([os.fspath(each) for each in inputs])
    readers: list[Reader] = [HubData(hub_name, name, split)] if hub_name else [reader_of(file, split) for file in files]
    parts = []
    for reader in readers:
        names = reader.names()
        if names or _has_rows(reader):
            parts.append(_Part(reader, assign(names, columns, reader.path)))
        elif not skip_bad:
            raise _empty(reader.path)
    if not parts:
        raise _empty(readers[0].path)
    return Source(files, parts, skip_bad=skip_bad, batch_rows=batch_rows)


class _Part(NamedTuple):
    reader: Reader
    roles: Roles


class Source:
    """Rows of all inputs, one after the other; made by `open_source`.

    It can be gone through again and again: each time gives equal batches.

    Attributes:
        files: The files in the order in which they are read; none for a data set that `datasets` reads.
    """

    def __init__(self, files: tuple[str, ...], parts: Sequence[_Part], *, skip_bad: bool, batch_rows: int) -> None:
        self.files = files
        self._parts = tuple(parts)
        self._skip_bad = skip_bad
        self._batch_rows = batch_rows
        self._bad = BadRows(skip=skip_bad)
        self._rows: int | None = None
        self._digests: tuple[InputDigest, ...] | None = None
        self._states = {file: _state(file) for file in files}

    @property
    def skipped(self) -> Skipped:
        """The bad rows that were left out, by the reading that was begun last, as far as it has come."""
        return self._bad.skipped

    def count(self) -> int | None:
        """How many rows the inputs have, bad ones too; None where that takes a reading that has not come to its end."""
        if self._rows is None:
            counts = [part.reader.count() for part in self._parts]
            known = [count for count in counts if count is not None]
            return sum(known) if len(known) == len(counts) else None
        return self._rows

    def digest(self) -> str:
        """A sha256 that stands for the rows: what is read, and how.

        It is made of the names (without folders), sizes and contents of the files, in their order; of the name, split,
        and revision or fingerprint of a data set that `datasets` reads; of the columns; and of `skip_bad`.
        """
        whole = hashlib.sha256(repr((self._skip_bad, [part.roles for part in self._parts])).encode())
        for each in self.input_digests():
            whole.update(f"{each.name}\0{each.size}\0{each.sha256}\n".encode())
        for part in self._parts:
            if isinstance(part.reader, HubData):
                whole.update(part.reader.digest().encode())
        return whole.hexdigest()

    def input_digests(self) -> tuple[InputDigest, ...]:
        """That of each file; none for a data set that `datasets` reads."""
        if self._digests is None:
            self._digests = tuple(map(_digest, self.files))
        for file in self.files:
            self._check_unchanged(file)
        return self._digests

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Read from the first row on.

        Yields:
            Batches of `ITEMS`, none of them empty.

        Raises:
            DatasetError: A row is bad, and bad rows are not to be skipped; or an input cannot be read to its end, has
                changed since it was opened, or has no rows; or none of all rows is sound.
        """
        self._bad = bad = BadRows(skip=self._skip_bad)
        rows = sound = 0
        for reader, roles in self._parts:
            self._check_unchanged(reader.path)
            before = rows
            for chunk in reader.chunks(roles.wanted, self._batch_rows):
                items = to_items(chunk, roles, rows, partial(bad.add, reader.path, chunk.where))
                rows += chunk.rows
                sound += items.num_rows
                for start in range(0, items.num_rows, self._batch_rows):
                    yield items.slice(start, self._batch_rows)
            if rows == before and not self._skip_bad:
                raise _empty(reader.path)
        self._rows = rows
        if not sound:
            msg = f"none of {rows} rows is of use; {bad.first_said}" if rows else "there is no row in any input"
            raise DatasetError(msg)

    def _check_unchanged(self, file: str) -> None:
        if file in self._states and _state(file) != self._states[file]:
            msg = f"{file} has changed while it was read"
            raise DatasetError(msg)


def _has_rows(reader: Reader) -> bool:
    """Whether an input whose first rows name no columns has rows at all.

    Raises:
        DatasetError: They could not be read; the message names the first one.
    """
    for chunk in reader.chunks((), 1):
        for row, why in chunk.defects.items():
            msg = f"{reader.path}, {chunk.where(row).text}: {why}; none of the first rows can be read"
            raise DatasetError(msg)
        return True
    return False


def _state(file: str) -> tuple[int, int, int]:
    """What changes when somebody writes to a file."""
    try:
        found = Path(file).stat()
    except OSError as error:
        raise unreadable(file, error) from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def _digest(file: str) -> InputDigest:
    contents = hashlib.sha256()
    size = 0
    try:
        with Path(file).open("rb") as source:
            while block := source.read(_HASH_BYTES):
                contents.update(block)
                size += len(block)
    except OSError as error:
        raise unreadable(file, error) from error
    return InputDigest(Path(file).name, size, contents.hexdigest())


def _empty(path: str) -> DatasetError:
    return DatasetError(f"{path} is empty: there is no row in it")
