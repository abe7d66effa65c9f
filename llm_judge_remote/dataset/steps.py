"""The steps in which files are written: each makes some rows of each file, from the input alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from llm_judge_remote.dataset.batches import cuts, regrouped
from llm_judge_remote.dataset.membership import Pairs
from llm_judge_remote.dataset.pair_items import PairReader
from llm_judge_remote.dataset.pair_lines import json_lines, lengths
from llm_judge_remote.dataset.parquet import packed
from llm_judge_remote.dataset.rows import RowOptions, own_references, verl_batch
from llm_judge_remote.dataset.spill import Spill
from llm_judge_remote.dataset.targets import AddedTargets

__all__ = [
    "MEMBERS",
    "NONMEMBERS",
    "ROWS",
    "Paired",
    "Spilled",
    "Step",
    "Steps",
    "Streamed",
    "in_order",
]

ROWS, MEMBERS, NONMEMBERS = "rows.arrow", "members.jsonl", "nonmembers.jsonl"
"""The files that grow step by step; the rows are in `packed` form."""


class Step(NamedTuple):
    """What a step adds.

    Attributes:
        rows: For the parquet file.
        pieces: To each file that grows, by its name, one behind the other.
        note: For the journal: the number of `rows`, and `lengths` of pairs.
    """

    rows: pa.RecordBatch
    pieces: dict[str, list[bytes | memoryview]]
    note: dict[str, Any]


class Steps(Protocol):
    """A way of making rows.

    Attributes:
        total: Rows in all, or None if that is not known.
    """

    total: int | None

    def after(self, rows: int) -> Iterator[Callable[[], Step]]:
        """The steps that are left when so many rows are there; each can be done at any time, in any thread."""


class Streamed:
    """Rows as they come, of which nothing is kept.

    Args:
        batches: Of `ITEMS`.
        options: Common to all rows.
        group_rows: Most rows of a row group.
        total: How many they are, if that is known.
    """

    def __init__(
        self, batches: Iterable[pa.RecordBatch], options: RowOptions, group_rows: int, total: int | None = None
    ) -> None:
        self.total = total
        self._batches = batches
        self._options = options
        self._group_rows = group_rows

    def after(self, rows: int) -> Iterator[Callable[[], Step]]:
        """See `Steps`."""
        for items in regrouped(self._batches, self._group_rows, skip=rows):
            yield partial(self._step, items, rows)
            rows += items.num_rows

    def _step(self, items: pa.RecordBatch, start: int) -> Step:
        return _step(verl_batch(items, self._options, start=start))


class Spilled:
    """All rows of a spill, with more references from other rows."""

    def __init__(self, spill: Spill, options: RowOptions, group_rows: int, targets: AddedTargets) -> None:
        self.total: int | None = len(spill)
        self._spill = spill
        self._options = options
        self._targets = targets
        self._group_rows = group_rows

    def after(self, rows: int) -> Iterator[Callable[[], Step]]:
        """See `Steps`."""
        for first, last in cuts(self._spill.item_bytes(np.arange(len(self._spill))), self._group_rows, skip=rows):
            yield partial(self._step, first, last)

    def _step(self, first: int, last: int) -> Step:
        rows = np.arange(first, last)
        items = self._spill.items(rows)
        targets = self._targets.lists(rows, own_references(items, self._options))
        return _step(verl_batch(items, self._options, start=first, target_gt=targets))


class Paired:
    """Membership pairs: the rows of those to train on, and both as JSON lines.

    Args:
        pairs: All of them.
        reader: Of their texts.
        options: Common to all rows; with `pair`, which is the method.
        group_rows: Rows of a row group.
        reverse: Whether the two change their roles: what the method makes non-members of is trained on.
        targets: Where more references for those to train on come from, if from anywhere.
    """

    def __init__(
        self,
        pairs: Pairs,
        reader: PairReader,
        options: RowOptions,
        group_rows: int,
        *,
        reverse: bool = False,
        targets: AddedTargets | None = None,
    ) -> None:
        self.total: int | None = len(pairs)
        self._pairs = pairs
        self._reader = reader
        self._options = options
        self._group_rows = group_rows
        self._reverse = reverse
        self._targets = targets

    def after(self, rows: int) -> Iterator[Callable[[], Step]]:
        """See `Steps`."""
        for first, last in cuts(self._reader.sizes(), self._group_rows, skip=rows):
            yield partial(self._step, first, last)

    def _step(self, first: int, last: int) -> Step:
        own, other = self._reader.members(first, last), self._reader.non_members(first, last)
        trained, held_out = (other, own) if self._reverse else (own, other)
        targets = self._added(trained.items, first, last)
        step = _step(verl_batch(trained.items, self._options, start=first, member=1, target_gt=targets))
        step.note["lengths"] = {}
        for name, side, member in ((MEMBERS, trained, True), (NONMEMBERS, held_out, False)):
            step.pieces[name] = [*json_lines(side, first=first, member=member, method=self._pairs.method)]
            step.note["lengths"][name] = lengths(side.items)
        return step

    def _added(self, trained: pa.RecordBatch, first: int, last: int) -> pa.Array | None:
        if self._targets is None:
            return None
        pairs = self._pairs
        problems = pairs.other_problem if self._reverse else pairs.member_problem
        solutions = pairs.other_solution if self._reverse else pairs.member_solution
        own = own_references(trained, self._options)
        return self._targets.lists(solutions[first:last], own, problems=problems[first:last])


def in_order(steps: Iterable[Callable[[], Step]], workers: int) -> Iterator[Step]:
    """What the steps make, in their order; as many are made at once as there are workers, and none far ahead."""
    with ThreadPoolExecutor(workers, thread_name_prefix="rows") as pool:
        begun: deque[Future[Step]] = deque()
        try:
            for step in steps:
                begun.append(pool.submit(step))
                if len(begun) > workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for each in begun:
                each.cancel()


def _step(rows: pa.RecordBatch) -> Step:
    return Step(rows, {ROWS: [packed(rows)]}, {"rows": rows.num_rows})
