"""A JSON document: one array of objects, or one object with such an array; read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llm_judge_remote.dataset.inputs.chunk import Chunk
from llm_judge_remote.dataset.inputs.json_lines import pick
from llm_judge_remote.dataset.inputs.json_reader import JsonReader
from llm_judge_remote.dataset.inputs.values import kind
from llm_judge_remote.dataset.skipped import Place

__all__ = ["JsonDocument"]

_CHUNK_CHARACTERS = 8 << 20
_SAMPLE_ROWS = 200
_SPLITS = ("train", "test", "validation", "valid", "val", "dev")


class JsonDocument:
    """A file with one JSON value: an array of objects, or an object one of whose values is that.

    Of an object's arrays of objects it is the first, but one whose name is a split's (`train`, `test`, …) is taken only
    if it is the wanted split. An object without any is a row.

    Args:
        path: The file; unpacked if its name ends with `.gz`.
        split: The wanted split.
    """

    def __init__(self, path: str, split: str) -> None:
        self.path = path
        self._split = split

    def names(self) -> list[str]:
        """The names in the first objects, in the order of their appearance."""
        names: dict[str, None] = {}
        for number, (value, _) in enumerate(self._rows()):
            if number == _SAMPLE_ROWS:
                break
            if isinstance(value, dict):
                names.update(dict.fromkeys(value))
        return list(names)

    def count(self) -> None:
        """Not known without reading the file."""

    def chunks(self, wanted: Sequence[str], batch_rows: int) -> Iterator[Chunk]:
        """The rows."""
        rows: list[Any] = []
        lines: list[int] = []
        first, size = 1, 0
        for value, (line, length) in self._rows():
            rows.append(value)
            lines.append(line)
            size += length
            if len(rows) == batch_rows or size >= _CHUNK_CHARACTERS:
                yield _chunk(rows, lines, first, wanted)
                first += len(rows)
                rows, lines, size = [], [], 0
        if rows:
            yield _chunk(rows, lines, first, wanted)

    def _rows(self) -> Iterator[tuple[Any, tuple[int, int]]]:
        """Each row with its line and its length in characters."""
        with JsonReader(self.path) as reader:
            if reader.peek() == "[":
                yield from reader.elements()
            elif reader.peek() == "{":
                yield from self._rows_of_object(reader)
            elif reader.peek():
                raise reader.broken("a JSON file is an array of objects, or an object with one")
            if reader.peek():
                raise reader.broken("text after the end of the JSON value")

    def _rows_of_object(self, reader: JsonReader) -> Iterator[tuple[Any, tuple[int, int]]]:
        line, plain, found = reader.line, {}, False
        for name in reader.members():
            if not reader.holds_objects():
                plain[name] = reader.value()
            elif found or (name in _SPLITS and name != self._split):
                for _ in reader.elements():
                    pass
            else:
                found = True
                yield from reader.elements()
        if not found and plain:
            yield plain, (line, 0)


def _chunk(rows: list[Any], lines: list[int], first: int, wanted: Sequence[str]) -> Chunk:
    defects = {row: f"{kind(value)}, not an object" for row, value in enumerate(rows) if not isinstance(value, dict)}
    objects = [value if isinstance(value, dict) else {} for value in rows]

    def where(row: int) -> Place:
        return Place(f"line {lines[row]} (element {first + row})", lines[row])

    return Chunk({name: [pick(each, name) for each in objects] for name in wanted}, len(rows), where, defects)
