"""An item: a problem and its references, as every input is read and every output is made of."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["ITEMS", "MESSAGE"]

MESSAGE = pa.struct([("role", pa.string()), ("content", pa.large_string())])

ITEMS = pa.schema(
    [
        ("problem", pa.large_string()),
        ("references", pa.large_list(pa.large_string())),
        ("messages", pa.list_(MESSAGE)),
        ("source_index", pa.int64()),
    ]
)
"""The schema of all record batches between the parts.

- `problem`: never null or blank. Where the input has chat messages, the text of the last user turn.
- `references`: never null or empty, and no text in it is null or blank; the first one is the solution.
- `messages`: null unless the input has chat messages.
- `source_index`: the row's number over all inputs, from 0, counted before anything was left out.

The texts are `large_string`, whose 8-byte offsets take a batch of more than 2 GiB.
"""
