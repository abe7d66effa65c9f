"""Notes on disk of the servers that processes take for down, as `status` shows them.

A breaker belongs to one process. Each process that has open ones keeps a file in a folder that it shares with whoever
looks, writes it again every few seconds, and takes it away when all are closed or it ends. What a killed process left
behind grows old, and counts no more.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from llm_judge_remote.client.private_folder import private_folder
from llm_judge_remote.logs import logger

__all__ = ["BreakerNotes", "OpenBreaker", "open_breakers"]

log = logger(__name__)

_NAME = re.compile(r"breakers-\d+-[0-9a-f]{8}\.json")
_UNFINISHED = ".new"
_AGAIN_S = 10.0
_OLD_S = 35.0  # the clocks of two machines may differ a little
_FORGOTTEN_S = 86_400.0
_END_S = 1.0
_MOST_WORDS = 500  # characters of an error
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


class BreakerNotes:
    """What one judge in one process notes; safe in threads, and quick: a thread of its own writes the file.

    That thread starts with the first breaker that opens. Where the file cannot be written this is logged, and nothing
    else suffers.

    Args:
        folder: Where the file is; None for a folder of this user's in the system's for temporary files.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = _absolute(folder)
        self._name = f"breakers-{os.getpid()}-{secrets.token_hex(4)}.json"
        self._open: dict[str, OpenBreaker] = {}
        self._is_changed = self._is_closed = False
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._trouble = ""

    def opened(self, address: str, error: str) -> None:
        """A server counts as down from now on."""
        words = error[:_MOST_WORDS].encode("utf-8", "replace").decode()
        noted = OpenBreaker(address, socket.gethostname(), os.getpid(), time.time(), words)
        with self._condition:
            self._open[address] = noted
            self._change()

    def closed(self, address: str) -> None:
        """A server answers again, or is used no more."""
        with self._condition:
            if self._open.pop(address, None) is not None:
                self._change()

    def close(self) -> None:
        """Take the file away."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        # The garbage collector closes a judge in whatever thread it works.
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_END_S)  # no longer, should the folder's file system have gone away

    def _change(self) -> None:
        self._is_changed = True
        if self._thread is not None:
            self._condition.notify()
        elif not self._is_closed:
            thread = threading.Thread(target=self._run, name="judge-breakers", daemon=True)
            with contextlib.suppress(RuntimeError):  # no thread is to be had: the next change tries again
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while (noted := self._next()) is not None:
            trouble = self._trouble_in_writing(noted)
            if trouble not in ("", self._trouble):  # said once, and not every few seconds
                log.warning("open breakers cannot be noted (breaker_folder=%r): %s", self._folder, trouble)
            self._trouble = trouble
        with contextlib.suppress(OSError):
            self._write(())

    def _next(self) -> Sequence[OpenBreaker] | None:
        """What is to be written, when it is time; None at the end."""
        with self._condition:
            while not (self._is_changed or self._is_closed):
                if not self._condition.wait(_AGAIN_S if self._open else None):
                    break
            self._is_changed = False
            return None if self._is_closed else list(self._open.values())

    def _trouble_in_writing(self, noted: Sequence[OpenBreaker]) -> str:
        try:
            self._write(noted)
        except OSError as error:
            return str(error)
        return ""

    def _write(self, noted: Sequence[OpenBreaker]) -> None:
        folder = _folder(self._folder)  # made again, if what tidies up took it away
        file, unfinished = folder / self._name, folder / (self._name + _UNFINISHED)
        if not noted:
            file.unlink(missing_ok=True)
            return
        _tidy(folder)
        try:
            unfinished.write_bytes(orjson.dumps([asdict(each) for each in noted]))
            if self._folder is not None:
                unfinished.chmod(0o644)  # it is there to be shared
            unfinished.replace(file)
        except OSError:
            for half_true in (unfinished, file):  # no note is better than one that holds no longer
                with contextlib.suppress(OSError):
                    half_true.unlink(missing_ok=True)
            raise


def open_breakers(folder: str | None) -> dict[str, list[OpenBreaker]]:
    """The open breakers of all processes that note them there, by the server's address; the longest open ones first.

    Args:
        folder: As for `BreakerNotes`.

    Raises:
        OSError: The folder cannot be read.
    """
    found: dict[str, list[OpenBreaker]] = {}
    for file in _files(_folder(_absolute(folder))):
        for each in _read(file):
            # In a folder that machines share, two of them may have one name: containers do.
            if folder is not None or _is_alive(each):
                found.setdefault(each.address, []).append(each)
    return {address: sorted(own, key=lambda each: each.since) for address, own in found.items()}


def _absolute(given: str | None) -> str | None:
    """The folder's name, which means the same when the process goes to another one."""
    return None if given is None else str(Path(given).expanduser().absolute())


def _folder(given: str | None) -> Path:
    if given is None:
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
