"""What waits for one set of servers, in the order in which it goes."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
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
        self._lines: OrderedDict[Hashable, OrderedDict[Hashable, deque[Entry]]] = OrderedDict()
        self._turns = 0
        self.count = 0

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self.urgent or self.count)

    def add(self, entry: Entry) -> None:
        """Put an entry in line."""
        task = entry.task
        line = self._lines.get(task.kind)
        if line is None:
            line = self._lines[task.kind] = OrderedDict()
        group = line.get(task.group)
        if group is None:
            group = line[task.group] = deque()
        group.append(entry)
        self.count += 1

    def first(self) -> Entry:
        """The entry that goes next; there must be one."""
        return next(iter(next(iter(self._lines.values())).values()))[0]

    def take(self, most: int) -> list[Entry]:
        """Up to `most` entries that may travel in one chunk, in order."""
        kind, line = next(iter(self._lines.items()))
        taken: list[Entry] = []
        while line and len(taken) < most:
            key, group = next(iter(line.items()))
            while group and len(taken) < most and self._turns < _TURNS:
                taken.append(group.popleft())
                self._turns += 1
            if not group:
                del line[key]
                self._turns = 0
            elif self._turns >= _TURNS:
                line.move_to_end(key)
                self._turns = 0
        if not line:
            del self._lines[kind]
        elif len(self._lines) > 1:
            self._lines.move_to_end(kind)
        self.count -= len(taken)
        return taken

    def remove(self, unwanted: Callable[[Submission[Any]], bool]) -> list[Entry]:
        """Take the entries of some submissions out of the line."""
        removed: list[Entry] = []
        for kind, line in list(self._lines.items()):
            for key, group in list(line.items()):
                kept = deque(entry for entry in group if not unwanted(entry.submission))
                if len(kept) < len(group):
                    removed.extend(entry for entry in group if unwanted(entry.submission))
                    line[key] = kept
                if not kept:
                    del line[key]
            if not line:
                del self._lines[kind]
        self.count -= len(removed)
        return removed

    def addresses(self) -> Sequence[str]:
        """The servers' addresses."""
        return [server.address for server in self.pool.servers]
