"""Items that are made in memory, as a source gives them."""

import hashlib
import json

import pyarrow as pa

from llm_judge_remote.dataset.items import ITEMS
from llm_judge_remote.dataset.spill import Spill


class ItemSource:
    """Rows of (problem, references[, messages]), in batches of so many."""

    def __init__(self, rows, batch_rows=3):
        self.rows = [
            (problem, [references] if isinstance(references, str) else references, *talk)
            for problem, references, *talk in rows
        ]
        self.batch_rows = batch_rows
        self.read = 0

    def digest(self):
        return hashlib.sha256(json.dumps(self.rows).encode()).hexdigest()

    def __iter__(self):
        self.read += 1
        for start in range(0, len(self.rows), self.batch_rows):
            part = self.rows[start : start + self.batch_rows]
            columns = [
                [row[0] for row in part],
                [row[1] for row in part],
                [row[2] if len(row) > 2 else None for row in part],
                list(range(10 + start, 10 + start + len(part))),
            ]
            yield pa.record_batch(
                [pa.array(each, field.type) for each, field in zip(columns, ITEMS, strict=True)], schema=ITEMS
            )

    def as_dicts(self):
        return [row for batch in self for row in batch.to_pylist()]


def spilled(rows, folder, **options):
    """The spill of these rows."""
    return Spill.write(ItemSource(rows, **options), folder)


def plain(text):
    """The text without its whitespace."""
    return "".join(text.split())
