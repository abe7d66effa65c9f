"""Rows that are judged, kept until the part of the file that they belong to is complete and written.

Each part has a file of its own, to which lines are added; a line says what it adds up to. What a kill or a power
failure left of the last ones is cut off, and those rows are judged again.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from llm_judge_remote.dataset.work_folder import writing
from llm_judge_remote.offline.record import Values, decoded, was_not_judged

__all__ = ["Journal"]

_CRC = 9  # eight digits and a blank


class Journal:
    """The files of the parts that are under way.

    Rows that fell back or failed count as not there when the journal is opened: the next run asks for them again.

    Args:
        folder: Where they are; it is there.
        part_rows: Rows of a part.

    Raises:
        DatasetError: They cannot be read or written.
    """

    def __init__(self, folder: Path, part_rows: int) -> None:
        self._folder = folder
        self._part_rows = part_rows
        self._files: dict[int, BinaryIO] = {}
        self._added: dict[int, list[bytes]] = {}
        self._adding = threading.Lock()
        self._lock = threading.Lock()  # of the files; held while they are written
        self.parts = sorted(int(file.stem.rpartition("-")[2]) for file in folder.glob("judged-*.jsonl"))
        for part in self.parts:
            with writing(self._path(part)), self._path(part).open("r+b") as file:
                file.truncate(sum(len(line) for line in _sound(file)))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.flush()
        finally:
            with self._lock:
                for file in self._files.values():
                    file.close()
                self._files.clear()

    def add(self, part: int, lines: Iterable[bytes]) -> None:
        """Take rows of a part; they outlive this process after the next `flush`, which takes them to the file."""
        # No file is written here: the caller's thread would have to wait for the interpreter after each write.
        with self._adding:
            self._added.setdefault(part, []).extend(lines)

    def flush(self) -> None:
        """Write what was added."""
        with self._lock:
            with self._adding:
                added, self._added = self._added, {}
            for part, lines in added.items():
                with writing(self._path(part)):
                    file = self._files.get(part)
                    if file is None:
                        file = self._files[part] = self._path(part).open("ab", buffering=0)
                    left = memoryview(b"".join(b"%08x %b\n" % (zlib.crc32(line), line) for line in lines))
                    while left:
                        left = left[file.write(left) :]

    def read(self, part: int, *, judged_only: bool = False) -> dict[int, Values]:
        """The rows of a part that are there, by their numbers; of several of one row the last counts.

        Args:
            part: Which.
            judged_only: Leave out those that fell back or failed.
        """
        found: dict[int, Values] = {}
        self.flush()
        with writing(self._path(part)):
            if not self._path(part).exists():
                return found
            with self._path(part).open("rb") as file:
                found.update(decoded(line[_CRC:]) for line in _sound(file))
        return {row: own for row, own in found.items() if not was_not_judged(own)} if judged_only else found

    def remove(self, part: int) -> None:
        """Forget a part, which is written."""
        with self._lock, writing(self._path(part)):
            file = self._files.pop(part, None)
            if file is not None:
                file.close()
            self._path(part).unlink(missing_ok=True)

    def sync(self) -> None:
        """Have the disk take what was added."""
        self.flush()
        with self._lock:
            for part, file in self._files.items():
                with writing(self._path(part)):
                    os.fsync(file.fileno())

    def _path(self, part: int) -> Path:
        return self._folder / f"judged-{part:08d}.jsonl"


def _sound(file: BinaryIO) -> Iterator[bytes]:
    """The lines up to the first that is not as it was written."""
    for line in file:
        if not line.endswith(b"\n") or line[: _CRC - 1] != b"%08x" % zlib.crc32(line[_CRC:-1]):
            return
        yield line
