"""One thread that keeps looking at a registry."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from llm_judge_remote.errors import JudgeError
from llm_judge_remote.logs import logger
from llm_judge_remote.servers.registry.addresses import asked
from llm_judge_remote.servers.registry.registry import Registry

__all__ = ["Watch"]

log = logger(__name__)

_LEAST_GAP_S = 1.0
_PATIENCE_S = 1.0


class Watch:
    """Looks at a registry at once, and then every `refresh` seconds, give or take a fifth.

    A look that fails keeps the list that is known, and so does a first one that finds nobody where there were some: a
    shared folder that is not mounted looks as if it were empty. A second one empties it. The registry is closed when
    the thread ends.

    Args:
        registry: Where to look.
        refresh: Seconds from one look to the next.
        changed: Called in the watching thread after the first look, when the addresses are others than before, and
            when looks begin or cease to fail.
        clock: Monotonic seconds.
        chance: A number in [0, 1) for the jitter.

    Attributes:
        registry: Where it looks.
        addresses: The servers that are registered, each once; their weights are kept.
        error: Why the last look failed, or "".
        looked: Whether the first look has ended.
    """

    def __init__(
        self,
        registry: Registry,
        refresh: float,
        changed: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.registry = registry
        self.addresses: tuple[str, ...] = ()
        self.error = ""
        self.looked = False
        self._refresh = refresh
        self._changed = changed
        self._clock = clock
        self._chance = chance
        self._condition = threading.Condition()
        self._closed = False
        self._seemed_empty = False
        self._last = self._due = clock()
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="judge-registry", daemon=True)
        self._thread.start()

    def nudge(self) -> None:
        """Look again at once, or as soon as the last look is a second ago."""
        with self._condition:
            self._due = min(self._due, self._last + _LEAST_GAP_S)
            self._condition.notify()

    def close(self) -> None:
        """End the thread; a look under way is waited for, but no longer than a second."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        try:
            while self._wait():
                self._look()
        finally:
            try:
                self.registry.close()
            except Exception:
                log.exception("%s could not be closed", self.registry.name)

    def _wait(self) -> bool:
        """Until the next look is due; False when there is to be none."""
        with self._condition:
            while not self._closed and (left := self._due - self._clock()) > 0:
                self._condition.wait(left)
            self._last = self._clock()
            self._due = self._last + self._refresh * (0.8 + 0.4 * self._chance())
            return not self._closed

    def _look(self) -> None:
        before = (self.looked, self.addresses, bool(self.error))
        try:
            addresses, others = asked(self.registry)
        except Exception as error:  # noqa: BLE001 (other people's registries may raise anything)
            self._failed(error)
        else:
            self._found(addresses, others)
        self.looked = True
        with self._condition:
            if self._closed:
                return
        if before != (self.looked, self.addresses, bool(self.error)):
            try:
                self._changed()
            except Exception:
                log.exception("what follows from a change in %s failed", self.registry.name)

    def _failed(self, error: Exception) -> None:
        said = str(error) if isinstance(error, JudgeError) else f"{self.registry.name}: {type(error).__name__}: {error}"
        if not self.error:
            log.warning("%s; the %d servers known so far stay", said, len(self.addresses))
        self.error = said

    def _found(self, addresses: tuple[str, ...], others: tuple[str, ...]) -> None:
        if self.error:
            log.warning("%s answers again", self.registry.name)
        for value in others:
            if value not in self._told:
                self._told.add(value)
                log.warning("%s holds %.200r, which is no address of a server", self.registry.name, value)
        self.error = ""
        seems_empty = bool(self.addresses) and not addresses
        if seems_empty and not self._seemed_empty:
            self._seemed_empty = True
            return
        self._seemed_empty = False
        self.addresses = addresses
