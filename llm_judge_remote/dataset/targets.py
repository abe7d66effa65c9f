"""Other rows' solutions as more references of a row (`target_gt`): at random, or those that are nearest to its own.

=====================  ================================================================================================
Option                 Which K solutions
=====================  ================================================================================================
`random:K`             any, each different text as likely as another
`lexical:K`            those with the most words in common in the same order (`lexical_nearest`)
`embedding:K[:MODEL]`  those nearest by a sentence-transformers model, a name or a folder (`embedding_nearest`)
=====================  ================================================================================================

Never one that the row's problem has as its own anywhere in the data, and no text twice, both without regard to
whitespace. Of membership pairs, nothing that is held out comes into the rows to train on this way: no solution that
only held-out pairs have, and none that would make a held-out pair with the row's problem. Which ones depends on the
seed, the row and the data, not on the batches that rows are asked for in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llm_judge_remote.dataset.derangement import Flags, ownership
from llm_judge_remote.dataset.embedding_nearest import DEFAULT_MODEL, EmbeddingNearest, Encoder
from llm_judge_remote.dataset.lexical_nearest import LexicalNearest
from llm_judge_remote.dataset.perturb import row_words
from llm_judge_remote.dataset.ranking import mixed
from llm_judge_remote.dataset.spill import Spill
from llm_judge_remote.dataset.texts import Hashes, Indices, hashes, spans
from llm_judge_remote.errors import ConfigError, DatasetError

__all__ = ["AddedTargets", "Augmentation", "HeldOut"]

_WAYS = ("random", "lexical", "embedding")
_MOST_DRAWS = 64


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What `--augment-target-gt` says.

    Attributes:
        way: `random`, `lexical` or `embedding`.
        count: How many solutions to add, 1 or more.
        model: For `embedding`.
    """

    way: str
    count: int
    model: str = DEFAULT_MODEL

    @classmethod
    def parse(cls, text: str) -> Augmentation:
        """Read `random:4`, `lexical:4`, `embedding:4` or `embedding:4:MODEL`.

        Raises:
            ConfigError: It is none of these.
        """
        way, _, rest = text.partition(":")
        count, _, model = rest.partition(":")
        if way not in _WAYS or not count.isascii() or not count.isdigit() or int(count) < 1:
            msg = f"{text!r}: wanted is random:K, lexical:K or embedding:K[:MODEL], with K of 1 or more"
            raise ConfigError(msg)
        if model and way != "embedding":
            msg = f"{text!r}: {way} takes no model"
            raise ConfigError(msg)
        return cls(way, int(count), model or DEFAULT_MODEL)


class HeldOut(NamedTuple):
    """What is not to be trained on, by `texts.hashes`.

    Attributes:
        problems: Of the held-out pairs.
        solutions: Of the held-out pairs.
        trained: The solutions of the pairs to train on; one that is among them may be added to others of these.
    """

    problems: Hashes
    solutions: Hashes
    trained: Hashes


class _Nearest(Protocol):
    """A way to find solutions near to others, all by their numbers among the different solutions."""

    def nearest(self, queries: Indices, count: int, refused: Callable[[Indices, Indices], Flags]) -> Indices:
        """For each query so many numbers, the nearest first; `refused(places, numbers)` says which may not be."""


