"""One limit on what is in flight at a server, for all worker processes of a machine (setting `shared_limit`)."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Sequence

from llm_judge_remote.client.slot_file import SlotFile
from llm_judge_remote.errors import ConfigError

__all__ = ["SharedLimit"]

log = logging.getLogger(__name__)

_MS = 1_000_000  # in the clock's nanoseconds
_NOTE_HOLDS = 50 * _MS
_NOTE_EVERY = 5 * _MS
_LOOK_EVERY = 1 * _MS
_REFUSE_FOR = 1 * _MS
_STAY_OUT = 8 * _MS  # from half to one and a half of it
_MOST_MISSES = 4
_MOST_TRIES = 2


class SharedLimit:
    """Slots of one server, of which the processes that use the same file hold no more than `slots` together.

    Slots are locks, which the kernel frees when a process ends, killed or not. A fork's child holds none, and opens the
    file anew on its first `take`. Each object counts for itself, so two in one process share like two processes.

    `take` never waits: whoever is refused asks again, at least every 20 ms while it wants more, and every few
    milliseconds to be served well. It is a few system calls, however many slots there are; within a millisecond of a
    refusal it refuses without a look, unless this process gave something back. What a killed process held is found
    again little by little, as those who are refused try a few of the taken slots each time.

    Nobody is shut out: while others have asked in vain within the last 50 ms, none takes more than its equal part,
    which is `slots` divided by those who wait and itself; what does not divide goes to those who gave back less lately.
    So a newcomer has its part when that many replies have come. Those who want less than their part have what they
    want, and the others use the rest. Parts are told apart for up to 128 processes.

    Processes that give different `slots` keep to their own: in all there are as many as the largest says, of which
    those with a smaller number use the first ones only.

    If the locks fail later (a network file system that went away), this is logged once, and the process goes on
    without the shared limit, within its own.

    Args:
        path: The beginning of the file's name, to which a digest of the address is added, so that each server has a
            file of its own. The folder should be on a local disk or in memory: on NFS, where there are locks at all,
            each `take` goes over the network, and the limit holds for all machines. The file stays; while it is in use
            it must not be removed, or those who come later count from 0.
        address: The server's.
        slots: In flight at most, over all processes; at least 1.
        clock: Nanoseconds that all processes of the machine agree on; for tests.

    Raises:
        ConfigError: The file cannot be opened or locked.
    """

    def __init__(self, path: str, address: str, slots: int, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._path = path
        self._name = f"{path}.{hashlib.blake2b(address.encode(), digest_size=8).hexdigest()}"
        self._slots = slots
        self._clock = clock
        self._closed = False
        self._file: SlotFile | None = None
        self._hold_nothing()
        self._file = self._open()
        after_fork = weakref.WeakMethod(self._after_fork)  # the hook stays for ever, the limit need not
        os.register_at_fork(after_in_child=lambda: (forget := after_fork()) and forget())

    @property
    def held(self) -> int:
        """Slots taken and not given back."""
        return len(self._held) + self._beyond

    def take(self, most: int) -> int:
        """Take slots.

        Args:
            most: How many are wanted.

        Returns:
            How many were taken, from 0 to `most`; perhaps fewer than are free.

        Raises:
            ConfigError: In a fork's child, at first: the file cannot be opened any more.
        """
        with self._lock:
            if self._closed or most <= 0:
                return 0
            if self._file is None:
                self._file = self._open()
            try:
                if not self._failed:
                    return self._take(self._file, most)
            except OSError as error:
                self._fail(error)
            self._beyond += most
            return most

    def give_back(self, count: int) -> None:
        """Give back so many of the slots that are held."""
        with self._lock:
            beyond = min(count, self._beyond)
            self._beyond -= beyond
            count = min(count - beyond, len(self._held))
            if count <= 0 or self._file is None:
                return
            self._release(self._file, count)
            self._refused_until = 0
            if self._others:
                self._stay_out_until = self._clock() + _STAY_OUT // 2 + secrets.randbelow(_STAY_OUT)

    def close(self) -> None:
        """Give everything back; from now on there is nothing to take."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                if self._held:
                    self._release(self._file, len(self._held))
                if self._noted_at:
                    self._file.note(0)
                self._file.close()
                self._file = None
            self._hold_nothing()

    def _open(self) -> SlotFile:
        try:
            return SlotFile(self._name)
        except OSError as error:
            msg = f"shared_limit={self._path!r} cannot be used: {self._name}: {error.strerror}; give the beginning of "
            msg += "a file's name in a folder that exists, on a local disk, and that all workers may write to"
            raise ConfigError(msg) from None

    def _hold_nothing(self) -> None:
        self._lock = threading.Lock()
        self._held: list[int] = []
        self._mine = bytearray(self._slots)  # 1 where a slot is held: locking it again would succeed
        self._taken = bytearray(self._slots)  # 1 where a slot is held, or seemed taken at the last look
        self._beyond = 0  # taken since the locks failed
        self._failed = False
        self._cursor = secrets.randbelow(self._slots)
        self._tried = self._cursor
        self._others = 0
        self._looked_at = self._noted_at = self._refused_until = self._stay_out_until = 0

    def _after_fork(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._hold_nothing()

    def _fail(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            log.warning("shared_limit=%r is not kept any more: %s", self._path, error)

    def _take(self, file: SlotFile, most: int) -> int:
        now = self._clock()
        if now < self._refused_until:
            return 0
        is_fresh = now - self._looked_at >= _LOOK_EVERY
        if is_fresh:
            self._look(file, now)
        wanted = min(most, self._part(now) - len(self._held))
        got = self._find(file, wanted)
        if got < wanted:
            if not is_fresh:
                self._look(file, now)
                got += self._find(file, wanted - got)
            got += self._try_taken(file, wanted - got)
        if got == most:
            if self._noted_at:
                file.note(0)
                self._noted_at = 0
        else:
            if now - self._noted_at >= _NOTE_EVERY:
                file.note(now)
                self._noted_at = now
            if not got:
                self._refused_until = now + _REFUSE_FOR
        return got

    def _look(self, file: SlotFile, now: int) -> None:
        self._looked_at = now
        seen = int.from_bytes(file.look(self._slots), "little") | int.from_bytes(self._mine, "little")
        self._taken = bytearray(seen.to_bytes(self._slots, "little"))
        self._others = file.waiting(now - _NOTE_HOLDS, now)

    def _part(self, now: int) -> int:
        """How many slots this process may hold, now that so many others wait."""
        part, left = divmod(self._slots, self._others + 1)
        return part + 1 if left and now >= self._stay_out_until else part

    def _find(self, file: SlotFile, most: int) -> int:
        """Lock up to `most` slots that seem free, from where the last was found."""
        got = misses = 0
        for begin, end in ((self._cursor, self._slots), (0, self._cursor)):
            at = self._taken.find(0, begin, end)
            while at >= 0 and got < most and misses < _MOST_MISSES:
                limit = min(at + most - got, end)
                stop = self._taken.find(1, at, limit)
                stop = stop if stop >= 0 else limit
                if self._lock_run(file, at, stop):
                    got += stop - at
                else:
                    misses += 1  # somebody was quicker
                at = self._taken.find(0, stop, end)
        return got

    def _try_taken(self, file: SlotFile, most: int) -> int:
        """Lock up to `most` slots that seem taken: a process that was killed left its own so. A few at a time."""
        got = tries = 0
        while got < most and tries < _MOST_TRIES:
            slot = self._mine.find(0, self._tried + 1)
            self._tried = slot if slot >= 0 else self._mine.find(0)
            if self._lock_run(file, self._tried, self._tried + 1):
                got += 1
            else:
                tries += 1
        return got

    def _lock_run(self, file: SlotFile, first: int, stop: int) -> bool:
        if not file.lock(first, stop - first):
            return False
        self._held.extend(range(first, stop))
        self._mine[first:stop] = self._taken[first:stop] = b"\1" * (stop - first)
        self._cursor = stop % self._slots
        return True

    def _release(self, file: SlotFile, count: int) -> None:
        """Unlock the slots that were taken last."""
        freed = self._held[-count:]
        del self._held[-count:]
        try:
            for first, stop in _runs(freed):
                self._mine[first:stop] = self._taken[first:stop] = bytes(stop - first)
                self._cursor = first
                file.unlock(first, stop - first)
        except OSError as error:
            self._fail(error)


def _runs(slots: Sequence[int]) -> list[tuple[int, int]]:
    """First and last but one of what follows without a gap."""
    if len(slots) == 1:
        return [(slots[0], slots[0] + 1)]
    runs: list[tuple[int, int]] = []
    for slot in sorted(slots):
        if runs and runs[-1][1] == slot:
            runs[-1] = (runs[-1][0], slot + 1)
        else:
            runs.append((slot, slot + 1))
    return runs
