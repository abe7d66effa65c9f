"""Some rows of an input, as its reader hands them over, and how they become items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from llm_judge_remote.dataset.inputs.roles import Roles
from llm_judge_remote.dataset.inputs.texts import TEXT, Pieces, as_pieces, as_texts, blank, grouped, pieces_of, to_list
from llm_judge_remote.dataset.inputs.values import Chat, chat, is_missing, problem_text, reference_texts
from llm_judge_remote.dataset.items import ITEMS
from llm_judge_remote.dataset.skipped import Place

__all__ = ["Chunk", "to_items"]

_MESSAGES = ITEMS.field("messages").type


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of an input.

    Attributes:
        columns: The wanted columns, each an array or a list of plain values; one that no row has may be left out.
        rows: How many rows there are.
        where: The place of a row by its number in the chunk.
        defects: Why a row could not be read, by its number in the chunk; its values are null.
    """

    columns: Mapping[str, pa.Array | list[Any]]
    rows: int
    where: Callable[[int], Place]
    defects: Mapping[int, str] = field(default_factory=dict)


def to_items(chunk: Chunk, roles: Roles, start: int, on_bad: Callable[[int, str], None]) -> pa.RecordBatch:
    """The chunk's sound rows.

    Args:
        chunk: The rows.
        roles: What its columns are.
        start: `source_index` of its first row.
        on_bad: Told each bad row's number in the chunk and what is wrong, in order.

    Returns:
        A batch of `ITEMS`.
    """
    why = dict(chunk.defects)
    problems, chats = _problems(chunk, roles, why)
    for row in np.flatnonzero(blank(problems)).tolist():
        why.setdefault(row, _no_problem(roles, None if chats is None else chats[row]))
    references = _references(chunk, roles, why) if roles.references else _answers(chats, chunk.rows)
    for row in np.flatnonzero(np.diff(np.asarray(references.offsets)) == 0).tolist():
        why.setdefault(row, _no_reference(roles))
    messages = pa.nulls(chunk.rows, _MESSAGES)
    if chats is not None:
        messages = pa.array([None if each is None else each.messages for each in chats], _MESSAGES)
    index = pa.array(np.arange(start, start + chunk.rows, dtype=np.int64))
    batch = pa.record_batch([problems, references, messages, index], schema=ITEMS)
    if not why:
        return batch
    for row in sorted(why):
        on_bad(row, why[row])
    sound = np.ones(chunk.rows, dtype=bool)
    sound[list(why)] = False
    return batch.filter(pa.array(sound))


def _problems(chunk: Chunk, roles: Roles, why: dict[int, str]) -> tuple[pa.Array, list[Chat | None] | None]:
    """The problems' texts and the chats, or None where there is no chat in any row."""
    problem = None if roles.problem is None else chunk.columns.get(roles.problem)
    messages = None if roles.messages is None else chunk.columns.get(roles.messages)
    if messages is None:
        texts = pa.nulls(chunk.rows, TEXT) if problem is None else as_texts(problem)
        if texts is not None:
            return texts, None
    found: list[str | None] = []
    chats: list[Chat | None] = []
    for row, (said, own) in enumerate(zip(to_list(messages, chunk.rows), to_list(problem, chunk.rows), strict=True)):
        text, read, column = None, None, roles.messages
        try:
            if not is_missing(said):
                read = chat(said)
            column = roles.problem
            if isinstance(own, (list, tuple)):  # a column `prompt` often holds the chat
                read = read or chat(own)
            elif read is None or roles.problem_first:
                text = problem_text(own)
        except ValueError as error:
            why.setdefault(row, f"column {column!r} {error}")
        found.append(text or (read.problem if read else None))
        chats.append(read)
    return pa.array(found, TEXT), chats if any(chats) else None


def _references(chunk: Chunk, roles: Roles, why: dict[int, str]) -> pa.Array:
    """The texts of all reference columns, one list for each row."""
    pieces = []
    for name in roles.references:
        column = chunk.columns.get(name)
        if column is not None:
            pieces.append(as_pieces(column) or _one_by_one(name, column, why))
    return grouped(pieces, chunk.rows)


def _one_by_one(name: str, column: pa.Array | list[Any], why: dict[int, str]) -> Pieces:
    owners: list[int] = []
    found: list[str] = []
    for row, value in enumerate(to_list(column, len(column))):
        try:
            own = reference_texts(value)
        except ValueError as error:
            why.setdefault(row, f"column {name!r} {error}")
            continue
        owners.extend([row] * len(own))
        found.extend(own)
    return pieces_of(pa.array(found, TEXT), np.array(owners, dtype=np.int64))


def _answers(chats: list[Chat | None] | None, rows: int) -> pa.Array:
    """What the assistant says at the end, where no column is a reference."""
    said = [None if each is None else each.answer for each in chats or [None] * rows]
    return grouped([pieces_of(pa.array(said, TEXT))], rows)


def _no_problem(roles: Roles, read: Chat | None) -> str:
    if read is not None or roles.problem is None:
        return f"no problem: no user turn in column {roles.messages or roles.problem!r} has text"
    return f"no problem: column {roles.problem!r} is missing, null or blank"


def _no_reference(roles: Roles) -> str:
    if not roles.references:
        return f"no reference: no other column is one, and column {roles.messages!r} does not end with the assistant"
    if len(roles.references) == 1:
        return f"no reference: column {roles.references[0]!r} is missing, null or blank"
    return f"no reference: columns {', '.join(map(repr, roles.references))} are missing, null or blank"
