"""JSON read value by value, however long the file is."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from llm_judge_remote.dataset.inputs.blocks import LONGEST_ROW_BYTES, not_utf8, open_bytes, unreadable
from llm_judge_remote.errors import DatasetError

__all__ = ["JsonReader"]

_READ_BYTES = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")


class JsonReader:
    """Takes JSON values off a file, one after the other, holding little more than one of them.

    Args:
        path: The file; unpacked if its name ends with `.gz`.

    Attributes:
        line: Of the text that comes next, from 1.

    Raises:
        DatasetError: In any method: the file cannot be read, or holds something else; the message names the line.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open_bytes(path)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._taken = 0
        self._ended = False
        self.line = 1

    def __enter__(self) -> JsonReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def peek(self) -> str:
        """The next character that is no white space, or "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._move(space.end() if space else self._at)
            if self._at < len(self._text) or not self._more(_READ_BYTES):
                return self._text[self._at : self._at + 1]

    def value(self) -> Any:
        """The next value, whatever it is."""
        self.peek()
        size = _READ_BYTES
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.pos > len(self._text) - 16 or error.msg.startswith("Unterminated string")
                if cut and self._more(size):
                    size *= 2
                    continue
                self._move(min(error.pos, len(self._text)))
                raise self.broken(f"broken JSON: {error.msg}") from None
            except RecursionError as error:
                raise self.broken(f"JSON that cannot be read: {error}") from None
            if end < len(self._text) or not self._more(_READ_BYTES):  # a number may go on
                self._move(end)
                return value

    def elements(self) -> Iterator[tuple[Any, tuple[int, int]]]:
        """The values of the array that comes next, each with its line and its length in characters."""
        for _ in self._items("[", "]"):
            self.peek()
            line, before = self.line, self._taken
            yield self.value(), (line, self._taken - before)

    def members(self) -> Iterator[str]:
        """The names in the object that comes next; whoever takes one must take its value before the next."""
        for _ in self._items("{", "}"):
            name = self.value() if self.peek() == '"' else None
            if name is None or self.peek() != ":":
                raise self.broken('broken JSON: "name": value is expected')
            self._move(self._at + 1)
            yield name

    def holds_objects(self) -> bool:
        """Whether the next value is an array that begins with an object."""
        if self.peek() != "[":
            return False
        while not (rest := self._text[self._at + 1 :].lstrip()[:1]) and self._more(_READ_BYTES):
            pass
        return rest == "{"

    def broken(self, why: str) -> DatasetError:
        """What to raise about the text that comes next."""
        return DatasetError(f"{self._path}, line {self.line}: {why}")

    def _items(self, begin: str, end: str) -> Iterator[None]:
        self.peek()
        self._move(self._at + len(begin))
        if self.peek() != end:
            yield
            while self.peek() == ",":
                self._move(self._at + 1)
                yield
        if self.peek() != end:
            raise self.broken(
                f"broken JSON: ',' or '{end}' is expected" + ("" if self.peek() else ", and the file ends")
            )
        self._move(self._at + 1)

    def _move(self, to: int) -> None:
        self.line += self._text.count("\n", self._at, to)
        self._taken += to - self._at
        self._at = to

    def _more(self, size: int) -> bool:
        """Read on; whether there was anything."""
        if self._ended:
            return False
        if len(self._text) - self._at > LONGEST_ROW_BYTES:
            raise self.broken(f"a value of more than {LONGEST_ROW_BYTES >> 20} MiB")
        try:
            data = self._file.read(size)
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError:
            raise not_utf8(self._path) from None
        except OSError as error:
            raise unreadable(self._path, error) from error
        self._ended = not data
        self._text = self._text[self._at :] + text
        self._at = 0
        return bool(data)
