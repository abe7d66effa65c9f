"""A text file's bytes: opened, unpacked, and cut into blocks of whole lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from llm_judge_remote.errors import DatasetError

__all__ = ["Block", "blocks", "not_utf8", "open_bytes", "unreadable"]

BLOCK_BYTES = 8 << 20
_LINE_FEED = ord("\n")
LONGEST_ROW_BYTES = 256 << 20
"""A row of more is an error, or a file of one endless line would take all memory there is."""


class Block(NamedTuple):
    """Whole lines.

    Attributes:
        text: The bytes, without a byte order mark; theirs only until the next block is asked for.
        ends: Where in them a line ends: the places of all line feeds; the last byte is one.
        first_line: The number of the first line, from 1.
    """

    text: memoryview
    ends: np.ndarray[Any, Any]
    first_line: int


def open_bytes(path: str) -> pa.NativeFile:
    """The file's bytes, unpacked if its name ends with `.gz`; read as they are asked for, not mapped into memory."""
    return pa.input_stream(path, compression="gzip" if path.lower().endswith(".gz") else None, buffer_size=1 << 20)


def unreadable(path: str, error: Exception) -> DatasetError:
    """What to raise when a file cannot be read at all, or not to its end."""
    return DatasetError(f"{path} cannot be read: {str(error).partition(chr(10))[0]}")


def blocks(path: str, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The file in blocks of at most so many bytes, or of one longer line; one buffer serves them all.

    Raises:
        DatasetError: The file cannot be read, or a line is longer than `LONGEST_ROW_BYTES`.
    """
    line, more = 1, True
    buffer, marks = bytearray(size), np.empty(size, dtype=bool)
    try:
        with open_bytes(path) as file:
            filled = file.readinto(memoryview(buffer)[: len(codecs.BOM_UTF8)])
            filled = 0 if buffer.startswith(codecs.BOM_UTF8) else filled
            while more:
                while filled < len(buffer) and (read := file.readinto(memoryview(buffer)[filled:])):
                    filled += read
                more = filled == len(buffer)
                if not more and filled and buffer[filled - 1] != _LINE_FEED:
                    buffer[filled] = _LINE_FEED
                    filled += 1
                end = buffer.rfind(b"\n", 0, filled) + 1
                if end:
                    text = memoryview(buffer)[:end]
                    ends = np.flatnonzero(np.equal(text, _LINE_FEED, out=marks[:end]))
                    yield Block(text, ends, line)
                    line += len(ends)
                    buffer[: filled - end] = buffer[end:filled]
                    filled -= end
                elif more:
                    if filled > LONGEST_ROW_BYTES:
                        msg = f"{path}, line {line}: longer than {LONGEST_ROW_BYTES >> 20} MiB; is this JSON lines?"
                        raise DatasetError(msg)
                    buffer, marks = buffer + bytearray(len(buffer)), np.empty(2 * len(buffer), dtype=bool)
    except (OSError, EOFError) as error:
        raise unreadable(path, error) from error


def not_utf8(path: str) -> DatasetError:
    """What to raise about a file that is not UTF-8: it names the first line and byte that are not, from 1."""
    first, text = 1, b""
    try:
        for block in blocks(path):
            first, text = block.first_line, bytes(block.text)
            text.decode()
    except UnicodeDecodeError as error:
        before = text[: error.start]
        line, byte = first + before.count(b"\n"), error.start - before.rfind(b"\n")
        return DatasetError(
            f"{path}, line {line}: not UTF-8: byte 0x{text[error.start]:02x} at byte {byte} of the line"
        )
    return DatasetError(f"{path}: not UTF-8 at its end")
