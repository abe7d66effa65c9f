"""The folder in which processes note the servers that they take for down: one file for each process that has some."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from llm_judge_remote.client.private_folder import private_folder

__all__ = ["OpenBreaker", "absolute", "open_breakers", "write_open_breakers"]

_OWN = "auto"
_NAME = re.compile(r"breakers-\d+-[0-9a-f]{8}\.json")
_UNFINISHED = ".new"
_OLD_S = 35.0  # files are written again every ten seconds; and the clocks of two machines may differ a little
_FORGOTTEN_S = 86_400.0
_MOST_BYTES = 1 << 20
_LATEST_S = 1e11  # the year 5138


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """A server that a process takes for down.

    Attributes:
        address: The server's.
        host: The process's machine.
        pid: Its number there.
        since: When that began, in seconds since 1970.
        error: What the server failed with then.
    """

    address: str
    host: str
    pid: int
    since: float
    error: str

    @property
    def is_sound(self) -> bool:
        """Whether its values are what they should be, wherever they come from."""
        texts = (self.address, self.host, self.error)
        return (
            all(isinstance(text, str) for text in texts)
            and isinstance(self.pid, int)
            and self.pid > 0
            and isinstance(self.since, (int, float))
            and 0 <= self.since < _LATEST_S
        )


def write_open_breakers(folder: str, name: str, noted: Sequence[OpenBreaker]) -> None:
    """Write a process's file, or take it away if there is nothing to note.

    Args:
        folder: Where, as an absolute path; `auto`: a folder of this user's in the system's for temporary files.
        name: The file's, `breakers-PID-XXXXXXXX.json` with hexadecimal digits.
        noted: What holds now.

    Raises:
        OSError: It cannot be written; what was there is gone, as it may hold no longer.
    """
    where = _folder(folder)  # made again, if what tidies up took it away
    file, unfinished = where / name, where / (name + _UNFINISHED)
    if not noted:
        file.unlink(missing_ok=True)
        return
    _tidy(where)
    try:
        unfinished.write_bytes(orjson.dumps([asdict(each) for each in noted]))
        if folder != _OWN:
            unfinished.chmod(0o644)  # it is there to be shared
        unfinished.replace(file)
    except OSError:
        for half_true in (unfinished, file):
            with contextlib.suppress(OSError):
                half_true.unlink(missing_ok=True)
        raise


def open_breakers(folder: str) -> dict[str, list[OpenBreaker]]:
    """The open breakers of all processes that note them there, by the server's address; the longest open ones first.

    Args:
        folder: Where; `auto`: a folder of this user's in the system's for temporary files.

    Raises:
        OSError: The folder cannot be read.
    """
    found: dict[str, list[OpenBreaker]] = {}
    for file in _files(_folder(absolute(folder))):
        for each in _read(file):
            # In a folder that machines share, two of them may have one name: containers do.
            if folder != _OWN or _is_alive(each):
                found.setdefault(each.address, []).append(each)
    return {address: sorted(own, key=lambda each: each.since) for address, own in found.items()}


def absolute(given: str) -> str:
    """The folder's name, which means the same when the process goes to another one."""
    return given if given == _OWN else str(Path(given).expanduser().absolute())


def _folder(given: str) -> Path:
    if given == _OWN:
        return private_folder()
    folder = Path(given)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "no such folder", given)
    return folder


def _files(folder: Path, behind: str = "") -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(each.path) for each in entries if _NAME.fullmatch(each.name.removesuffix(behind))]


def _tidy(folder: Path) -> None:
    """Remove what processes that were killed have left long ago."""
    for file in _files(folder, _UNFINISHED):
        with contextlib.suppress(OSError):
            if time.time() - file.lstat().st_mtime > _FORGOTTEN_S:
                file.unlink()


def _read(file: Path) -> Iterator[OpenBreaker]:
    """A file's notes; none where it has grown old, was taken away meanwhile, or holds something else."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        about = file.stat()
        is_fresh = abs(time.time() - about.st_mtime) <= _OLD_S
        if is_fresh and stat.S_ISREG(about.st_mode) and about.st_size <= _MOST_BYTES:
            for fields in orjson.loads(file.read_bytes()):
                noted = OpenBreaker(**fields)
                if noted.is_sound:
                    yield noted


def _is_alive(noted: OpenBreaker) -> bool:
    """Whether the process is still there, which may have ended without taking its file away."""
    try:
        os.kill(noted.pid, 0)
    except ProcessLookupError:
        return noted.host != socket.gethostname()
    except OSError:
        pass
    return True
