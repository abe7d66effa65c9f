"""Prompts as chat messages, made for whole columns at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["PROBLEM", "TURNS", "first_words", "prompts"]

PROBLEM = "{problem}"
"""Where a template has the problem."""

TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
"""The type of a prompt."""

_Numbers = npt.NDArray[np.int64]
_SPACES = np.frombuffer(b" \t\n\r", np.uint8)


def prompts(
    problem: pa.Array,
    messages: pa.Array,
    *,
    system: str | None = None,
    template: str | None = None,
    prefix: pa.Array | None = None,
) -> pa.Array:
    """A prompt for each problem.

    Args:
        problem: Texts, none of them null.
        messages: Chat messages; where there are none, the problem makes a user's turn.
        system: First turn of the prompts that do not begin with one of a system.
        template: The user's turn, with the problem in place of `{problem}`; for problems without messages.
        prefix: Beginnings of an assistant's turn, put last; none where the text is empty.

    Returns:
        Of type `TURNS`, as many.
    """
    count = len(problem)
    user = problem if template is None else _filled(template, problem)
    is_chat = pc.fill_null(pc.greater(pc.list_value_length(messages), 0), False)
    chats = pc.sum(is_chat).as_py() or 0
    if system is None and prefix is None and not chats:
        return pa.ListArray.from_arrays(_int32(np.arange(count + 1)), _turns("user", user))

    # All turns there are one behind the other, and for each prompt the places of its own in there.
    pool = [_turns("user", user)]
    body_first, body_count = np.arange(count), np.ones(count, np.int64)
    has_system = np.zeros(count, bool)
    if chats:
        which = is_chat.to_numpy(zero_copy_only=False)
        turns, first, length, has_system[which] = _chats(messages.filter(is_chat))
        body_first[which], body_count[which] = first + count, length
        pool.append(turns)
    needs_system = ~has_system if system is not None else np.zeros(count, bool)
    needs_prefix = np.zeros(count, bool)
    system_place = sum(map(len, pool))
    if system is not None:
        pool.append(_turns("system", pa.array([system], pa.string())))
    prefix_place = sum(map(len, pool))
    if prefix is not None:
        pool.append(_turns("assistant", prefix))
        needs_prefix = pc.binary_length(prefix).to_numpy(zero_copy_only=False) > 0

    ends = np.cumsum(needs_system + body_count + needs_prefix)
    starts = ends - (needs_system + body_count + needs_prefix)
    places = np.empty(ends[-1] if count else 0, np.int64)
    places[starts[needs_system]] = system_place
    places[_ranges(starts + needs_system, body_count)] = _ranges(body_first, body_count)
    places[ends[needs_prefix] - 1] = prefix_place + np.flatnonzero(needs_prefix)
    offsets = _int32(np.concatenate(([0], ends)))
    return pa.ListArray.from_arrays(offsets, pa.concat_arrays(pool).take(pa.array(places)))


def first_words(texts: pa.Array, ratio: float) -> pa.Array:
    """The beginnings of texts: whole words, up to `ratio` of the bytes.

    Args:
        texts: Strings, none of them null.
        ratio: From 0 (empty texts) to 1 (the texts themselves).

    Returns:
        Strings without white space at the end; empty where the first word is longer than that.
    """
    offsets, data = _bytes(texts)
    starts, ends = offsets[:-1], offsets[1:]
    wanted = starts + np.floor((ends - starts) * ratio).astype(np.int64)
    spaces = np.flatnonzero(np.isin(data, _SPACES))
    # A word is whole if white space follows it, or nothing.
    before = np.searchsorted(spaces, wanted, side="right") - 1
    cut = spaces[np.maximum(before, 0)] if len(spaces) else np.zeros(len(texts), np.int64)
    cut = np.where((before >= 0) & (cut > starts), cut, starts)
    cut = np.where(wanted == ends, ends, cut)
    kept = data[_ranges(starts, cut - starts)]
    made_offsets = _int32(np.concatenate(([0], np.cumsum(cut - starts))))
    made = pa.StringArray.from_buffers(len(texts), made_offsets.buffers()[1], pa.py_buffer(kept))
    return pc.utf8_rtrim_whitespace(made)


def _chats(messages: pa.Array) -> tuple[pa.Array, _Numbers, _Numbers, npt.NDArray[np.bool_]]:
    """All turns of conversations; of each where it starts there, its length, and whether a system begins it."""
    turns = messages.flatten()
    lengths = pc.list_value_length(messages).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    roles = turns.field("role")
    begins = pc.equal(roles.take(pa.array(starts)), "system").to_numpy(zero_copy_only=False)
    cast = pa.StructArray.from_arrays([roles, turns.field("content").cast(pa.string())], fields=list(TURNS.value_type))
    return cast, starts, lengths, begins


def _filled(template: str, problem: pa.Array) -> pa.Array:
    first, *others = template.split(PROBLEM)
    parts: list[Any] = [first]
    for each in others:
        parts += [problem, each]
    return pc.binary_join_element_wise(*parts, "")


def _turns(role: str, content: pa.Array) -> pa.Array:
    roles = pa.repeat(pa.scalar(role), len(content))
    return pa.StructArray.from_arrays([roles, content], fields=list(TURNS.value_type))


def _ranges(starts: _Numbers, lengths: npt.NDArray[Any]) -> _Numbers:
    """All places of ranges, one range behind the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    places: _Numbers = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return places


def _bytes(texts: pa.Array) -> tuple[_Numbers, npt.NDArray[np.uint8]]:
    """Where each text starts and the last one ends, and the bytes that this is about."""
    _, offsets, data = texts.buffers()
    found = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    return found, np.frombuffer(data or b"", np.uint8)[: found[-1]]


def _int32(numbers: npt.NDArray[Any]) -> pa.Array:
    return pa.array(numbers.astype(np.int32))
