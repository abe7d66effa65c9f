"""The reply cache in an SQLite file, shared by threads and processes."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from pathlib import Path

from llm_judge_remote.client.chat import ChatReply
from llm_judge_remote.client.packing import packed, unpacked
from llm_judge_remote.errors import ConfigError

__all__ = ["SqliteCache"]

log = logging.getLogger(__name__)

_APPLICATION_ID = 0x4C4A5243  # "LJRC", in the file's header
_VERSION = 2  # to be raised whenever what is stored changes
_GATHER_S = 0.05
_MOST_PENDING = 20_000
_WRITER_WAIT_S = 5.0
_READER_WAIT_S = 0.02


class SqliteCache:
    """Replies in one file, which any number of threads and processes on one machine read and write at once.

    It never costs a judgement: when the file fails later (disk full, locked for 5 s, damaged), that is logged once, and
    from then on this process finds nothing and keeps nothing.

    `put` does not touch the disk. A thread writes what has gathered for 50 ms in one transaction, so thousands of
    replies a second cost little; `get` finds them meanwhile, `close` writes the rest, and a process that is killed
    loses the last 50 ms. The file is in WAL mode with synchronous=NORMAL: a crash of the machine may lose the last
    seconds, and damages nothing. WAL needs a local disk: no NFS.

    When the replies fill `capacity_bytes`, the oldest ones make room for new ones. (A file never shrinks by itself.)

    Args:
        path: Of the file, which is made if it is not there; `~` is the home folder.
        capacity_bytes: Bytes of the file at most, but for what is being written; 4 GiB hold some million replies.

    Attributes:
        hits: How often this process found what it looked for.

    Raises:
        ConfigError: The file cannot be opened or written, or is no cache of this version; such a file is left alone.
    """

    def __init__(self, path: str, *, capacity_bytes: int = 4 << 30) -> None:
        self.hits = 0
        self._name = path
        self._capacity_bytes = capacity_bytes
        self._pid = os.getpid()
        self._condition = threading.Condition()
        self._flushing = threading.Lock()
        self._pending: dict[bytes, str] = {}
        self._writing: dict[bytes, str] = {}
        self._off = False
        self._closing = threading.Event()
        self._connections: tuple[sqlite3.Connection, sqlite3.Connection] | None = None  # to write, to read
        try:
            self._connections = _open(path)
        except (sqlite3.Error, RuntimeError) as error:  # RuntimeError: `~` of somebody who has no home
            if not _is_locked(error):
                msg = f"cache={path!r} cannot be used: {error}; give the path of a cache, or of a new file in a folder "
                msg += "that exists and can be written, or set cache to `memory`"
                raise ConfigError(msg) from None
            self._give_up(error)
        self._thread = threading.Thread(target=self._work, name="judge-cache", daemon=True)
        self._thread.start()

    def get(self, key: bytes) -> ChatReply | None:
        """The reply that was put under this key by any process, or None."""
        if not self._usable:
            return None
        try:
            with self._condition:
                text = self._pending.get(key) or self._writing.get(key) or self._read(key)
                if text is None:
                    return None
                reply = unpacked(text)
                self.hits += 1
                return reply
        except sqlite3.Error as error:
            if not _is_locked(error):
                self._give_up(error)
        except KeyError:  # a field is missing: only this entry is of another make, and what is put next replaces it
            return None
        except (ValueError, TypeError):
            self._give_up("it holds an entry that cannot be read")
        return None

    def put(self, key: bytes, reply: ChatReply) -> None:
        """Keep a reply; while the disk cannot keep up with what comes, some are left out."""
        if not self._usable:
            return
        try:
            text = packed(reply)
        except TypeError:  # a lone surrogate, or a count beyond 64 bits: no server of ours says such things
            return
        with self._condition:
            if len(self._pending) < _MOST_PENDING:
                self._pending[key] = text
                if len(self._pending) == 1:
                    self._condition.notify()

    def close(self) -> None:
        """Write what is left, and let go of the file."""
        if self._pid != os.getpid() or self._closing.is_set():
            return
        with self._condition:
            self._closing.set()
            self._condition.notify()
        self._thread.join()
        self._flush()
        self._off = True
        with self._condition:
            for connection in self._connections or ():
                connection.close()

    @property
    def _usable(self) -> bool:
        # In a fork's child the lock may be held by a thread that it does not have, and SQLite forbids to use a parent's
        # connection, or to close it. (Nor is it closed there as garbage: the thread that was lost still refers to it.)
        return not self._off and self._pid == os.getpid()

    def _read(self, key: bytes) -> str | None:
        if self._connections is None:
            return None
        row = self._connections[1].execute("SELECT reply FROM reply WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _work(self) -> None:
        while not self._closing.is_set():
            with self._condition:
                self._condition.wait_for(lambda: self._pending or self._closing.is_set())
            self._closing.wait(_GATHER_S)
            self._flush()

    def _flush(self) -> None:
        with self._flushing:
            with self._condition:
                self._writing, self._pending = self._pending, {}
            if self._writing and self._connections and not self._off:
                connection = self._connections[0]
                try:
                    _write(connection, self._writing, self._capacity_bytes)
                except sqlite3.Error as error:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")  # or it would hold others up
                    self._give_up(error)
            with self._condition:
                self._writing = {}

    def _give_up(self, why: object) -> None:
        if not self._off:
            self._off = True
            log.warning("cache=%r is not used any more: %s", self._name, why)


def _open(name: str) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    file = str(Path(name).expanduser().absolute())  # SQLite knows names of its own, such as ":memory:"
    writer = _connect(file, _WRITER_WAIT_S)
    try:
        _prepare(writer, name)
        return writer, _connect(file, _READER_WAIT_S)
    except BaseException:
        writer.close()
        raise


def _connect(file: str, wait_s: float) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=wait_s, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, name: str) -> None:
    """Make a new file a cache; all is left as it is in any other."""
    connection.execute("BEGIN")  # so that all that is read was true at the same time
    blank = _is_blank(connection, name)
    connection.execute("COMMIT")
    if blank:
        _use_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")  # fails where the file cannot be written
    if _is_blank(connection, name):  # still: another process may have been quicker
        connection.execute("CREATE TABLE reply (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, reply TEXT NOT NULL)")
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")


def _write(connection: sqlite3.Connection, replies: dict[bytes, str], capacity_bytes: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT OR REPLACE INTO reply (key, reply) VALUES (?, ?)", replies.items())
    pages, free, page_bytes = (
        _number(connection, f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")
    )
    if (pages - free) * page_bytes > capacity_bytes:
        oldest = "DELETE FROM reply WHERE id IN (SELECT id FROM reply ORDER BY id LIMIT ?)"
        connection.execute(oldest, (2 * len(replies),))  # twice, so that shorter ones make enough room
    connection.execute("COMMIT")


def _is_blank(connection: sqlite3.Connection, name: str) -> bool:
    # Asked through SQLite: had this process the file open beside it, closing that would drop SQLite's own locks.
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    if (application, version) == (_APPLICATION_ID, _VERSION):
        return False
    if application == _APPLICATION_ID:
        msg = f"cache={name!r} is a cache of version {version}, and this is version {_VERSION}; give another path"
        raise ConfigError(msg)
    if application or version or _number(connection, "SELECT count(*) FROM sqlite_master"):
        msg = f"cache={name!r} is a database of something else; give another path"
        raise ConfigError(msg)
    return True


def _use_wal(connection: sqlite3.Connection) -> None:
    until = time.monotonic() + _WRITER_WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:  # noqa: PERF203 (SQLite itself does not wait here)
            if not _is_locked(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _is_locked(error: Exception) -> bool:
    return "locked" in str(error)  # the error's code is there from Python 3.11 on
