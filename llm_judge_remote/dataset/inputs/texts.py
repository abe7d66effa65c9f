"""Whole columns of text: read as such where they hold nothing else, and gathered into one list per row."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llm_judge_remote.dataset.items import ITEMS

__all__ = ["Pieces", "as_pieces", "as_texts", "blank", "grouped", "pieces_of", "to_list"]

TEXT = pa.large_string()

Pieces: TypeAlias = "tuple[np.ndarray[Any, Any], pa.Array]"
"""Texts and, for each, the number of the row that it belongs to."""


def as_texts(column: pa.Array | list[Any]) -> pa.Array | None:
    """The column as an array of text, or None if it holds anything that is neither text nor null."""
    try:
        if isinstance(column, list):
            # An array of bytes would be taken for text without a look at them.
            return None if any(isinstance(each, bytes) for each in column) else pa.array(column, TEXT)
        holds = _held(column.type)
        if pa.types.is_null(holds) or _is_text(holds):
            return column.cast(TEXT)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        pass  # other types, bytes that are not UTF-8, lone surrogates: to be looked at one by one
    return None


def as_pieces(column: pa.Array | list[Any]) -> Pieces | None:
    """The texts of a column of text, whole numbers, or lists of either; None if it holds anything else."""
    texts = as_texts(column)
    if texts is not None:
        return pieces_of(texts)
    if isinstance(column, list):
        return None
    holds = _held(column.type)
    if pa.types.is_integer(holds):
        return pieces_of(column.cast(TEXT))
    if pa.types.is_list(holds) or pa.types.is_large_list(holds):
        texts = as_texts(column.flatten())
        if texts is not None:
            lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
            return pieces_of(texts, np.repeat(np.arange(len(column), dtype=np.int64), lengths))
    return None


def pieces_of(texts: pa.Array, rows: np.ndarray[Any, Any] | None = None) -> Pieces:
    """The texts that are not blank and the rows that they belong to: by default, one to each."""
    owners = np.arange(len(texts), dtype=np.int64) if rows is None else rows
    without = blank(texts)
    if not without.any():
        return owners, texts
    return owners[~without], texts.filter(pa.array(~without))


def grouped(pieces: list[Pieces], rows: int) -> pa.Array:
    """One list of texts for each row; of a row's texts, those of the first pieces are the first."""
    owners = np.concatenate([np.empty(0, dtype=np.int64), *(owners for owners, _ in pieces)])
    texts = pieces[0][1] if len(pieces) == 1 else pa.concat_arrays([pa.array([], TEXT), *(each for _, each in pieces)])
    if len(pieces) > 1:
        texts = texts.take(pa.array(np.argsort(owners, kind="stable")))
    offsets = np.zeros(rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(owners, minlength=rows), out=offsets[1:])
    return pa.LargeListArray.from_arrays(pa.array(offsets), texts).cast(ITEMS.field("references").type)


def blank(texts: pa.Array) -> np.ndarray[Any, Any]:
    """Where there is no text: null, empty, or white space alone."""
    empty = pc.or_(pc.equal(pc.binary_length(texts), 0), pc.utf8_is_space(texts))
    return np.asarray(pc.fill_null(empty, fill_value=True).to_numpy(zero_copy_only=False))


def to_list(column: pa.Array | list[Any] | None, rows: int) -> list[Any]:
    """A column's plain values; as many nulls where there is no column."""
    if column is None:
        return [None] * rows
    return column if isinstance(column, list) else list(column.to_pylist())


def _held(of: pa.DataType) -> pa.DataType:
    return of.value_type if pa.types.is_dictionary(of) else of


def _is_text(of: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_binary(of) or pa.types.is_large_binary(of)
    )
