"""Who uses a server that may be put to sleep: locks between processes, and a mark that outlives them.

The kernel holds the locks, so those of a process that dies are free at once, however it dies. They are `flock` locks:
each belongs to the descriptor that was opened for it, so threads of one process exclude each other as processes do.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import tempfile
import time
import weakref
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Literal

from llm_judge_remote.client.private_folder import private_folder
from llm_judge_remote.errors import ConfigError, ServerUnavailableError

__all__ = ["Mark", "UseLock"]

Mark = Literal[b"", b"slept", b"going"]
"""What is to be remembered of a server: nothing; that it slept before its users came; that it is being put to sleep."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # others may make links in a shared folder
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.25


class UseLock:
    """One user's view of a server's two lock files, made where they are not there; not safe in threads by itself.

    `turn` is held by one while it comes or goes. `use` is shared by all who use the server, and holds the mark. Both
    are only waited for in turn, so whoever has the turn and gets `use` for itself is the last one.

    A fork's child closes what it inherited, and is no user: its parent's locks would else last as long as the child.
    That needs Python's own fork (`os.fork`, multiprocessing); a child that a C library forks keeps them until it ends.

    Args:
        server: The server's address.
        folder: Where the files are; None for a folder of this user's in the system's folder for temporary files.

    Raises:
        ConfigError: The folder or a file cannot be used.
    """

    def __init__(self, server: str, folder: str | None = None) -> None:
        self._server = server
        self._given = folder
        self._files: list[FileIO] = []
        _forks().watch(self)
        with self._explained():
            where = private_folder() if folder is None else Path(folder)
            name = hashlib.blake2b(server.encode(), digest_size=8).hexdigest()
            self._turn = self._open(where / f"{name}.turn")
            self._use = self._open(where / f"{name}.use")

    @property
    def closed(self) -> bool:
        """Whether it was closed, here or by a fork of which this is the child."""
        return not self._files

    @contextlib.contextmanager
    def turn(self, until: float) -> Iterator[None]:
        """Have the turn: nobody else comes or goes meanwhile.

        Args:
            until: Monotonic time until which to wait for it.

        Raises:
            ServerUnavailableError: Another had it all the time.
            ConfigError: The file cannot be locked.
        """
        self._lock(self._turn, fcntl.LOCK_EX, until)
        try:
            yield
        finally:
            self._unlock(self._turn)

    def join(self, until: float) -> None:
        """Use the server; in turn.

        Raises:
            ServerUnavailableError: Another had it for itself until then, which only happens outside its turn.
            ConfigError: The file cannot be locked.
        """
        self._lock(self._use, fcntl.LOCK_SH, until)

    def is_last(self) -> bool:
        """Whether nobody else uses the server; in turn. If somebody does, this one may no longer."""
        with self._explained():
            try:
                fcntl.flock(self._use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def leave(self) -> None:
        """Use the server no longer; in turn."""
        self._unlock(self._use)

    @property
    def mark(self) -> Mark:
        """What is remembered; read and written in turn.

        Raises:
            ConfigError: The file cannot be written to.
        """
        with self._explained():
            seen = os.pread(self._use.fileno(), 16, 0)
        return b"slept" if seen == b"slept" else b"going" if seen else b""

    @mark.setter
    def mark(self, value: Mark) -> None:
        with self._explained():
            os.pwrite(self._use.fileno(), value, 0)  # `slept` and `going` are equally long: one is there at any time
            if not value:
                os.ftruncate(self._use.fileno(), 0)

    def close(self) -> None:
        """Give up all locks; in a fork's child, without touching the parent's."""
        while self._files:
            self._files.pop().close()

    def _open(self, path: Path) -> FileIO:
        file = FileIO(os.open(path, _FLAGS, 0o666), "r+")
        file.name = str(path)
        self._files.append(file)
        return file

    def _lock(self, file: FileIO, kind: int, until: float) -> None:
        pause = _FIRST_PAUSE
        while True:
            with self._explained():
                try:
                    fcntl.flock(file, kind | fcntl.LOCK_NB)
                except BlockingIOError:
                    left = until - time.monotonic()
                else:
                    return
            if left <= 0:
                msg = f"{self._server}: another process wakes it or puts it to sleep, and does not end ({file.name})"
                raise ServerUnavailableError(msg, server=self._server)
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _unlock(self, file: FileIO) -> None:
        # Not by closing it alone: a child that was forked and has not yet begun its own program has it open too.
        if not file.closed:
            with self._explained():
                fcntl.flock(file, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            where = self._given if self._given is not None else tempfile.gettempdir()
            msg = f"lock_folder={where!r} cannot be used: {error}; give a folder that exists, on a file system with "
            msg += "locks, and that all who share the judges may write to"
            raise ConfigError(msg) from None


class _Forks:
    """Closes the locks that a fork's child inherits."""

    def __init__(self) -> None:
        self._locks: weakref.WeakSet[UseLock] = weakref.WeakSet()
        os.register_at_fork(after_in_child=self._close)

    def watch(self, lock: UseLock) -> None:
        self._locks.add(lock)

    def _close(self) -> None:
        for lock in list(self._locks):
            lock.close()


@functools.cache
def _forks() -> _Forks:
    # A hook cannot be taken back, so there is one for all the locks that a process will ever have.
    return _Forks()
