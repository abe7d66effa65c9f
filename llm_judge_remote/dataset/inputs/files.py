"""Which files the inputs are, and who reads each."""

from __future__ import annotations

import codecs
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import orjson

from llm_judge_remote.dataset.inputs.blocks import open_bytes, unreadable
from llm_judge_remote.dataset.inputs.chunk import Chunk
from llm_judge_remote.dataset.inputs.csv_file import CsvFile
from llm_judge_remote.dataset.inputs.hub import is_name, is_saved
from llm_judge_remote.dataset.inputs.json_document import JsonDocument
from llm_judge_remote.dataset.inputs.json_lines import JsonLines
from llm_judge_remote.dataset.inputs.parquet_rows import ParquetRows
from llm_judge_remote.errors import DatasetError

__all__ = ["Reader", "find", "reader_of"]

_TEXT_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_ENDINGS = (*_TEXT_ENDINGS, *(f"{each}.gz" for each in _TEXT_ENDINGS), ".parquet")
_WILD = frozenset("*?[")
_LOOK_BYTES = 1 << 20


class Reader(Protocol):
    """Reads one input."""

    path: str

    def names(self) -> list[str]:
        """The columns' names."""

    def count(self) -> int | None:
        """How many rows there are, if that is cheap to know."""

    def chunks(self, wanted: Sequence[str], batch_rows: int) -> Iterator[Chunk]:
        """The rows, from the first on, with these columns."""


def find(inputs: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """The files that inputs stand for.

    A folder stands for all files in it, and in its folders, whose names end as those of data do and do not begin with
    `.` or `_`; a pattern for all that match. Either's files come sorted by name. A file that several inputs stand for
    is read once, under the name by which it was met first.

    Returns:
        The files; and, where the only input is one, the name of a hub's data set or a folder that `save_to_disk` wrote.

    Raises:
        DatasetError: An input stands for nothing; the message names it.
    """
    found: dict[str, str] = {}  # as given, by what it is without links and detours
    for each in inputs:
        path = Path(each)
        if (path.is_dir() and is_saved(path)) or (not path.exists() and _may_be_a_name(each)):
            if len(inputs) > 1:
                what = "was saved by `datasets`" if path.exists() else "is no file or folder here"
                msg = f"{each} {what}; a data set that `datasets` reads must be the only input"
                raise DatasetError(msg)
            return (), each
        for file in _files(each, path):
            found.setdefault(os.path.realpath(file), file)
    if not found:
        msg = "there is no input"
        raise DatasetError(msg)
    return tuple(found.values()), None


def reader_of(path: str, split: str) -> Reader:
    """Who reads a file, by the ending of its name.

    Raises:
        DatasetError: The ending is none of those known.
    """
    plain = path.lower().removesuffix(".gz")
    if path.lower().endswith(".parquet"):
        return ParquetRows(path)
    if plain.endswith((".csv", ".tsv")):
        return CsvFile(path)
    if plain.endswith((".jsonl", ".ndjson")) or (plain.endswith(".json") and _holds_lines(path)):
        return JsonLines(path)
    if plain.endswith(".json"):
        return JsonDocument(path, split)
    msg = f"{path}: the name ends with none of {', '.join(_ENDINGS)}"
    raise DatasetError(msg)


def _may_be_a_name(text: str) -> bool:
    return is_name(text) and not text.lower().endswith(_ENDINGS)


def _files(each: str, path: Path) -> list[str]:
    if path.is_file():
        return [each]
    if path.is_dir():
        inside = (file for file in path.rglob("*") if file.name.lower().endswith(_ENDINGS) and file.is_file())
        files = [file for file in inside if not any(part[0] in "._" for part in file.relative_to(path).parts)]
        what = f"the folder has no file that ends with one of {', '.join(_ENDINGS)}"
    elif path.exists():
        return [each]  # a pipe, say; to be refused where it is opened
    elif _WILD.intersection(each):
        matches = glob.glob(each, recursive=True)  # noqa: PTH207 (Path's own takes no absolute pattern)
        files = [file for file in map(Path, matches) if file.is_file()]
        what = "no file matches"
    else:
        files, what = [], "there is no such file or folder"
    if not files:
        msg = f"{each}: {what}"
        raise DatasetError(msg)
    return sorted(map(str, files))


def _holds_lines(path: str) -> bool:
    """Whether a `.json` file has JSON lines, as it often does: a whole object on the first line, then another."""
    try:
        with open_bytes(path) as file:
            first, _, rest = file.read(_LOOK_BYTES).removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return rest.lstrip()[:1] == b"{" and isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return False
