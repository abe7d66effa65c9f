"""JSON lines: an object on each line.

Blocks that hold nothing but objects whose wanted columns are of the types seen at the file's beginning are parsed by
pyarrow, on all cores; any other block line by line, which finds what is wrong with which line. Both give the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.json as pj

from llm_judge_remote.dataset.inputs.blocks import BLOCK_BYTES, Block, blocks
from llm_judge_remote.dataset.inputs.chunk import Chunk
from llm_judge_remote.dataset.inputs.values import kind
from llm_judge_remote.dataset.skipped import Place

__all__ = ["JsonLines", "pick"]

_OPEN, _CLOSE, _RETURN = b"{}\r"
_LARGEST_INTEGER = 2.0**63
_SAMPLE_BYTES = 1 << 20
_SAMPLE_LINES = 200
_PARSE_BYTES = 1 << 20  # what one core parses at a time
_GIVE_UP_AFTER = 8  # blocks in a row in vain: the file is mixed, and trying costs as much as doing


class JsonLines:
    """A file of JSON lines.

    Args:
        path: The file; unpacked if its name ends with `.gz`.
        block_bytes: How much is read at a time.
    """

    def __init__(self, path: str, block_bytes: int = BLOCK_BYTES) -> None:
        self.path = path
        self._block_bytes = block_bytes

    def names(self) -> list[str]:
        """The names in the first lines' objects, in the order of their appearance."""
        return list(dict.fromkeys(name for row in self._sample() for name in row))

    def count(self) -> None:
        """Not known without reading the file."""

    def chunks(self, wanted: Sequence[str], batch_rows: int) -> Iterator[Chunk]:  # noqa: ARG002 (blocks are bounded)
        """The rows; empty lines are none."""
        types = _types(self._sample(), wanted)
        in_vain = 0
        for block in blocks(self.path, self._block_bytes):
            table = None
            if types is not None and in_vain < _GIVE_UP_AFTER:
                table = _parsed_at_once(block, types)
                in_vain = in_vain + 1 if table is None else 0
            chunk = _parsed_by_line(block, wanted) if table is None else _chunk(table, block)
            if chunk.rows:
                yield chunk

    def _sample(self) -> list[dict[str, Any]]:
        first = next(blocks(self.path, _SAMPLE_BYTES), None)
        lines = [] if first is None else bytes(first.text).split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES]
        rows = (_loads(line)[0] for line in lines if line.strip())
        return [row for row in rows if row is not None]


def pick(row: dict[str, Any], name: str) -> Any:
    """A row's value by its name, or by a path into its objects; None if there is none."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _types(sample: list[dict[str, Any]], wanted: Sequence[str]) -> pa.Schema | None:
    """The columns' types as the first rows have them, or None if pyarrow cannot read such columns as they are."""
    fields = []
    if any("." in name for name in wanted):
        return None
    for name in wanted:
        values = [value for row in sample if (value := row.get(name)) is not None]
        if all(isinstance(value, str) for value in values):
            fields.append((name, pa.large_string()))
        elif all(type(value) is int for value in values):
            fields.append((name, pa.int64()))
        elif all(
            isinstance(value, list) and all(isinstance(each, (str, NoneType)) for each in value) for value in values
        ):
            fields.append((name, pa.list_(pa.large_string())))
        else:
            return None
    return pa.schema(fields)


def _parsed_at_once(block: Block, types: pa.Schema) -> pa.Table | None:
    """The block as a table, or None if any of its lines is not just an object with columns of these types."""
    text, ends = np.asarray(block.text), block.ends
    while len(ends) > 1 and not bytes(block.text[ends[-2] : ends[-1]]).strip():  # empty lines at the end
        ends = ends[:-1]
    # Where each line ends with } and the next begins with {, no value spans two lines, since in JSON the two never
    # follow each other: as many rows as lines then means one object on each. (A null in front would crash pyarrow.)
    last = text[ends - 1]
    if (last == _RETURN).any():
        last = np.where(last == _RETURN, text[ends - 2], last)
    if text[0] != _OPEN or (text[ends[:-1] + 1] != _OPEN).any() or (last != _CLOSE).any():
        return None
    buffer = pa.py_buffer(block.text[: ends[-1]])
    try:
        pa.LargeStringArray.from_buffers(1, _offsets(len(buffer)), buffer).validate(full=True)  # the parser does not
        table = pj.read_json(
            pa.BufferReader(buffer),
            read_options=pj.ReadOptions(block_size=_PARSE_BYTES),
            parse_options=pj.ParseOptions(explicit_schema=types, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        return None
    return table if table.num_rows == len(ends) else None


def _offsets(length: int) -> pa.Buffer:
    """Those of an array whose only text has this length."""
    return pa.py_buffer(np.array([0, length], dtype=np.int64))


def _chunk(table: pa.Table, block: Block) -> Chunk:
    columns = {name: _one_array(table.column(name)) for name in table.column_names}
    first = block.first_line
    return Chunk(columns, table.num_rows, lambda row: _place(first + row))


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _parsed_by_line(block: Block, wanted: Sequence[str]) -> Chunk:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    defects: dict[int, str] = {}
    for number, line in enumerate(bytes(block.text).split(b"\n"), block.first_line):
        if not line.strip():
            continue
        row, why = _loads(line)
        if row is None:
            defects[len(rows)] = why
        rows.append(row or {})
        lines.append(number)
        if row is not None and any(_is_huge(pick(row, name)) for name in wanted):
            rows[-1] = json.loads(line)
    columns: dict[str, pa.Array | list[Any]] = {name: [pick(row, name) for row in rows] for name in wanted}
    return Chunk(columns, len(rows), lambda row: _place(lines[row]), defects)


def _is_huge(value: object) -> bool:
    """Whether orjson may have made a float of a whole number because it needs more than 64 bits."""
    if isinstance(value, list):
        return any(map(_is_huge, value))
    return isinstance(value, float) and abs(value) >= _LARGEST_INTEGER


def _place(line: int) -> Place:
    return Place(f"line {line}", line)


def _loads(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The line's object; or None and what is wrong."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(line.decode())  # takes what some programs write: NaN, lone surrogates, huge numbers
        except UnicodeDecodeError as error:
            return None, f"not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line"
        except json.JSONDecodeError as error:
            return None, f"broken JSON at character {error.colno}: {error.msg}"
        except (ValueError, RecursionError) as error:
            return None, f"JSON that cannot be read: {error}"
    return (value, "") if isinstance(value, dict) else (None, f"{kind(value)}, not an object")
