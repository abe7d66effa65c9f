"""How an order is carried out: what is read first, and the steps that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from llm_judge_remote.dataset.batches import ReadAhead, Subset
from llm_judge_remote.dataset.membership import plan
from llm_judge_remote.dataset.order import Membership, Order
from llm_judge_remote.dataset.pair_items import PairReader
from llm_judge_remote.dataset.skipped import Skipped
from llm_judge_remote.dataset.source import Source
from llm_judge_remote.dataset.spill import Spill
from llm_judge_remote.dataset.steps import Paired, Spilled, Steps, Streamed
from llm_judge_remote.dataset.targets import AddedTargets

__all__ = ["Progress", "Stages"]


class Progress:
    """Rows done, over all the times that the data is gone through.

    Args:
        tell: Called with the rows done, and with how many there will be then, if that is known.
    """

    def __init__(self, tell: Callable[[int, int | None], None]) -> None:
        self._tell = tell
        self._before = self._now = 0
        self._total: int | None = None

    def begin(self, total: int | None) -> None:
        """The data is gone through once more, in so many rows."""
        self._before += self._now
        self._now = 0
        self._total = total

    def __call__(self, rows: int) -> None:
        """So many rows are done this time."""
        self._now = rows
        self._tell(self._before + rows, None if self._total is None else self._before + self._total)


class Stages:
    """Reads what has to be read before the first step; used as a context manager, which closes what it opened.

    Args:
        order: What is to be prepared.
        folder: For what is kept on disk meanwhile.
        progress: Is told of all rows.
    """

    def __init__(self, order: Order, folder: Path, progress: Progress) -> None:
        self._order = order
        self._folder = folder
        self._progress = progress
        self._opened = ExitStack()
        self._spill: Spill | None = None

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def skipped(self) -> Skipped:
        """The rows of the source that were left out; complete when all steps are done."""
        if self._spill is None:
            return self._order.source.skipped
        count, first = self._spill.note["count"], self._spill.note["first"]
        return Skipped(count, tuple((file, line, why) for file, line, why in first))

    def steps(self) -> Steps:
        """The steps of the order.

        Raises:
            DatasetError: The input cannot be read, or has too few rows, or there is no room for it in the folder.
        """
        order = self._order
        source: Source | Subset = order.source
        total = order.source.count()
        if order.subset_size is not None:
            self._progress.begin(total)
            source = Subset(order.source, order.subset_size, order.seed, self._progress)
            source.draw()
            total = order.subset_size
        if order.membership is None and order.targets is None:
            return Streamed(source, order.options, order.group_rows, total)
        spill = self._spill = self._spilled(source, "items", total)
        if order.membership is not None:
            return self._paired(spill, order.membership)
        targets = AddedTargets(spill, order.targets or "", seed=order.seed)
        return Spilled(spill, order.options, order.group_rows, targets)

    def _paired(self, spill: Spill, membership: Membership) -> Steps:
        order = self._order
        others = None
        if membership.others is not None:
            others = self._spilled(membership.others, "others", membership.others.count())
        pairs = plan(spill, membership.method, count=membership.count, seed=order.seed, others=others)
        reader = PairReader(pairs, spill, others)
        targets = None
        if order.targets is not None:
            trained = others if others is not None and membership.reverse else spill
            held_out = reader.held_out(reverse=membership.reverse)
            targets = AddedTargets(trained, order.targets, seed=order.seed, held_out=held_out)
        return Paired(pairs, reader, order.options, order.group_rows, reverse=membership.reverse, targets=targets)

    def _spilled(self, source: Source | Subset, name: str, total: int | None) -> Spill:
        self._progress.begin(total)
        of = self._order.source if isinstance(source, Subset) else source
        key = json.dumps(dict(self._order.arguments), sort_keys=True)
        folder = self._folder / name
        spill = Spill.write(ReadAhead(source), folder, key=key, note=lambda: asdict(of.skipped), on_rows=self._progress)
        return self._opened.enter_context(spill)
