"""Which rows of two files are the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.report.scored import Scored
from llm_judge_remote.report.values import IntArray

__all__ = ["Match", "match_rows"]


class Match(NamedTuple):
    """Pairs of rows.

    Attributes:
        one: Numbers of rows of the first file, rising.
        other: For each the number of the second file's row.
        how: In words.
        left_out: Rows of either file without a partner.
    """

    one: IntArray
    other: IntArray
    how: str
    left_out: int


def match_rows(one: Scored, other: Scored) -> Match:
    """Rows of the same problem and candidate; the first of several equal ones with the first, and so on.

    Files whose texts cannot be compared are matched by the place of the rows.

    Raises:
        ConfigError: They differ in length then; or no row has a partner.
    """
    if one.identity is None or other.identity is None:
        if one.rows != other.rows:
            msg = (
                f"{one.file} has {one.rows:,} rows and {other.file} {other.rows:,}: without a column of candidates in "
                "both (--candidate names one) rows are matched by their place"
            )
            raise ConfigError(msg)
        every = np.arange(one.rows)
        return Match(every, every, "by their place in the files", 0)
    if one.rows == other.rows and bool(np.all(one.identity == other.identity)):
        every = np.arange(one.rows)
        return Match(every, every, "by their place, where problem and candidate are the same", 0)
    keys = np.concatenate([one.identity, other.identity])
    codes = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    # Equal rows are told apart by how many of them came before.
    firsts, seconds = _numbered(codes[: one.rows]), _numbered(codes[one.rows :])
    _, of_one, of_other = np.intersect1d(firsts, seconds, assume_unique=True, return_indices=True)
    if not len(of_one):
        msg = f"no row of {one.file} has the problem and the candidate of one of {other.file}: nothing to compare"
        raise ConfigError(msg)
    order = np.argsort(of_one)
    left_out = one.rows + other.rows - 2 * len(of_one)
    return Match(of_one[order], of_other[order], "by problem and candidate", left_out)


def _numbered(codes: IntArray) -> IntArray:
    """Codes made distinct: the n-th of equal ones becomes `code * 2^31 + n`."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    nth = np.arange(len(codes)) - np.repeat(starts, np.diff(starts, append=len(codes)))
    made = np.empty_like(codes)
    made[order] = (ordered << 31) + nth
    return made
