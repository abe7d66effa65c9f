"""Pairs of a problem and a solution that were, or were not, among what a model is trained on.

=====================  ================================================================================================
Method                 Non-members, as many as members; a member is a row of the source with its own solution
=====================  ================================================================================================
`same_problem`         the members' problems, each with another row's solution
`full_random`          rows' problems with other rows' solutions, both drawn from all rows
`unused_examples`      rows that are no members, with their own solutions
`perturbed_solution`   the members' problems, each with its own solution after changes (`perturb`)
`separate_dataset`     rows of other inputs, with their own solutions
=====================  ================================================================================================

A problem's own solutions are all references of all rows that have the same problem, as texts without whitespace. None
of them stands in a non-member of the first, second and fourth method. In the third and the last no problem is that of a
member and of a non-member, and none is there twice.

Who is a member, and who gets what, depends on the seed and on the items alone; numpy's PCG64 draws it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llm_judge_remote.dataset.derangement import Ownership, derangement, ownership
from llm_judge_remote.dataset.perturb import perturb, row_words
from llm_judge_remote.dataset.spill import Spill
from llm_judge_remote.dataset.texts import Hashes, Indices, hashes
from llm_judge_remote.errors import DatasetError

__all__ = ["METHODS", "Pairs", "plan"]

METHODS = ("same_problem", "full_random", "unused_examples", "perturbed_solution", "separate_dataset")

_BLOCK = 4096  # rows that are read at once; the plan does not depend on it


@dataclass(frozen=True, slots=True)
class Pairs:
    """Members and non-members by row numbers; all arrays are equally long, and members in the order of the source.

    Attributes:
        method: One of `METHODS`.
        seed: That they were drawn with.
        member_problem: Row of a member's problem.
        member_solution: Row of its solution: the same.
        other_problem: Row of a non-member's problem; of `separate_dataset` among the other inputs' rows.
        other_solution: Row of its solution, which `perturb` changes where the method says so.
    """

    method: str
    seed: int
    member_problem: Indices
    member_solution: Indices
    other_problem: Indices
    other_solution: Indices

    def __len__(self) -> int:
        return len(self.member_problem)


def plan(spill: Spill, method: str, *, count: int | None = None, seed: int = 0, others: Spill | None = None) -> Pairs:
    """Draw members and non-members.

    Args:
        spill: The items that the model is trained on.
        method: One of `METHODS`.
        count: Members, and non-members; None for as many as there can be.
        seed: Another one draws others.
        others: The items that non-members of `separate_dataset` are taken from.

    Raises:
        DatasetError: There are too few rows, or too many with the same solution; the message has the numbers.
        ValueError: There is no such method; others are missing, or are not wanted; a count below 1.
    """
    if method not in METHODS:
        msg = f"{method!r} is no method; there are {', '.join(METHODS)}"
        raise ValueError(msg)
    if (others is None) is (method == "separate_dataset"):
        msg = f"{method} {'needs' if others is None else 'takes no'} other inputs"
        raise ValueError(msg)
    if count is not None and count < 1:
        msg = f"{count} pairs: at least 1 is needed"
        raise ValueError(msg)
    rng = np.random.Generator(np.random.PCG64(seed))
    if method == "unused_examples":
        member, problem = _two_parts(spill, count, rng)
        solution = problem
    elif others is not None:
        member, problem = _two_sources(spill, others, count, rng)
        solution = problem
    elif method == "perturbed_solution":
        member = _changeable(spill, count, seed, rng)
        problem = solution = member
    else:
        member, problem, solution = _deranged(spill, method, count, rng)
    return Pairs(method, seed, member, member, problem, solution)


def _deranged(
    spill: Spill, method: str, count: int | None, rng: np.random.Generator
) -> tuple[Indices, Indices, Indices]:
    own = ownership(spill.problem_hashes, spill.reference_hashes, spill.bounds)
    partner = derangement(own, rng)
    able = np.flatnonzero(partner >= 0)
    wanted = _enough(method, count, len(able), _about(own))
    member = _drawn(able, wanted, rng)
    if method == "same_problem":
        return member, member, partner[member]
    partner = derangement(own, rng)
    problem = _drawn(np.flatnonzero(partner >= 0), wanted, rng)
    return member, problem, partner[problem]


def _two_parts(spill: Spill, count: int | None, rng: np.random.Generator) -> tuple[Indices, Indices]:
    rows = _one_a_problem(spill.problem_hashes)
    about = f"{len(spill)} rows have {len(rows)} different problems, and a pair takes two of them"
    wanted = _enough("unused_examples", count, len(rows) // 2, about)
    rows = rng.permutation(rows)
    return np.sort(rows[:wanted]), np.sort(rows[wanted : 2 * wanted])


def _two_sources(spill: Spill, others: Spill, count: int | None, rng: np.random.Generator) -> tuple[Indices, Indices]:
    rows = _one_a_problem(spill.problem_hashes)
    different = _one_a_problem(others.problem_hashes)
    other_rows = different[~np.isin(others.problem_hashes[different], spill.problem_hashes)]
    about = (
        f"the input has {len(rows)} different problems, the other inputs {len(different)}, "
        f"of which {len(different) - len(other_rows)} are in the input too"
    )
    wanted = _enough("separate_dataset", count, min(len(rows), len(other_rows)), about)
    return _drawn(rows, wanted, rng), _drawn(other_rows, wanted, rng)


def _changeable(spill: Spill, count: int | None, seed: int, rng: np.random.Generator) -> Indices:
    """Rows in a random order, without those in whose solution nothing can be changed."""
    own = ownership(spill.problem_hashes, spill.reference_hashes, spill.bounds)
    words = row_words(len(spill), seed)
    order = rng.permutation(len(spill))
    found: list[Indices] = []
    number = 0
    for start in range(0, len(order), _BLOCK):
        if count is not None and number >= count:
            break
        rows = order[start : start + _BLOCK]
        texts = [
            perturb(text, word) or ""
            for text, word in zip(spill.solutions(rows).to_pylist(), words[rows].tolist(), strict=True)
        ]
        changed = np.array([bool(text) for text in texts])
        found.append(rows[changed & ~own.has_text(own.problem[rows], hashes(texts))])
        number += len(found[-1])
    able = np.concatenate([np.zeros(0, np.int64), *found])
    about = f"of {len(order)} rows, {number} have a final answer in which a number or a choice can be changed"
    return np.sort(able[: _enough("perturbed_solution", count, number, about)])


def _enough(method: str, count: int | None, most: int, about: str) -> int:
    wanted = most if count is None else count
    if not 0 < wanted <= most:
        asked = "pairs" if count is None else f"{count} pairs"
        msg = f"{method}: {asked} were asked for, and there can be {most}: {about}"
        raise DatasetError(msg)
    return wanted


def _about(own: Ownership) -> str:
    often = int(np.bincount(own.solution).max())
    return (
        f"{len(own.problem)} rows have {len(own.problem_hashes)} different problems and "
        f"{len(np.unique(own.solution))} different solutions, the most frequent of them {often} times"
    )


def _drawn(rows: Indices, count: int, rng: np.random.Generator) -> Indices:
    return np.sort(rng.permutation(rows)[:count])


def _one_a_problem(problem_hashes: Hashes) -> Indices:
    """The first row of each problem, in the order of the rows."""
    return np.sort(np.unique(problem_hashes, return_index=True)[1])
