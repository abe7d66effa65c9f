"""Files in the making that outlive a kill: what a run has written, the next one takes over.

The files grow in steps. A journal beside them says, step by step, how long each file was then, and what the step's
bytes add up to; a step that the journal does not have, or whose bytes are others, is cut off and done again. So no step
needs an fsync of its own: whatever a crash left of the files, the next run finds the last whole step by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from llm_judge_remote.errors import DatasetError

__all__ = ["WorkFolder", "writing"]

_JOURNAL = "journal"
_PIECE = 1 << 22


class WorkFolder:
    """A folder with files in the making; used as a context manager, which lets go of it and keeps what is there.

    Args:
        folder: Made if it is not there.
        key: What the files are made of and how. What was made with another key is not taken over.
        names: The files that grow.

    Attributes:
        notes: Of each step that is done, what `append` was told of it.
        is_broken: Whether something could not be written since.

    Raises:
        DatasetError: It cannot be written, or another process is at it.
    """

    def __init__(self, folder: Path, key: str, names: Sequence[str]) -> None:
        self.folder = folder
        self.notes: list[Any] = []
        self.is_broken = False
        self._names = tuple(names)
        self._files: dict[str, BinaryIO] = {}
        with contextlib.ExitStack() as opened:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                self._journal: BinaryIO = opened.enter_context((folder / _JOURNAL).open("a+b", buffering=0))
            self._lock()
            with writing(folder):
                self._take_over(key)
                for name in self._names:
                    self._files[name] = opened.enter_context((folder / name).open("ab", buffering=0))
            self._opened = opened.pop_all()

    def __enter__(self) -> WorkFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.close()

    def append(self, pieces: Mapping[str, Sequence[bytes | memoryview]], note: Any) -> None:
        """Do a step: add to each file.

        Args:
            pieces: By the files' names, one behind the other; a file that is not named stays as it is.
            note: What the next run has to know of it; of JSON's types.

        Raises:
            DatasetError: They cannot be written. What was done before is kept.
        """
        done = {}
        for name in self._names:
            size = crc = 0
            for piece in pieces.get(name, ()):
                self._write(name, self._files[name], piece)
                size += len(piece)
                crc = zlib.crc32(piece, crc)
            done[name] = [size, crc]
        self._write(_JOURNAL, self._journal, _line({"done": done, "note": note}))
        self.notes.append(note)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Around the writing of a file in the folder.

        Raises:
            DatasetError: In place of an OSError.
        """
        try:
            with writing(self.folder / name):
                yield
        except DatasetError:
            self.is_broken = True
            raise

    def publish(self, targets: Mapping[str, Path]) -> None:
        """Give the files their names, one after the other, and remove the folder.

        Args:
            targets: By the files' names, their names to be, on the same file system, in the order in which they appear.
        """
        for name in targets:
            with writing(self.folder / name):
                _sync(self.folder / name)
        for name, target in targets.items():
            with writing(target):
                (self.folder / name).replace(target)
        with writing(self.folder):
            for folder in {target.parent for target in targets.values()}:
                _sync(folder)
        self.remove()

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        self._opened.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _lock(self) -> None:
        try:
            # The kernel lets go of it when the process ends, however it ends.
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{self.folder}: another process is writing the same output"
            raise DatasetError(msg) from None
        except OSError:
            pass  # a file system without locks

    def _take_over(self, key: str) -> None:
        head = _line({"key": key, "files": self._names})
        self._journal.seek(0)
        lines = self._journal.read().splitlines(keepends=True)
        ends = dict.fromkeys(self._names, 0)
        kept = 0
        if lines and lines[0] == head:
            kept = len(head)
            with contextlib.ExitStack() as stack:
                files = {name: stack.enter_context((self.folder / name).open("a+b")) for name in self._names}
                for file in files.values():
                    file.seek(0)
                for line in lines[1:]:
                    step = _step(line)
                    if step is None or not all(_is_there(files[name], *step["done"][name]) for name in self._names):
                        break
                    kept += len(line)
                    self.notes.append(step["note"])
                    for name in self._names:
                        ends[name] += step["done"][name][0]
        for name, end in ends.items():
            with (self.folder / name).open("ab") as grown:
                grown.truncate(end)
        self._journal.truncate(kept)
        if not kept:
            self._write(_JOURNAL, self._journal, head)

    def _write(self, name: str, file: BinaryIO, piece: bytes | memoryview) -> None:
        with self.writing(name):
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` into one that names the file.

    Raises:
        DatasetError: In its place.
    """
    try:
        yield
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror or error}"
        raise DatasetError(msg) from error


def _line(content: Mapping[str, Any]) -> bytes:
    """A line of the journal, with what it adds up to."""
    text = json.dumps(content).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _step(line: bytes) -> dict[str, Any] | None:
    """What a line of the journal says; None if it is not as it was written."""
    crc, _, text = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or crc != b"%08x" % zlib.crc32(text):
        return None
    step: dict[str, Any] = json.loads(text)
    return step


def _is_there(file: BinaryIO, size: int, crc: int) -> bool:
    """Whether a file goes on with so many bytes that add up to this."""
    found = 0
    while size:
        piece = file.read(min(size, _PIECE))
        if not piece:
            return False
        found = zlib.crc32(piece, found)
        size -= len(piece)
    return found == crc


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
