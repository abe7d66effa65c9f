"""Judges that share their GPUs with the trainer: awake while they are asked, asleep for the rest of the time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from llm_judge_remote.client.session import Session
from llm_judge_remote.client.sleep_mode import SleepMode
from llm_judge_remote.client.use_lock import UseLock
from llm_judge_remote.errors import ConfigError, JudgeError, ServerError, ServerUnavailableError
from llm_judge_remote.logs import logger

__all__ = ["awake"]

log = logger(__name__)

Answer = TypeVar("Answer")


@contextlib.contextmanager
def awake(
    servers: Sequence[Session],
    *,
    lock_folder: str | os.PathLike[str] | None = None,
    level: int = 1,
    timeout: float = 300.0,
) -> Iterator[None]:
    """Keep servers awake for the time of a `with` block.

    Those that sleep are woken first, all at once. When the block is left, in whatever way, those sleep again that did
    before their first user came. Servers that cannot be put to sleep are left alone, and so are those that are awake.

    Any number of threads and processes may do this at the same time: nobody puts a server to sleep that another uses,
    and the last one that leaves does it. They agree by locks in a folder, which the kernel frees when a process ends,
    however it ends. What a killed process kept awake goes to sleep when the next user leaves.

    A server goes by its address: those who share it must spell it alike. In a fork's child the block is the parent's:
    the child may leave it, and nothing happens.

    Args:
        servers: The servers' sessions.
        lock_folder: Where the locks are, the same for all who share a server. None for a folder of this user's in the
            system's folder for temporary files, which does for one user on one machine; else one that exists, for
            several machines on a file system that they share and that has locks between them (NFS 4, Lustre with
            `flock`). The files stay there; while they are in use they must not be removed.
        level: How the servers sleep, the same for all who share them. 1 keeps the weights in the host's memory. 2 drops
            them, and has them loaded again at each waking: a server that somebody else has put to sleep at level 2
            must not be woken at 1, as vLLM would then answer with gibberish.
        timeout: Seconds for waking, and again for going to sleep; waiting for others who do it is part of both.

    Raises:
        ServerUnavailableError: None of the servers can be used: all that could be asked would not wake up. If some
            can, a warning is logged about the others.
        ConfigError: The lock folder cannot be used, or there is no such level.
    """
    if level not in (1, 2):
        msg = f"{level=}: 1 keeps the weights in the host's memory, 2 drops them"
        raise ConfigError(msg)
    folder = None if lock_folder is None else os.fspath(lock_folder)
    distinct = {session.server: session for session in servers}
    visits = [_Visit(session, folder, level, timeout) for session in distinct.values()]
    try:
        failures = [error for error in _at_once(_Visit.come, visits) if error is not None]
        if failures and len(failures) == len(visits):
            msg = f"no judge server could be woken: {'; '.join(map(str, failures))}"
            raise ServerUnavailableError(msg, server=failures[0].server)
        for error in failures:
            log.warning("judge server %s could not be woken: %s", error.server, error)
        yield
    finally:
        _at_once(_Visit.go, visits)


class _Visit:
    """One use of one server."""

    def __init__(self, session: Session, folder: str | None, level: int, timeout: float) -> None:
        self._server = session.server
        self._folder = folder
        self._sleep_mode = SleepMode(session, level)
        self._timeout = timeout
        self._lock: UseLock | None = None

    def come(self) -> ServerError | None:
        """Wake the server if it sleeps; why not, if it would not.

        Raises:
            ConfigError: The lock folder cannot be used.
        """
        until = time.monotonic() + self._timeout
        try:
            if self._sleep_mode.is_sleeping(until) is not None:
                self._come(until)
        except ServerError as error:
            self.go()  # it may yet wake up
            return error
        return None

    def go(self) -> None:
        """Let it sleep if it slept before, and nobody else uses it; that it would not is logged, not raised."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        try:
            with contextlib.closing(lock):
                if not lock.closed:
                    self._go(lock, time.monotonic() + self._timeout)
        except JudgeError as error:
            log.warning("judge server %s could not be put to sleep again: %s", self._server, error)

    def _come(self, until: float) -> None:
        lock = UseLock(self._server, self._folder)
        with contextlib.ExitStack() as stack:
            stack.callback(lock.close)
            with lock.turn(until):
                lock.join(until)
                stack.pop_all()
                self._lock = lock
                # Who was killed while it put the server to sleep may have it fall asleep a little later.
                if self._sleep_mode.is_sleeping(until) or lock.mark == b"going":
                    lock.mark = b"slept"
                    self._sleep_mode.wake(until)
                    log.info("judge server %s was woken", self._server)

    def _go(self, lock: UseLock, until: float) -> None:
        with lock.turn(until):
            try:
                if lock.is_last() and lock.mark:
                    lock.mark = b"going"
                    self._sleep_mode.sleep(until)
                    lock.mark = b""
                    log.info("judge server %s sleeps again", self._server)
            finally:
                lock.leave()  # before the turn ends: who is next must not find it in use


def _at_once(do: Callable[[_Visit], Answer], visits: Sequence[_Visit]) -> list[Answer]:
    """What comes of each visit; one thread for each but where there is only one."""
    if len(visits) < 2:
        return [do(visit) for visit in visits]
    with ThreadPoolExecutor(len(visits), thread_name_prefix="judge-awake") as threads:
        return list(threads.map(do, visits))
