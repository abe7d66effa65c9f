"""Addresses in a shared folder, laid out like AReaL's name_resolve on NFS.

An entry is `<folder>/<8 hex>/ENTRY`, a file that holds the address. AReaL takes a folder for an entry only while that
file is alone in it, so all else lies in `<folder>/.leases/`: `<8 hex>`, which holds the seconds of a lease and is
touched to renew it, and files that are still being written, which a rename then puts in their place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

from llm_judge_remote.errors import RegistryError
from llm_judge_remote.servers.registry.registry import shown_url
from llm_judge_remote.servers.registry.url import bad_url, parts_of, query_of

__all__ = ["FileRegistry"]

_ENTRY = "ENTRY"
_LEASES = ".leases"
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}
_TRIES = 5  # AReaL removes folders that it finds empty, and a handle of NFS goes stale when a file is replaced
_SLACK = 2.0
"""A lease counts as run out after so many times its seconds: the clocks of two machines are not the same."""


class FileRegistry:
    """A folder, `file:///shared/exp/trial/judge`.

    An entry whose lease was not renewed for twice its seconds, by this machine's clock against the file server's,
    counts as gone; one without a lease, as AReaL writes it, stays until it is removed.

    Args:
        url: The folder's URL; the folder need not be there yet.
        clock: Seconds since the epoch, as the file system counts them.

    Raises:
        ConfigError: The URL names no absolute path.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        parts = parts_of(url)
        query_of(url, ())
        if parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
            raise bad_url(url, "write file:///FOLDER, with three slashes and the whole path")
        self.name = shown_url(url)
        self._folder = Path(unquote(parts.path))
        self._leases = self._folder / _LEASES
        self._clock = clock
        self._added: dict[str, str] = {}

    def addresses(self) -> list[str]:
        """The values of the entries whose lease has not run out, in the order of their folders' names."""
        with self._refusing("read"):
            return [value for entry, value in self._read() if not self._has_run_out(entry)]

    def entries(self) -> dict[str, str]:
        """Paths below the folder and their values, with those whose lease has run out."""
        with self._refusing("read"):
            return dict(self._read())

    def add(self, address: str, ttl: float) -> str:
        """Write an entry: from one moment to the next it is there, whole."""
        entry = secrets.token_hex(4)
        with self._refusing("written to"):
            self._write(entry, address, ttl)
        self._added[entry] = address
        return entry

    def keep(self, entry: str, ttl: float) -> None:
        """Touch the lease, or write the entry again."""
        with self._refusing("written to"):
            try:
                (self._folder / entry / _ENTRY).stat()
                os.utime(self._leases / entry)  # without times: it is the file server that says what time it is
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                self._write(entry, self._added[entry], ttl)

    def remove(self, entry: str) -> None:
        """Remove the entry, its folder and its lease."""
        self._added.pop(entry, None)
        place = self._folder / entry
        with self._refusing("written to"):
            (place / _ENTRY).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # AReaL's entries have none; after the entry, which would have none else
            (self._leases / entry).unlink()
        for folder in (place, self._leases):
            if folder != self._folder:
                with contextlib.suppress(OSError):  # something else is in it, or it is gone
                    folder.rmdir()

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self) -> Iterator[tuple[str, str]]:
        for folder in self._folders():
            value = _text(folder / _ENTRY)
            if value is not None:
                yield folder.relative_to(self._folder).as_posix(), value

    def _folders(self) -> Iterator[Path]:
        """The folder and all below it."""
        waiting = [self._folder]
        while waiting:
            folder = waiting.pop()
            yield folder
            try:
                with os.scandir(folder) as items:
                    below = [item.name for item in items if item.is_dir(follow_symlinks=False)]
            except OSError as error:
                absent = error.errno in _GONE - ({errno.ENOTDIR} if folder == self._folder else set())
                if not absent:
                    raise
                continue
            waiting += [folder / name for name in sorted(below, reverse=True) if name != _LEASES]

    def _has_run_out(self, entry: str) -> bool:
        lease = self._leases / entry
        try:
            # Opened, and not asked for by name: that is when NFS looks whether what it remembers still holds.
            with lease.open(encoding="utf-8") as file:
                ttl = float(file.read())
                renewed = os.fstat(file.fileno()).st_mtime
        except (OSError, ValueError):  # no lease, or none of ours
            return False
        return self._clock() - renewed > _SLACK * ttl

    def _write(self, entry: str, address: str, ttl: float) -> None:
        for tried in range(1, _TRIES + 1):
            try:
                self._leases.mkdir(parents=True, exist_ok=True)
                self._put(self._leases / entry, f"{ttl:g}\n")
                (self._folder / entry).mkdir(exist_ok=True)
                self._put(self._folder / entry / _ENTRY, address)
                return
            except OSError as error:  # noqa: PERF203 (the loop is there for it)
                if error.errno not in _GONE or tried == _TRIES:
                    raise

    def _put(self, path: Path, text: str) -> None:
        """Write a file that is whole whenever it is seen."""
        new = self._leases / f"{secrets.token_hex(8)}.new"
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise

    @contextlib.contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._refuse(what, error)

    def _refuse(self, what: str, error: OSError) -> NoReturn:
        msg = f"{self.name}: the folder cannot be {what}: {error.strerror or error}; is it mounted, and yours to use?"
        raise RegistryError(msg) from error


def _text(path: Path) -> str | None:
    """What a file holds, or None when there is none."""
    for _ in range(_TRIES):
        try:
            return path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:  # noqa: PERF203 (the loop is there for it)
            if error.errno == errno.ESTALE:
                continue
            if error.errno in _GONE or error.errno == errno.EISDIR:
                return None
            raise
    return None
