"""What is kept of a judgement: the columns of the output, and a row's values in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.judgement import Judgement, Outcome

__all__ = [
    "NAMES",
    "OUTCOME",
    "Values",
    "column",
    "decoded",
    "encoded",
    "is_sound",
    "judgement_schema",
    "kept_columns",
    "was_not_judged",
]

_EXAMPLE = {**Judgement(0.0, Outcome.JUDGED).to_dict(), "judge_reply": ""}
_TYPES = {float: pa.float64(), int: pa.int64(), str: pa.string()}

NAMES = tuple(_EXAMPLE)
"""The columns: the keys of `Judgement.to_dict`, and `judge_reply`."""

OUTCOME = "judge_outcome"
PROMPT = "judge_prompt"

Values = list[Any]
"""A judgement's values in the order of `NAMES`."""

_OUTCOMES = frozenset(outcome.value for outcome in Outcome)
_NOT_JUDGED = frozenset((Outcome.FALLBACK.value, Outcome.FAILED.value))
_OUTCOME_PLACE = NAMES.index(OUTCOME)


def judgement_schema(prefix: str, *, with_prompt: bool) -> pa.Schema:
    """The columns that are added, with `prefix` before their names."""
    fields = [(f"{prefix}{name}", _TYPES[type(value)]) for name, value in _EXAMPLE.items()]
    return pa.schema([*fields, (f"{prefix}{PROMPT}", pa.string())] if with_prompt else fields)


def kept_columns(names: Sequence[str], prefix: str, *, with_prompt: bool) -> list[str]:
    """The input's columns that stay: all, but for those of an earlier scoring.

    Raises:
        ConfigError: Some column has the name of a judgement's, and is none; or two have the same name.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"the input has more than one column {twice!r}; give them different names first"
        raise ConfigError(msg)
    added = {f"{prefix}{name}" for name in NAMES}
    prompt = f"{prefix}{PROMPT}"
    is_scored = added <= set(names)
    taken = [name for name in names if name in added or (with_prompt and name == prompt)]
    if taken and not is_scored:
        msg = (
            f"the input has a column {taken[0]!r} that is not of an earlier scoring, and would be lost: "
            f"give the new columns another name with --prefix, such as --prefix {prefix}new_"
        )
        raise ConfigError(msg)
    return [name for name in names if not (is_scored and (name in added or name == prompt))]


def column(values: Sequence[Any], of: pa.DataType) -> pa.Array:
    """Values without nulls as a column; `pa.array` would load pandas, which takes longer than a thousand rows."""
    if of == pa.string():
        texts = [text.encode() for text in values]
        ends = np.zeros(len(texts) + 1, dtype=np.int32)
        np.cumsum([len(text) for text in texts], out=ends[1:])
        return pa.Array.from_buffers(of, len(texts), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))])
    numbers = np.array(values, dtype=of.to_pandas_dtype())
    return pa.Array.from_buffers(of, len(numbers), [None, pa.py_buffer(numbers)])


def was_not_judged(values: Values) -> bool:
    """Whether the row fell back or failed."""
    return values[_OUTCOME_PLACE] in _NOT_JUDGED


def is_sound(values: Values) -> bool:
    """Whether values that a file has are a judgement's: what else has written the file may have changed them."""
    try:
        fitting = all(type(own)(value) == value for own, value in zip(_EXAMPLE.values(), values, strict=True))
    except (TypeError, ValueError, OverflowError):
        return False
    return fitting and values[_OUTCOME_PLACE] in _OUTCOMES


def encoded(row: int, judgement: Judgement) -> bytes:
    """A row's number and its judgement, as a line without its end."""
    values = [row, *judgement.to_dict().values(), judgement.reply]
    try:
        return orjson.dumps(values)
    except TypeError:  # lone surrogates, which no UTF-8 holds
        return orjson.dumps([_encodable(value) for value in values])


def decoded(line: bytes) -> tuple[int, Values]:
    """The reverse."""
    row, *values = orjson.loads(line)
    return row, values


def _encodable(value: Any) -> Any:
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value
