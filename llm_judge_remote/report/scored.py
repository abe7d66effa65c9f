"""What is known of all rows of a scored file, as arrays: never their texts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from llm_judge_remote.judgement import Outcome
from llm_judge_remote.report.values import BoolArray, FloatArray, IntArray, LabelArray

__all__ = ["KINDS", "NO_GROUP", "NUMBERS", "Columns", "Kind", "Scored", "kind_of"]

NO_GROUP = -1
_HUGE = 1e30

NUMBERS = (
    "judge_latency_s",
    "judge_queued_s",
    "judge_service_s",
    "judge_prompt_tokens",
    "judge_completion_tokens",
    "judge_attempts",
    "judge_candidate_cut",
    "judge_hedged",
    "judge_shared",
    "judge_cached",
    "judge_constrained",
)
"""Columns of plain numbers, as `Judgement.to_dict` names them."""


class Kind(IntEnum):
    """Whose score a row has."""

    JUDGED = 0
    """The judge's."""
    RULED = 1
    """A rule's: gated, empty, without a reference, another scorer's."""
    FALLBACK = 2
    """A stand-in for the judge."""
    FAILED = 3
    """Nobody's: 0."""

    @property
    def words(self) -> str:
        """For people."""
        return ("judged", "decided by a rule", "fallback", "failed")[self]


KINDS: dict[str, Kind] = {
    Outcome.JUDGED: Kind.JUDGED,
    Outcome.FALLBACK: Kind.FALLBACK,
    Outcome.FAILED: Kind.FAILED,
}


def kind_of(outcome: str) -> Kind:
    """Whose score a row of this outcome has; without an outcome, the judge's."""
    return KINDS.get(outcome, Kind.RULED) if outcome else Kind.JUDGED


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a file the optional columns are; "" for what it has not."""

    label: str = ""
    group: str = ""
    time: str = ""
    outcome: str = ""
    candidate: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """All rows of a file; every array has an element for each.

    Attributes:
        file: The file's name.
        columns: Where the optional ones were found.
        score: As in the file; NaN where a row has none.
        kind: `Kind` of each row.
        outcome: Number in `outcomes`.
        outcomes: Names, as `Outcome` has them.
        source: Number in `sources`.
        sources: Names of data sources.
        server: Number in `servers`.
        servers: Addresses; "" for none.
        reason: Number in `reasons`.
        reasons: Why rows were not judged, those that differ in numbers only as one; "" for none.
        numbers: Columns of `NUMBERS`, as far as the file has them.
        label: 1 right, 0 wrong, -1 unknown; None without a column.
        group: Number of the group, in order of appearance, `NO_GROUP` for none; None without a column.
        time: Seconds since 1970 (or whatever numbers the column has), NaN for none; None without a column.
        identity: 8 bytes that rows of the same problem and candidate share; None where it was not asked for.
    """

    file: str
    columns: Columns
    score: FloatArray
    kind: npt.NDArray[np.int8]
    outcome: npt.NDArray[np.int32]
    outcomes: tuple[str, ...]
    source: npt.NDArray[np.int32]
    sources: tuple[str, ...]
    server: npt.NDArray[np.int32]
    servers: tuple[str, ...]
    reason: npt.NDArray[np.int32]
    reasons: tuple[str, ...]
    numbers: dict[str, FloatArray]
    label: LabelArray | None = None
    group: IntArray | None = None
    time: FloatArray | None = None
    identity: IntArray | None = None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.score)

    @property
    def has_score(self) -> BoolArray:
        """Which rows have a score: a number, and none that a sum would overflow with."""
        return np.abs(self.score) < _HUGE

    def of_kind(self, *kinds: Kind) -> BoolArray:
        """Which rows are of one of these kinds."""
        return np.isin(self.kind, kinds)
