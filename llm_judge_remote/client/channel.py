"""What waits for one set of servers, in the order in which it goes."""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Any

from llm_judge_remote.client.exchange import Exchange
from llm_judge_remote.client.refusals import Refusals
from llm_judge_remote.client.retry import RetryBudget
from llm_judge_remote.servers.pool import ServerPool

if TYPE_CHECKING:
    from llm_judge_remote.client.question import Question
    from llm_judge_remote.client.submission import Entry, Submission

__all__ = ["Channel", "Group", "HedgeBudget"]

_TURNS = 64
_MEMORY = 0.05
_LEAST_WINNING = 0.25
_LOOKED_AT = 64  # groups that may be looked through for company in a chunk


class HedgeBudget:
    """How many conversations may be asked once more because they take long: a share of all, and a few to begin with.

    Where the first request mostly answers before the second, it is the machine or the whole server that is slow, and
    asking again does not help: the share falls to a quarter.

    Args:
        share: Of the conversations sent.
        at_once: To begin with.
    """

    __slots__ = ("_left", "_share", "_winning")

    def __init__(self, share: float = 0.04, at_once: float = 4.0) -> None:
        self._share = share
        self._left = at_once
        self._winning = 1.0

    def sent(self, count: int) -> None:
        """So many conversations were sent."""
        self._left += self._share * count * max(self._winning, _LEAST_WINNING)

    def ended(self, *, won: bool) -> None:
        """One that was asked once more was answered, by the second request or not."""
        self._winning += _MEMORY * (won - self._winning)

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
    there; with several servers, a group whose own is full lets others pass. After 64 of a group that grows all the
    time, the next group has its turn. What may not travel in one chunk (another model, other sampling) waits in a line
    of its own, and the lines take turns.

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
        self.refusals = Refusals()
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

    def front(self, most: int) -> Iterator[Group]:
        """The first groups of the line whose turn it is; there must be one."""
        return self._lines[self.first().task.kind].front(most)

    def take(self, most: int, group: Group | None = None, joins: Callable[[Group], bool] | None = None) -> list[Entry]:
        """Up to `most` entries that may travel in one chunk, in order; there must be one.

        Args:
            most: How many.
            group: One of `front`, to begin with; the first if None.
            joins: Which of the other groups may go with it; all if None.
        """
        kind = self.first().task.kind
        line = self._lines[kind]
        taken = line.take(most) if group is None else line.take_from(group, most, joins)
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


class Group:
    """Entries in line whose prompts begin alike."""

    __slots__ = ("_key", "entries", "has_siblings")

    def __init__(self, first: Entry) -> None:
        self.entries: deque[Entry] = deque()
        self.has_siblings = first.has_siblings
        self._key = ""

    def routing_key(self) -> str:
        """What tells where the group belongs."""
        if not self._key:
            self._key = self.entries[0].key()
        return self._key

    def pop(self) -> Entry:
        """Take the first entry."""
        entry = self.entries.popleft()
        entry.routing_key = self._key
        return entry

    def tidy(self) -> bool:
        """Forget what left the line from the front; whether anything is left."""
        while self.entries and not self.entries[0].is_in_line:
            self.entries.popleft()
        return bool(self.entries)


class _Line:
    """Entries that may travel in one chunk, group by group."""

    def __init__(self) -> None:
        self._groups: OrderedDict[Hashable, Group] = OrderedDict()
        self._turns = 0

    def add(self, entry: Entry) -> None:
        group = self._groups.get(entry.task.group)
        if group is None:
            group = self._groups[entry.task.group] = Group(entry)
        group.entries.append(entry)

    def first(self) -> Entry | None:
        """The entry that goes next; forgets those that left the line."""
        while self._groups:
            key, group = next(iter(self._groups.items()))
            is_left = group.tidy()
            if is_left and self._turns < _TURNS:
                return group.entries[0]
            self._turns = 0
            if is_left:
                self._groups.move_to_end(key)
            else:
                del self._groups[key]
        return None

    def front(self, most: int) -> Iterator[Group]:
        """The first groups, for those who change nothing meanwhile."""
        return itertools.islice((group for group in self._groups.values() if group.tidy()), most)

    def take(self, most: int) -> list[Entry]:
        taken: list[Entry] = []
        group: Group | None = None
        while len(taken) < most and (entry := self.first()) is not None:
            following = self._groups[entry.task.group]
            if following is not group and taken and len(following.entries) > most - len(taken):
                break  # a group that is cut in two may end up at two servers of a balancer
            group = following
            taken.append(group.pop())
            self._turns += 1
        return taken

    def take_from(self, group: Group, most: int, joins: Callable[[Group], bool] | None) -> list[Entry]:
        taken: list[Entry] = []
        self._move(group, most, taken)
        if len(taken) < most and joins is not None:
            for other in list(self.front(_LOOKED_AT)):
                if len(other.entries) <= most - len(taken) and joins(other):
                    self._move(other, most, taken)
        return taken

    def _move(self, group: Group, most: int, taken: list[Entry]) -> None:
        """Take what may still go from one group."""
        is_first = group is next(iter(self._groups.values()))
        identity = group.entries[0].task.group
        while len(taken) < most and group.tidy():
            taken.append(group.pop())
            self._turns += is_first
        if not group.entries:
            del self._groups[identity]
            if is_first:
                self._turns = 0

    def entries(self) -> list[Entry]:
        return [entry for group in self._groups.values() for entry in group.entries if entry.is_in_line]