class AddedTargets:
    """More references for the rows of a spill.

    What it needs is read, and kept in the spill's folder, when it is made; the rows can be asked for in any thread.

    Args:
        spill: The rows.
        option: What `Augmentation.parse` reads.
        seed: Of what is drawn at random.
        encoder: In place of the model that `option` names.
        held_out: What must not come into the rows; None for plain rows, all of which are trained on.

    Raises:
        ConfigError: The option cannot be read.
        DatasetError: The model cannot be loaded, or the folder not be written.
    """

    def __init__(
        self,
        spill: Spill,
        option: str,
        *,
        seed: int = 0,
        encoder: Encoder | None = None,
        held_out: HeldOut | None = None,
    ) -> None:
        wanted = Augmentation.parse(option)
        self.count = wanted.count
        self._spill = spill
        # A held-out pair is refused as a problem's own solutions are.
        problems, solutions, trained = held_out or (spill.problem_hashes[:0],) * 3
        self._own = own = ownership(
            np.concatenate([spill.problem_hashes, problems]),
            np.concatenate([spill.reference_hashes, solutions]),
            np.concatenate([spill.bounds, spill.bounds[-1] + 1 + np.arange(len(solutions))]),
        )
        self._is_held_out = np.isin(own.solution_hashes, np.setdiff1d(solutions, trained))
        # One row for each different solution, in the order of the rows.
        rows = np.sort(np.unique(own.solution[: len(spill)], return_index=True)[1])
        self._rows = rows
        self._class = own.solution[rows]
        self._number = np.full(len(own.solution_hashes), -1)
        self._number[self._class] = np.arange(len(rows))
        self._free = np.flatnonzero(~self._is_held_out[self._class])
        self._option = option
        self._words = row_words(len(spill), seed)
        self._nearest: _Nearest | None = None
        try:
            if wanted.way == "lexical":
                self._nearest = LexicalNearest(spill, rows)
            elif wanted.way == "embedding":
                self._nearest = EmbeddingNearest(spill, rows, wanted.model, encoder)
        except OSError as error:
            msg = f"{spill.folder} cannot be written: {error.strerror or error}"
            raise DatasetError(msg) from error

    def lists(self, rows: Indices, own: pa.Array, *, problems: Indices | None = None) -> pa.LargeListArray:
        """The own references of these rows, each list with others behind them.

        Args:
            rows: Rows whose solutions the lists begin with.
            own: Lists of texts: all references, or the solution alone, or what it was changed into.
            problems: Rows whose problems the lists belong to; without them the same rows.

        Raises:
            DatasetError: There are not so many other solutions for a row.
        """
        problems = rows if problems is None else problems
        added = self._others(rows, problems, hashes(pc.list_element(own, 0).cast(pa.large_string())))
        counts = pc.list_value_length(own).to_numpy(zero_copy_only=False).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(counts + self.count)])
        texts = own.flatten().cast(pa.large_string())
        both = pa.concat_arrays([texts, self._spill.solutions(self._rows[added.ravel()])])
        places = np.empty(len(both), np.int64)
        ends = starts[:-1] + counts
        places[spans(starts[:-1], ends)] = np.arange(len(texts))
        places[spans(ends, starts[1:])] = np.arange(len(texts), len(both))
        return pa.LargeListArray.from_arrays(pa.array(starts), both.take(pa.array(places)))

    def _others(self, rows: Indices, problems: Indices, first: Hashes) -> Indices:
        own, classes = self._own, self._class
        asked, given = own.problem[problems], own.solution[rows]

        def refused(places: Indices, numbers: Indices) -> Flags:
            found = classes[numbers]
            same = (given[places] == found) | (own.solution_hashes[found] == first[places])
            flags: Flags = same | own.has(asked[places], found) | self._is_held_out[found]
            return flags

        free = self._free
        if len(free) < self.count:
            raise self._too_few(problems[0])
        if self._nearest is None:
            words = self._words[problems]
            places = _drawn(words, len(free), self.count, lambda asked, drawn: refused(asked, free[drawn]))
            found = np.where(places < 0, -1, free[places])
        else:
            found = self._nearest.nearest(self._number[given], self.count, refused)
        if (found < 0).any():
            raise self._too_few(problems[np.argmax((found < 0).any(axis=1))])
        return found

    def _too_few(self, row: int) -> DatasetError:
        held_out = ", nor do those held out" if self._is_held_out.any() else ""
        return DatasetError(
            f"{self._option}: {len(self._spill)} rows have {len(self._rows)} different solutions, and of those not "
            f"{self.count} can be added to the row {self._spill.source_index[row]}, whose own do not count{held_out}"
        )


def _drawn(words: Hashes, limit: int, count: int, refused: Callable[[Indices, Indices], Flags]) -> Indices:
    """For each word so many different numbers below the limit."""
    found = np.full((len(words), count), -1)
    turn = np.zeros(len(words), np.int64)
    for slot in range(count):
        open_rows = np.arange(len(words))
        for _ in range(_MOST_DRAWS):
            numbers = (mixed(words[open_rows], turn[open_rows]) % np.uint64(limit)).astype(np.int64)
            turn[open_rows] += 1
            fine = ~(refused(open_rows, numbers) | (found[open_rows] == numbers[:, None]).any(axis=1))
            found[open_rows[fine], slot] = numbers[fine]
            open_rows = open_rows[~fine]
            if not len(open_rows):
                break
        for row in open_rows.tolist():  # nearly all are refused
            numbers = np.setdiff1d(np.arange(limit), found[row])
            numbers = numbers[~refused(np.full(len(numbers), row), numbers)]
            if len(numbers):
                found[row, slot] = numbers[int(mixed(words[[row]], turn[[row]])[0]) % len(numbers)]
    return found
