"""Which servers do not take which requests, though they are well."""

from __future__ import annotations

from collections.abc import Hashable

from llm_judge_remote.errors import AuthenticationError, IncapableError, ServerError, UnknownModelError
from llm_judge_remote.logs import logger

__all__ = ["Refusals"]

log = logger(__name__)

_RECHECK_S = 60.0


class Refusals:
    """Servers that serve another model, want another key, or cannot do what is asked: the others are asked instead.

    What one has refused is not asked of it for a minute. The dispatcher holds the lock.
    """

    def __init__(self) -> None:
        self._until: dict[tuple[str, Hashable], float] = {}

    @staticmethod
    def is_one(error: ServerError) -> bool:
        """Whether another server may take what this one has refused."""
        return isinstance(error, (UnknownModelError, AuthenticationError, IncapableError))

    def note(self, address: str, kind: Hashable, error: ServerError, now: float) -> None:
        """A server has refused a request of this kind (`Task.kind`)."""
        if self._until.get((address, kind), now) <= now:
            log.warning("judge server %s is passed over for a minute: %s", address, error)
        self._until = {known: until for known, until in self._until.items() if until > now}
        self._until[address, kind] = now + _RECHECK_S

    def of(self, kind: Hashable, now: float) -> list[str]:
        """The servers that have refused a request of this kind within the last minute."""
        if not self._until:
            return []
        return [address for (address, refused), until in self._until.items() if refused == kind and until > now]
