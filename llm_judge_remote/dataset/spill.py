"""The items of a source on disk, for reading them in any order."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from llm_judge_remote.dataset.items import ITEMS, MESSAGE
from llm_judge_remote.dataset.spill_writer import TEXTS, SpillWriter, lists_of
from llm_judge_remote.dataset.texts import Hashes, Indices, TextFile
from llm_judge_remote.errors import DatasetError

__all__ = ["ItemSource", "Spill"]

_FORMAT = 1
_DONE = "spill.json"


class ItemSource(Protocol):
    """What a spill is written from: batches of `ITEMS`, and what they come from in one word."""

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...
    def digest(self) -> str:
        """Another one for another content."""


class Spill:
    """The items of a source in a folder, a file for the problems, the references and the messages, uncompressed.

    Held is some 40 bytes a row: where each text begins, the hashes of problems and references, and the source's index.

    Attributes:
        folder: Where they are.
        problem_hashes: Of each row's problem; see `texts.hashes`.
        reference_hashes: Of all references, row by row.
        bounds: Where each row's references begin among them, and where the last one's end.
        source_index: Of each row.
        note: What was given to `write`, or found from before.
    """

    def __init__(self, folder: Path) -> None:
        """Open what `write` has made."""
        self.folder = folder
        self.note: Any = json.loads((folder / _DONE).read_text(encoding="utf-8"))["note"]
        self.problem_hashes: Hashes = self._array("problem_hashes")
        self.reference_hashes: Hashes = self._array("reference_hashes")
        self.bounds: Indices = self._array("reference_bounds")
        self.source_index: Indices = self._array("source_index")
        self._talks = self._array("message_bounds") if (folder / "message_bounds.npy").exists() else None
        self._opened = ExitStack()
        files = [TextFile(folder / f"{name}.txt", self._array(f"{name}_offsets")) for name in TEXTS]
        for file in files:
            self.on_close(file.close)
        self._problems, self._references, self._messages = files

    @classmethod
    def write(
        cls,
        source: ItemSource,
        folder: Path,
        *,
        key: str = "",
        note: Callable[[], Any] = lambda: None,
        on_rows: Callable[[int], None] = lambda _: None,
    ) -> Spill:
        """Write all items of a source, unless they are there already.

        Args:
            source: Is read once.
            folder: Of the spill alone; it and the folders above it are made. Until all is written, the folder is called
                `<folder>.part`.
            key: What the items depend on beside the source's digest, such as the names of columns. With another digest
                or key, or if files are missing or cut short, everything is written anew.
            note: What is known of the source when it has been read, as JSON can hold it: rows left out, for example.
            on_rows: Called with the number of rows written so far, after each batch.

        Raises:
            DatasetError: The folder cannot be written, or the source has no rows.
        """
        identity = {"format": _FORMAT, "digest": source.digest(), "key": key}
        if _is_complete(folder, identity):
            return cls(folder)
        part = folder.with_name(f"{folder.name}.part")
        batches = iter(source)
        try:
            for old in (part, folder):
                if old.exists():
                    shutil.rmtree(old)
            part.mkdir(parents=True)
            with SpillWriter(part) as writer:
                while (batch := _next(batches)) is not None:
                    writer.append(batch)
                    on_rows(writer.count)
                if not writer.count:
                    msg = "the input has no rows"
                    raise DatasetError(msg)
                writer.finish()
            sizes = {each.name: each.stat().st_size for each in sorted(part.iterdir())}
            done = {**identity, "sizes": sizes, "note": note()}
            (part / _DONE).write_text(json.dumps(done), encoding="utf-8")
            part.rename(folder)
        except _SourceError as error:
            raise error.cause from None
        except OSError as error:
            msg = f"{part} cannot be written: {error.strerror or error}"
            raise DatasetError(msg) from error
        return cls(folder)

    def __len__(self) -> int:
        return len(self.source_index)

    @property
    def solution_hashes(self) -> Hashes:
        """Of each row's first reference."""
        return self.reference_hashes[self.bounds[:-1]]

    def items(self, indices: Indices, *, references: bool = True) -> pa.RecordBatch:
        """The rows of these numbers, in that order and as often, as a batch of `ITEMS`.

        Args:
            indices: From 0.
            references: Whether to read them; else the lists are empty.
        """
        first = self.bounds[indices]
        last = self.bounds[indices + 1] if references else first
        lists = pa.LargeListArray.from_arrays(
            pa.array(lists_of(last - first, np.int64)), self._references.read(first, last)
        )
        columns = [self.problems(indices), lists, self._talk(indices), pa.array(self.source_index[indices])]
        return pa.record_batch(columns, schema=ITEMS)

    def problems(self, indices: Indices) -> pa.LargeStringArray:
        """The problems of these rows."""
        return self._problems.read(indices)

    def solutions(self, indices: Indices) -> pa.LargeStringArray:
        """The first references of these rows."""
        return self._references.read(self.bounds[indices])

    def item_bytes(self, indices: Indices) -> Indices:
        """What the texts of these rows come to."""
        return self.problem_bytes(indices) + self._references.lengths(self.bounds[indices], self.bounds[indices + 1])

    def problem_bytes(self, indices: Indices) -> Indices:
        """What the problems and messages of these rows come to."""
        sizes = self._problems.lengths(indices)
        if self._talks is None:
            return sizes
        return sizes + self._messages.lengths(2 * self._talks[indices], 2 * self._talks[indices + 1])

    def solution_bytes(self, indices: Indices) -> Indices:
        """How long the first references of these rows are."""
        return self._references.lengths(self.bounds[indices])

    def on_close(self, call: Callable[[], None]) -> None:
        """Call this too when it is closed: for files that others keep in its folder."""
        self._opened.callback(call)

    def close(self) -> None:
        """Close its files; what is in the folder stays, for another time."""
        self._opened.close()

    def remove(self) -> None:
        """Close its files and delete the folder."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.close()

    def _array(self, name: str) -> Any:
        return np.load(self.folder / f"{name}.npy")

    def _talk(self, indices: Indices) -> pa.Array:
        if self._talks is None:
            return pa.nulls(len(indices), ITEMS.field("messages").type)
        first, last = self._talks[indices], self._talks[indices + 1]
        texts = self._messages.read(2 * first, 2 * last)  # role and content take turns
        even = np.arange(0, len(texts), 2)
        turns = pa.StructArray.from_arrays(
            [texts.take(pa.array(even)).cast(pa.string()), texts.take(pa.array(even + 1))], fields=list(MESSAGE)
        )
        missing = pa.array(last == first) if (last == first).any() else None
        return pa.ListArray.from_arrays(pa.array(lists_of(last - first, np.int32)), turns, mask=missing)


class _SourceError(Exception):
    """What the source raised, which is not about the files written here."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


def _next(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    try:
        return next(batches, None)
    except OSError as error:
        raise _SourceError(error) from error


def _is_complete(folder: Path, identity: dict[str, Any]) -> bool:
    try:
        done = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        sizes = done["sizes"]
        return all(done[name] == value for name, value in identity.items()) and all(
            (folder / name).stat().st_size == size for name, size in sizes.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
