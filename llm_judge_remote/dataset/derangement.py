"""Each row another row's solution, never one of its own, though many rows may be equal.

A row's own solutions are all that any row with the same problem has. What is looked for is a perfect matching of rows
and solutions in a graph where all but a few pairs are allowed, so that it need not be built:

1. Problems and solutions that are linked by rows, through any number of them, are a component. If none has more than
   half of the rows, they are put in an order by component and each takes the solution that stands as many places on as
   the largest component has: then nobody's own is among them.
2. Else the same by equal solutions, which leaves few rows with one of their own, if any; these change with others at
   random, all at once, some rounds.
3. What is left is matched by augmenting paths (Berge, 1957): so a matching of as many rows as can be is found always.

The first two take a sort; the third goes through all rows for each that is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from llm_judge_remote.dataset.texts import Hashes, Indices

__all__ = ["Flags", "Ownership", "derangement", "ownership"]

Flags = npt.NDArray[np.bool_]

_ROUNDS = 40
_FEW = 6


@dataclass(frozen=True, slots=True)
class Ownership:
    """Which problem has which solutions, both as numbers from 0.

    Attributes:
        problem: Of each row.
        solution: Of each row: its first reference.
        keys: `problem * solutions + solution` of all that belong together, sorted.
        starts: Where the solutions of each problem begin among `owned`, and where the last one's end.
        owned: The solutions of each problem, problem by problem.
        solution_hashes: By the number of the solution, sorted.
        problem_hashes: By the number of the problem, sorted.
    """

    problem: Indices
    solution: Indices
    keys: Indices
    starts: Indices
    owned: Indices
    solution_hashes: Hashes
    problem_hashes: Hashes

    def has(self, problems: Indices, solutions: Indices) -> Flags:
        """Whether the one has the other as its own, pair by pair."""
        first = self.starts[problems]
        count = self.starts[problems + 1] - first
        most = int(count.max(initial=0))
        found: Flags = np.zeros(len(problems), bool)
        if most > _FEW:
            keys = problems * len(self.solution_hashes) + solutions
            known: Flags = self.keys[np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)] == keys
            return known
        for step in range(most):  # much faster than to search
            found |= (self.owned[np.minimum(first + step, len(self.owned) - 1)] == solutions) & (step < count)
        return found

    def has_text(self, problems: Indices, text_hashes: Hashes) -> Flags:
        """The same for solutions by their hashes (`texts.hashes`), known or not."""
        places = np.minimum(np.searchsorted(self.solution_hashes, text_hashes), len(self.solution_hashes) - 1)
        has: Flags = (self.solution_hashes[places] == text_hashes) & self.has(problems, places)
        return has


def ownership(problem_hashes: Hashes, reference_hashes: Hashes, bounds: Indices) -> Ownership:
    """Who has what.

    Args:
        problem_hashes: Of each row.
        reference_hashes: Of all references, row by row.
        bounds: Where each row's references begin among them, and where the last one's end.
    """
    problems, problem = np.unique(problem_hashes, return_inverse=True)
    solutions, reference = np.unique(reference_hashes, return_inverse=True)
    keys = np.unique(np.repeat(problem, np.diff(bounds)) * len(solutions) + reference)
    owner, owned = np.divmod(keys, len(solutions))
    starts = np.searchsorted(owner, np.arange(len(problems) + 1))
    return Ownership(problem, reference[bounds[:-1]], keys, starts, owned, solutions, problems)


def derangement(own: Ownership, rng: np.random.Generator) -> Indices:
    """For each row the row whose solution it gets; each row's solution is given once at most.

    Returns:
        Row numbers; -1 for rows that get none, because there is no way to give one to more rows at once.
    """
    component = _components(own)[own.solution]
    if 2 * np.bincount(component).max() <= len(component):
        return _rotated(component, rng)
    partner = _rotated(own.solution, rng)
    left = _swapped(own, partner, rng)
    return _augmented(own, partner, left) if len(left) else partner


def _rotated(groups: Indices, rng: np.random.Generator) -> Indices:
    """Each row takes from the one that stands so many places on as the largest group has, in a random order by group.

    Nobody takes from their own group if no group has more than half of all.
    """
    counts = np.bincount(groups)
    shuffled = rng.permutation(len(groups))
    order = shuffled[np.argsort(rng.permutation(len(counts))[groups[shuffled]], kind="stable")]
    partner = np.empty_like(order)
    partner[order] = np.roll(order, -int(counts.max()))
    return partner


def _components(own: Ownership) -> Indices:
    """The component of each solution."""
    count = len(own.solution_hashes)
    label = np.arange(count)
    problem, solution = own.keys // count, own.owned
    if len(own.keys) in {len(own.problem_hashes), count}:  # each problem has one solution, or each solution one problem
        if len(own.keys) == count:
            label = problem[np.argsort(solution, kind="stable")]
        return label
    by_problem = np.flatnonzero(np.diff(problem, prepend=-1))
    order = np.argsort(solution, kind="stable")
    by_solution = np.flatnonzero(np.diff(solution[order], prepend=-1))
    while True:
        least = np.minimum.reduceat(label[solution], by_problem)
        found = np.minimum.reduceat(least[problem[order]], by_solution)
        np.minimum.at(found, label, found.copy())  # a whole set that has met another goes with it
        found = found[found]
        if (found == label).all():
            return label
        label = found


def _swapped(own: Ownership, partner: Indices, rng: np.random.Generator) -> Indices:
    """Rows with one of their own change with others, in `partner`; those that are left come back."""
    problem, given = own.problem, own.solution
    bad = np.flatnonzero(own.has(problem, given[partner]))
    is_bad = np.zeros(len(partner), bool)
    vain = 0
    for turn in range(_ROUNDS):
        if not len(bad) or vain == 2:  # of each kind of round one
            break
        bad = rng.permutation(bad)
        if turn % 2:
            half = len(bad) // 2
            one, other = bad[:half], bad[half : 2 * half]
        else:
            is_bad[bad] = True
            good = rng.permutation(np.flatnonzero(~is_bad))[: len(bad)]
            is_bad[bad] = False
            one, other = bad[: len(good)], good
        takes, gives = partner[other], partner[one]
        fits = ~(own.has(problem[one], given[takes]) | own.has(problem[other], given[gives]))
        partner[one[fits]], partner[other[fits]] = takes[fits], gives[fits]
        vain = 0 if fits.any() else vain + 1
        bad = bad[own.has(problem[bad], given[partner[bad]])]
    return np.sort(bad)


def _augmented(own: Ownership, partner: Indices, left: Indices) -> Indices:
    """As many of the rows that are left as can be get a solution, if others give theirs up for another one."""
    count = len(own.solution_hashes)
    given = own.solution
    free = partner[left].tolist()
    partner[left] = -1
    left_rows = left
    while len(left_rows):
        row = int(left_rows[0])
        path = _path(own, partner, row, np.unique(given[free]))
        if isinstance(path, list):
            # Each on the path gives its solution to the one before, and the last one takes a free one.
            last = int(own.problem[path[-1]])
            fits = ~own.has(np.full(len(free), last), given[free])
            freed = free.pop(int(np.argmax(fits)))
            for one, other in pairwise(path):
                partner[one] = partner[other]
            partner[path[-1]] = freed
            left_rows = left_rows[1:]
        else:
            # All that can be reached is closed: whoever may take of nothing else has no path either.
            outside = (own.keys // count)[~path[own.owned]]
            owned_outside = np.bincount(outside, minlength=len(own.problem_hashes))
            stuck = owned_outside[own.problem[left_rows]] == count - path.sum()
            stuck[0] = True
            left_rows = left_rows[~stuck]
    return partner


def _path(own: Ownership, partner: Indices, row: int, free: Indices) -> list[int] | Flags:
    """Rows from this one to one that may take a free solution, each of which may take that of the next.

    If there is none, the solutions that can be reached.
    """
    problem, given = own.problem, own.solution
    count = len(own.solution_hashes)
    held = np.where(partner >= 0, given[partner], -1)  # of each row
    ends = np.zeros(len(problem), bool)
    for solution in free:
        ends |= ~own.has(problem, np.full(len(problem), solution))
    if ends[row]:
        return [row]
    before = np.full(len(problem), -1)
    reached = np.zeros(count, bool)  # solutions
    reached_rows = np.zeros(len(problem), bool)
    reached_rows[row] = True
    pending = np.ones(count, bool)
    front = row
    while True:
        takes = pending.copy()
        takes[own.owned[slice(*own.starts[problem[front] : problem[front] + 2])]] = False
        fresh = (held >= 0) & takes[held] & ~reached_rows
        before[fresh] = front
        reached_rows |= fresh
        reached |= takes
        pending &= ~takes
        found = np.flatnonzero(fresh & ends)
        if len(found):
            path = [int(found[0])]
            while path[-1] != row:
                path.append(int(before[path[-1]]))
            return path[::-1]
        # Few are pending: what the first row owns. One that was reached and does not own it takes it.
        nexts = (
            np.flatnonzero(reached_rows & ~own.has(problem, np.full(len(problem), each)))
            for each in np.flatnonzero(pending)
        )
        chosen = next((rows for rows in nexts if len(rows)), None)
        if chosen is None:
            return reached
        front = int(chosen[0])
