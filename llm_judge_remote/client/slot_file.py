"""A file whose bytes the processes of one machine lock as slots.

The kernel holds the locks, so those of a process that dies are free at once, however it dies. They are locks of the
open file description (`F_OFD_SETLK`, Linux 3.15): unlike the older ones of the process (`F_SETLK`), those of two
descriptors in one process exclude each other, and closing one leaves the other's alone. A fork's child would share its
parent's description, and keep its slots taken when the parent dies: so the child must close what it inherited.
Where a system has no such locks (macOS, some sandboxes) those of the process serve: there, a process must not have two
`SlotFile`s of one name.

The file's content is only hints, which make it quick to find a free slot and to see that others wait; nothing breaks
where they are wrong, as they are when a process was killed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import struct
import sys
from array import array

__all__ = ["SlotFile"]

_SEATS = 128
_NOTE_BYTES = 8
_SLOTS_AT = _SEATS * _NOTE_BYTES

# struct flock (fcntl(2)) with the C compiler's own alignment: type, whence, start, length, pid, and padding at the end.
_FLOCK = struct.Struct("@hhqqi0q")
_SET: int | None = getattr(fcntl, "F_OFD_SETLK", None) if sys.platform == "linux" else None


class SlotFile:
    """One process's view of the file; not safe in threads by itself.

    It begins with a time for each of 128 seats: when whoever sits there last found too few slots. Then comes a byte for
    each slot: 1 where it is taken.

    Args:
        name: Of the file, made if it is not there. It is never removed: others may have it open.

    Raises:
        OSError: It cannot be opened for writing, or there are no locks on its file system.
    """

    def __init__(self, name: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # others may make links in a shared folder
        self._file = os.fdopen(os.open(name, flags, 0o666), "r+b", buffering=0)
        self._fd = self._file.fileno()
        self._of_description = _SET is not None
        self._seen = b""
        try:
            self._seat = self._sit()
        except BaseException:
            self._file.close()
            raise

    def look(self, slots: int) -> bytes:
        """A byte for each of the first `slots` slots: 1 for those that seem taken, 0 for those that seem free."""
        self._seen = os.pread(self._fd, _SLOTS_AT + slots, 0)
        return self._seen[_SLOTS_AT:].ljust(slots, b"\0")

    def waiting(self, since: int, until: int) -> int:
        """How many others had a note of a time between these two at the last look."""
        notes = self._seen[:_SLOTS_AT]
        if notes == bytes(len(notes)):
            return 0
        times = array("Q", notes[: len(notes) // _NOTE_BYTES * _NOTE_BYTES])
        if self._seat < len(times):
            times[self._seat] = 0
        return sum([since <= time <= until for time in times if time])

    def note(self, now: int) -> None:
        """Tell the others that too few slots were free at this time; 0 takes the note back."""
        self._write(now.to_bytes(_NOTE_BYTES, sys.byteorder), self._seat * _NOTE_BYTES)

    def lock(self, slot: int, count: int) -> bool:
        """Take all of these slots, which this process must not hold; False, and none, when others hold one of them."""
        if not self._set(fcntl.F_WRLCK, _SLOTS_AT + slot, count):
            return False
        self._write(b"\1" * count, _SLOTS_AT + slot)
        return True

    def unlock(self, slot: int, count: int) -> None:
        """Give these slots back."""
        self._write(bytes(count), _SLOTS_AT + slot)  # while it is sure that they are not somebody else's yet
        self._set(fcntl.F_UNLCK, _SLOTS_AT + slot, count)

    def close(self) -> None:
        """Let go of all slots; in a fork's child, of the parent's file without touching the parent's slots."""
        self._file.close()

    def _sit(self) -> int:
        """A seat of one's own, where there are enough."""
        first = secrets.randbelow(_SEATS)
        for seat in range(first, first + _SEATS):
            try:
                free = self._set(fcntl.F_WRLCK, seat % _SEATS, 1)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._of_description:
                    raise
                self._of_description = False  # a kernel without them
                free = self._set(fcntl.F_WRLCK, seat % _SEATS, 1)
            if free:
                return seat % _SEATS
        return first

    def _set(self, kind: int, start: int, count: int) -> bool:
        try:
            if _SET is not None and self._of_description:
                fcntl.fcntl(self._fd, _SET, _FLOCK.pack(kind, os.SEEK_SET, start, count, 0))
            else:
                command = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
                fcntl.lockf(self._fd, command, count, start)
        except (BlockingIOError, PermissionError):  # EAGAIN, or EACCES on some systems: POSIX leaves it open
            return False
        return True

    def _write(self, content: bytes, at: int) -> None:
        try:  # noqa: SIM105 (three times as fast as what it advises)
            os.pwrite(self._fd, content, at)
        except OSError:  # a full disk
            pass
