"""Texts on disk: read in any order, and none of them held. What is held is 8 bytes a text."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["Hashes", "Indices", "TextFile", "TextWriter", "hashes", "spans", "without_blanks"]

Indices = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

_BLANKS = b"\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f "  # those of ASCII, as str.isspace has it
_MOST_BYTES = 2**30  # at once; a read of more than 2 GiB comes back short


class TextWriter:
    """Writes texts one after the other into a new file.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._lengths: list[Indices] = []

    def append(self, texts: pa.LargeStringArray) -> None:
        """These come next; none of them may be null."""
        _, bounds, data = texts.buffers()
        offsets = np.frombuffer(bounds, np.int64, len(texts) + 1, texts.offset * 8) if len(texts) else np.zeros(1, int)
        if data is not None:
            self._file.write(memoryview(data)[offsets[0] : offsets[-1]])
        self._lengths.append(np.diff(offsets))

    def close(self) -> Indices:
        """Where each text begins, and where the last one ends, in bytes."""
        self._file.close()
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([[], *self._lengths]), dtype=np.int64)])

    def __enter__(self) -> TextWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._file.close()


class TextFile:
    """Texts that a `TextWriter` wrote.

    Args:
        path: Of the file.
        offsets: What the writer gave.
    """

    def __init__(self, path: Path, offsets: Indices) -> None:
        self._offsets = offsets
        self._file = path.open("rb", buffering=0)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def lengths(self, first: Indices, last: Indices | None = None) -> Indices:
        """What the texts `first[k]` up to `last[k]` come to in bytes, for each k; without `last` one for each."""
        return self._offsets[first + 1 if last is None else last] - self._offsets[first]

    def read(self, first: Indices, last: Indices | None = None) -> pa.LargeStringArray:
        """The texts `first[k]` up to `last[k]`, which is not one of them, for each k; without `last` one for each.

        Texts that follow each other in the file are read at once. One read takes about a microsecond from the page
        cache; there is no memory map, whose pages would count as memory of the process.
        """
        last = first + 1 if last is None else last
        numbers = first if len(first) == int((last - first).sum()) and (last > first).all() else spans(first, last)
        bounds = np.zeros(len(numbers) + 1, np.int64)
        np.cumsum(self.lengths(numbers), out=bounds[1:])
        data = pa.py_buffer(self._bytes(self._offsets[first], self._offsets[last]))
        return pa.LargeStringArray.from_buffers(len(numbers), pa.py_buffer(bounds), data)

    def close(self) -> None:
        """Nothing can be read any more."""
        self._file.close()

    def _bytes(self, starts: Indices, ends: Indices) -> bytes:
        if not len(starts):
            return b""
        breaks = np.flatnonzero(starts[1:] != ends[:-1]) + 1
        begin = starts[np.concatenate([[0], breaks])]
        sizes = ends[np.concatenate([breaks - 1, [len(ends) - 1]])] - begin
        if sizes.max() > _MOST_BYTES:
            return b"".join([self._long(*each) for each in zip(begin.tolist(), sizes.tolist(), strict=True)])
        return b"".join(map(os.pread, repeat(self._file.fileno()), sizes.tolist(), begin.tolist()))

    def _long(self, place: int, size: int) -> bytes:
        steps = range(place, place + size, _MOST_BYTES)
        return b"".join([os.pread(self._file.fileno(), min(_MOST_BYTES, place + size - at), at) for at in steps])


def spans(first: Indices, last: Indices) -> Indices:
    """The numbers from `first[k]` up to `last[k]`, for each k, one after the other."""
    counts = last - first
    before = np.cumsum(counts) - counts
    return np.repeat(first - before, counts) + np.arange(int(counts.sum()), dtype=np.int64)


def without_blanks(text: str) -> str:
    """The text without its whitespace: what two texts that are the same have in common."""
    return "".join(text.split())


def hashes(texts: pa.LargeStringArray | Sequence[str]) -> Hashes:
    """The first 8 bytes of SHA-256 of each text without its whitespace.

    That two of a million different texts have the same is one chance in 37 million; they would pass for duplicates.
    """
    array: Any = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    column = array.cast(pa.large_binary()).to_numpy(zero_copy_only=False)
    digest = hashlib.sha256
    found = [
        digest(text.translate(None, _BLANKS) if text.isascii() else without_blanks(text.decode()).encode()).digest()[:8]
        for text in column
    ]
    return np.frombuffer(b"".join(found), np.uint64)
