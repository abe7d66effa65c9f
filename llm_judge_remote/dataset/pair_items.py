"""The members and the non-members of a plan as items, in blocks, and what of them is held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from llm_judge_remote.dataset.batches import cuts
from llm_judge_remote.dataset.items import ITEMS
from llm_judge_remote.dataset.membership import Pairs
from llm_judge_remote.dataset.perturb import perturb, row_words
from llm_judge_remote.dataset.rows import first_references
from llm_judge_remote.dataset.spill import Spill
from llm_judge_remote.dataset.targets import HeldOut
from llm_judge_remote.dataset.texts import Hashes, Indices, hashes

__all__ = ["PairItems", "PairReader"]

_BLOCK = 4096  # pairs that are read at once


@dataclass(frozen=True, slots=True)
class PairItems:
    """A block of members or of non-members.

    Attributes:
        items: Of the schema `ITEMS`; the one reference of each is the pair's solution, and `source_index` is that of
            the row whose problem it is.
        solution_index: `source_index` of the row whose solution it is, or was before it was changed.
        problem_rows: The row numbers in the spill they are from.
        solution_rows: The same for the solutions.
    """

    items: pa.RecordBatch
    solution_index: Indices
    problem_rows: Indices
    solution_rows: Indices


class PairReader:
    """Reads pairs by their numbers; what comes back does not depend on the blocks they are read in.

    Args:
        pairs: The plan.
        spill: What it was made for.
        others: The other inputs, if it was made with some.
    """

    def __init__(self, pairs: Pairs, spill: Spill, others: Spill | None = None) -> None:
        self._pairs = pairs
        self._spill = spill
        self._other_spill = others if pairs.method == "separate_dataset" and others is not None else spill
        self._words = row_words(len(spill), pairs.seed) if pairs.method == "perturbed_solution" else None

    def members(self, start: int, stop: int) -> PairItems:
        """The members from number `start` up to `stop`, which is not one of them."""
        pairs = self._pairs
        problems, solutions = pairs.member_problem[start:stop], pairs.member_solution[start:stop]
        return _pair_items(self._spill, problems, solutions, self._spill.solutions(solutions))

    def non_members(self, start: int, stop: int) -> PairItems:
        """The same for non-members."""
        pairs = self._pairs
        problems, solutions = pairs.other_problem[start:stop], pairs.other_solution[start:stop]
        texts = self._other_spill.solutions(solutions)
        if self._words is not None:
            words = self._words[solutions].tolist()
            changed = [perturb(text, word) for text, word in zip(texts.to_pylist(), words, strict=True)]
            texts = pa.array(changed, pa.large_string())
        return _pair_items(self._other_spill, problems, solutions, texts)

    def sizes(self) -> Indices:
        """What the texts of each pair come to, in bytes, member and non-member together."""
        pairs, spill, other = self._pairs, self._spill, self._other_spill
        own = spill.problem_bytes(pairs.member_problem) + spill.solution_bytes(pairs.member_solution)
        return own + other.problem_bytes(pairs.other_problem) + other.solution_bytes(pairs.other_solution)

    def held_out(self, *, reverse: bool) -> HeldOut:
        """The side that is not trained on: the non-members, or reversed the members."""
        pairs = self._pairs
        own, other = self._spill.solution_hashes[pairs.member_solution], self._other_solutions()
        if reverse:
            return HeldOut(self._spill.problem_hashes[pairs.member_problem], own, other)
        return HeldOut(self._other_spill.problem_hashes[pairs.other_problem], other, own)

    def _other_solutions(self) -> Hashes:
        """Of the non-members' solutions, as they are."""
        if self._words is None:
            return self._other_spill.solution_hashes[self._pairs.other_solution]
        blocks = (self.non_members(first, last).items for first, last in cuts(self.sizes(), _BLOCK))
        return np.concatenate([hashes(first_references(each)) for each in blocks])


def _pair_items(spill: Spill, problems: Indices, solutions: Indices, texts: pa.LargeStringArray) -> PairItems:
    items = spill.items(problems, references=False)
    lists = pa.LargeListArray.from_arrays(pa.array(np.arange(len(texts) + 1)), texts)
    place = ITEMS.get_field_index("references")
    return PairItems(
        items.set_column(place, ITEMS.field(place), lists), spill.source_index[solutions], problems, solutions
    )
