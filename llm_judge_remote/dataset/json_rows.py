"""The objects of a JSON file, one after the other, and which types their fields have."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from llm_judge_remote.dataset.inputs.json_reader import JsonReader
from llm_judge_remote.errors import DatasetError

__all__ = ["JsonTypes", "json_rows"]

_Bytes = gzip.GzipFile | io.BufferedReader
_MOST_FIELDS = 1000


def json_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of JSON lines, or of one array of objects; blank lines are passed over.

    Args:
        path: Of a file in UTF-8, compressed with gzip if it ends in `.gz`.

    Raises:
        DatasetError: What stands there is no row; the message names the line and why.
    """
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            if _is_array(file):
                yield from _elements(path)
                return
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _row(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, f"{path}, line {number}")
    except (OSError, EOFError) as error:
        msg = f"{path} cannot be read: {error}"
        raise DatasetError(msg) from None


class JsonTypes:
    """The types of all fields of the rows that were added, as far as there are at most a thousand fields."""

    def __init__(self) -> None:
        self._found: dict[str, set[str]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Look at a row."""
        for name, value in row.items():
            self._add(name, value)

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Name and types of each field, as `prompt[].role`."""
        hollow = {"struct", "list", "null"}
        return tuple(
            (name, " | ".join(sorted(kinds - {"null"}) or ["null"]))
            for name, kinds in self._found.items()
            if not (kinds <= hollow and self._has_inner(name))
        )

    @property
    def mixed(self) -> tuple[tuple[str, str], ...]:
        """Fields of several types, null aside."""
        known = ((name, kinds - {"null"}) for name, kinds in self._found.items())
        return tuple((name, " | ".join(sorted(kinds))) for name, kinds in known if len(kinds) > 1)

    def _has_inner(self, name: str) -> bool:
        return any(other.startswith((f"{name}.", f"{name}[]")) for other in self._found)

    def _add(self, name: str, value: Any) -> None:
        kind = _KINDS.get(type(value), "string")
        kinds = self._found.get(name)
        if kinds is None:
            if len(self._found) >= _MOST_FIELDS:
                return
            kinds = self._found[name] = set()
        kinds.add(kind)
        if kind == "struct":
            for inner, each in value.items():
                self._add(f"{name}.{inner}", each)
        elif kind == "list":
            for each in value:
                self._add(f"{name}[]", each)


_KINDS = {dict: "struct", list: "list", str: "string", bool: "bool", int: "number", float: "number", type(None): "null"}


def _is_array(file: _Bytes) -> bool:
    start = file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip()
    file.seek(0)
    return start.startswith(b"[")


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except ValueError:
        try:
            row = json.loads(line.decode())  # slower, and takes lone surrogates, NaN and numbers of any size
        except UnicodeDecodeError as error:
            msg = f"{where}, byte {error.start + 1}: no UTF-8"
            raise DatasetError(msg) from None
        except (ValueError, RecursionError) as error:
            msg = f"{where}: no JSON: {error}"
            raise DatasetError(msg) from None
    return _object(row, where)


def _object(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        msg = f"{where}: holds a {_KINDS.get(type(row), 'value')}; a row is an object"
        raise DatasetError(msg)
    return row


def _elements(path: Path) -> Iterator[dict[str, Any]]:
    """The elements of an array, of which little more than one is held."""
    with JsonReader(str(path)) as reader:
        for number, (value, (line, _)) in enumerate(reader.elements(), 1):
            yield _object(value, f"{path}, line {line} (element {number})")
        if reader.peek():
            raise reader.broken("text after the array's end")
