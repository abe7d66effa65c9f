"""What waits for one set of servers, in the order in which it goes."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from llm_judge_remote.client.exchange import Exchange
from llm_judge_remote.client.retry import RetryBudget
from llm_judge_remote.servers.pool import ServerPool

if TYPE_CHECKING:
    from llm_judge_remote.client.question import Question
    from llm_judge_remote.client.submission import Entry, Submission

__all__ = ["Channel", "HedgeBudget"]

_TURNS = 64


class HedgeBudget:
    """How many conversations may be asked once more because they take long: a share of all, and a few to begin with.

    Args:
        share: Of the conversations sent.
        at_once: To begin with.
    """

    __slots__ = ("_left", "_share")

    def __init__(self, share: float = 0.04, at_once: float = 4.0) -> None:
        self._share = share
        self._left = at_once

    def sent(self, count: int) -> None:
        """So many conversations were sent."""
        self._left += self._share * count

    def spend(self, count: int) -> bool:
        """Take so many; False when there are fewer left."""
        if self._left < count:
            return False
        self._left -= count
        return True


class Channel:
    """A set of servers, how they are asked, and what waits for them; the dispatcher's lock guards it.

    First goes what was under way before: retries, and further requests of jobs that have begun. Then the entries:
    those of one group one after the other, so that the first fills the server's prefix cache and the others find it
    there. After 64 of a group that grows all the time, the next group has its turn. What may not travel in one chunk
    (another model, other sampling) waits in a line of its own, and the lines take turns.

    Args:
        exchange: Asks one server.
        pool: Chooses it.
        max_retries: Of each request.
        use_chunks: Whether the batch endpoint may be used.
        hedge: Whether stragglers are asked once more.
        shared_limits: By address, where processes share one; see `SharedLimit`.
    """

    def __init__(
        self,
        exchange: Exchange,
        pool: ServerPool,
        *,
        max_retries: int = 3,
        use_chunks: bool = True,
        hedge: bool = True,
        shared_limits: dict[str, Any] | None = None,
    ) -> None:
        self.exchange = exchange
        self.pool = pool
        self.max_retries = max_retries
        self.use_chunks = use_chunks
        self.hedge = hedge
        self.shared_limits = shared_limits or {}
        self.retry_budget = RetryBudget()
        self.hedge_budget = HedgeBudget()
        self.asked: dict[Hashable, Question] = {}
        self.urgent: deque[list[Question]] = deque()
        self._lines: OrderedDict[Hashable, _Line] = OrderedDict()
        self.count = 0

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self.urgent or self.count)

    def add(self, entry: Entry) -> None:
        """Put an entry in line."""
        line = self._lines.get(entry.task.kind)
        if line is None:
            line = self._lines[entry.task.kind] = _Line()
        line.add(entry)
        entry.is_in_line = True
        self.count += 1

    def disown(self, entry: Entry) -> None:
        """Nobody wants what an entry in line brings; it is passed over in its turn."""
        entry.is_in_line = False
        self.count -= 1

    def first(self) -> Entry:
        """The entry that goes next; there must be one."""
        while True:
            kind, line = next(iter(self._lines.items()))
            entry = line.first()
            if entry is not None:
                return entry
            del self._lines[kind]

    def take(self, most: int) -> list[Entry]:
        """Up to `most` entries that may travel in one chunk, in order; there must be one."""
        kind = self.first().task.kind
        taken = self._lines[kind].take(most)
        for entry in taken:
            entry.is_in_line = False
        self.count -= len(taken)
        if self._lines[kind].first() is None:
            del self._lines[kind]
        else:
            self._lines.move_to_end(kind)
        return taken

    def remove(self, unwanted: Callable[[Submission[Any]], bool]) -> list[Entry]:
        """Take the entries of some submissions out of the line."""
        removed = [entry for line in self._lines.values() for entry in line.entries() if unwanted(entry.submission)]
        for entry in removed:
            self.disown(entry)
        return removed


class _Line:
    """Entries that may travel in one chunk, group by group."""

    def __init__(self) -> None:
        self._groups: OrderedDict[Hashable, deque[Entry]] = OrderedDict()
        self._turns = 0

    def add(self, entry: Entry) -> None:
        group = self._groups.get(entry.task.group)
        if group is None:
            group = self._groups[entry.task.group] = deque()
        group.append(entry)

    def first(self) -> Entry | None:
        """The entry that goes next; forgets those that left the line."""
        while self._groups:
            key, group = next(iter(self._groups.items()))
            while group and not group[0].is_in_line:
                group.popleft()
            if group and self._turns < _TURNS:
                return group[0]
            self._turns = 0
            if group:
                self._groups.move_to_end(key)
            else:
                del self._groups[key]
        return None

    def take(self, most: int) -> list[Entry]:
        taken: list[Entry] = []
        while len(taken) < most and (entry := self.first()) is not None:
            self._groups[entry.task.group].popleft()
            self._turns += 1
            taken.append(entry)
        return taken

    def entries(self) -> list[Entry]:
        return [entry for group in self._groups.values() for entry in group if entry.is_in_line]
