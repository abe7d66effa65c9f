"""Writes the items of a source into the files that `spill` reads."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llm_judge_remote.dataset.items import ITEMS
from llm_judge_remote.dataset.texts import Indices, TextWriter, hashes

__all__ = ["TEXTS", "SpillWriter", "lists_of"]

TEXTS = ("problem", "reference", "message")
"""The files of texts; of messages the role and the content take turns."""


class SpillWriter:
    """Writes the files of a spill but the mark that it is complete.

    Args:
        folder: Where to.

    Attributes:
        count: Rows so far.
    """

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self._folder = folder
        self._open = ExitStack()
        self._texts = {name: self._open.enter_context(TextWriter(folder / f"{name}.txt")) for name in TEXTS}
        self._arrays: dict[str, list[Any]] = {}

    def append(self, batch: pa.RecordBatch) -> None:
        """Write the texts of a batch of `ITEMS`."""
        problem, references, messages, index = (batch.column(name) for name in ITEMS.names)
        texts = references.flatten()
        self._texts["problem"].append(problem)
        self._texts["reference"].append(texts)
        self._keep("problem_hashes", hashes(problem))
        self._keep("reference_hashes", hashes(texts))
        self._keep("reference_bounds", _counts(references))
        self._keep("source_index", index.to_numpy())
        turns = messages.flatten()
        counts = _counts(messages)
        self._keep("message_bounds", counts)
        if len(turns):
            both = pa.concat_arrays([turns.field(0).cast(pa.large_string()), turns.field(1)])
            places = np.arange(2 * len(turns)).reshape(2, -1).T.ravel()
            self._texts["message"].append(both.take(pa.array(places)))
        self.count += batch.num_rows

    def finish(self) -> None:
        """Write what was kept of all rows: where their texts begin, and the rest."""
        for name, texts in self._texts.items():
            np.save(self._folder / f"{name}_offsets.npy", texts.close())
        for name, parts in self._arrays.items():
            values = np.concatenate(parts)
            if name.endswith("_bounds"):
                values = lists_of(values, np.int64)
            if name != "message_bounds" or values[-1]:
                np.save(self._folder / f"{name}.npy", values)

    def _keep(self, name: str, values: Any) -> None:
        self._arrays.setdefault(name, []).append(values)

    def __enter__(self) -> SpillWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._open.close()


def _counts(lists: pa.Array) -> Indices:
    """How long each is; 0 for null."""
    counts: Indices = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return counts


def lists_of(counts: Indices, kind: Any) -> Any:
    """Where each list begins, and where the last one ends."""
    return np.concatenate([np.zeros(1, kind), np.cumsum(counts, dtype=kind)])
