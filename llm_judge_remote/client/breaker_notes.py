"""Notes on disk of the servers that processes take for down, as `status` shows them.

A breaker belongs to one process. Each process that has open ones keeps a file in a folder that it shares with whoever
looks, writes it again every few seconds, and takes it away when all are closed or it ends. What a killed process left
behind grows old, and counts no more.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
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

_NAMES = "breakers-*.json"
_AGAIN_S = 10.0
_OLD_S = 35.0  # the clocks of two machines may differ a little
_FORGOTTEN_S = 86_400.0
_END_S = 1.0


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


class BreakerNotes:
    """What one judge in one process notes; safe in threads, and quick: a thread of its own writes the file.

    That thread starts with the first breaker that opens. Where the file cannot be written this is logged, and nothing
    else suffers.

    Args:
        folder: Where the file is; None for a folder of this user's in the system's for temporary files.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self._open: dict[str, OpenBreaker] = {}
        self._is_changed = self._is_closed = False
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    def opened(self, address: str, error: str) -> None:
        """A server counts as down from now on."""
        noted = OpenBreaker(address, socket.gethostname(), os.getpid(), time.time(), error)
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
        if self._thread is not None:
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
        file: Path | None = None
        try:
            while (noted := self._next()) is not None:
                with self._said():
                    file = file or self._new_file()
                    _write(file, noted)
        finally:
            if file is not None:
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)

    def _next(self) -> Sequence[OpenBreaker] | None:
        """What is to be written, when it is time; None at the end."""
        with self._condition:
            while not (self._is_changed or self._is_closed):
                if not self._condition.wait(_AGAIN_S if self._open else None):
                    break
            self._is_changed = False
            return None if self._is_closed else list(self._open.values())

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            log.warning("open breakers cannot be noted (breaker_folder=%r): %s", self._folder, error)

    def _new_file(self) -> Path:
        folder = _folder(self._folder)
        for file in folder.glob(_NAMES):
            with contextlib.suppress(OSError):
                if _age(file) > _FORGOTTEN_S:
                    file.unlink()
        return folder / f"breakers-{os.getpid()}-{secrets.token_hex(4)}.json"


def open_breakers(folder: str | None) -> dict[str, list[OpenBreaker]]:
    """The open breakers of all processes that note them there, by the server's address; the longest open ones first.

    Args:
        folder: As for `BreakerNotes`.

    Raises:
        OSError: The folder cannot be read.
    """
    found: dict[str, list[OpenBreaker]] = {}
    for file in _folder(folder).glob(_NAMES):
        for each in _read(file):
            found.setdefault(each.address, []).append(each)
    return {address: sorted(own, key=lambda each: each.since) for address, own in found.items()}


def _folder(given: str | None) -> Path:
    if given is None:
        return private_folder()
    folder = Path(given)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "no such folder", given)
    return folder


def _age(file: Path) -> float:
    return time.time() - file.stat().st_mtime


def _write(file: Path, noted: Sequence[OpenBreaker]) -> None:
    if not noted:
        file.unlink(missing_ok=True)
        return
    whole = file.with_suffix(".new")
    whole.write_bytes(orjson.dumps([asdict(each) for each in noted]))
    whole.replace(file)


def _read(file: Path) -> Iterator[OpenBreaker]:
    """A file's notes; none where it has grown old, was taken away meanwhile, or holds something else."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        if _age(file) <= _OLD_S:
            for fields in orjson.loads(file.read_bytes()):
                yield OpenBreaker(**fields)
