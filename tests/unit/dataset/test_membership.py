import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from item_source import ItemSource, plain, spilled

from llm_judge_remote.dataset.derangement import _augmented, _swapped, ownership
from llm_judge_remote.dataset.membership import METHODS, plan
from llm_judge_remote.dataset.pair_items import PairReader
from llm_judge_remote.dataset.texts import hashes
from llm_judge_remote.errors import DatasetError
from llm_judge_remote.rules.gate import final_answer

# So few different texts that most rows repeat others, some but for whitespace.
PROBLEM = st.sampled_from(["p", " p", "q", "r", "s\n", "s", "t", "u"])
ANSWERS = ["1", "1 ", "2", "3", " 3", "4", "5"]
SOLUTION = st.sampled_from([f"So we get\n#### {answer}" for answer in ANSWERS])
ROWS = st.lists(st.tuples(PROBLEM, st.lists(SOLUTION, min_size=1, max_size=2)), min_size=1, max_size=14)
OTHERS = [("u", "#### 7"), ("v", "#### 8"), (" v", "#### 9"), ("w", "#### 1"), ("x", "#### 2")]


def drawn(rows, method, *, others=OTHERS, batch_rows=3, block=5, **options):
    """Members and non-members as (problem, solution), and the plan."""
    with (
        tempfile.TemporaryDirectory() as place,
        spilled(rows, Path(place) / "a", batch_rows=batch_rows) as spill,
        spilled(others, Path(place) / "b", batch_rows=batch_rows) as other_spill,
    ):
        beside = other_spill if method == "separate_dataset" else None
        pairs = plan(spill, method, others=beside, **options)
        reader = PairReader(pairs, spill, beside)
        sides = []
        for read in (reader.members, reader.non_members):
            blocks = [read(start, min(start + block, len(pairs))) for start in range(0, len(pairs), block)]
            items = [row for each in blocks for row in each.items.to_pylist()]
            sides.append([(row["problem"], row["references"][0]) for row in items])
            assert all(len(row["references"]) == 1 for row in items)
            assert all(each.items.num_rows == len(each.solution_index) for each in blocks)
    return (*sides, pairs)


def own_solutions(rows):
    own = defaultdict(set)
    for problem, references in rows:
        own[plain(problem)] |= {plain(each) for each in ([references] if isinstance(references, str) else references)}
    return own


def most_at_once(rows):
    """As many rows as can get another row's solution at once, by Kuhn's algorithm."""
    own = own_solutions(rows)
    given = [plain(references[0]) for _, references in rows]
    taken = {}

    def augment(row, seen):
        for other, solution in enumerate(given):
            if other in seen or solution in own[plain(rows[row][0])]:
                continue
            seen.add(other)
            if other not in taken or augment(taken[other], seen):
                taken[other] = row
                return True
        return False

    return sum(augment(row, set()) for row in range(len(rows)))


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, method=st.sampled_from(METHODS), seed=st.integers(0, 3))
def test_no_pair_leaks_and_both_sides_have_the_same_number(rows, method, seed):
    try:
        members, non_members, pairs = drawn(rows, method, seed=seed)
    except DatasetError:
        return
    own = own_solutions(rows)
    assert len(members) == len(non_members) == len(pairs) > 0
    assert all(plain(solution) in own[plain(problem)] for problem, solution in members)
    assert len(set(pairs.member_problem.tolist())) == len(pairs)
    if method in {"same_problem", "full_random", "perturbed_solution"}:
        assert not [pair for pair in non_members if plain(pair[1]) in own[plain(pair[0])]]
        assert len(set(pairs.other_solution.tolist())) == len(pairs)
    else:
        problems = [plain(problem) for problem, _ in [*members, *non_members]]
        assert len(set(problems)) == len(problems)
        theirs = own_solutions(OTHERS) if method == "separate_dataset" else own
        assert all(plain(solution) in theirs[plain(problem)] for problem, solution in non_members)
    if method in {"same_problem", "perturbed_solution"}:
        assert [problem for problem, _ in members] == [problem for problem, _ in non_members]


@settings(deadline=None, max_examples=80)
@given(rows=ROWS, method=st.sampled_from(["same_problem", "full_random"]))
def test_without_a_count_there_are_as_many_pairs_as_can_be(rows, method):
    most = most_at_once(rows)
    if most:
        assert len(drawn(rows, method)[2]) == most
    with pytest.raises(
        DatasetError, match=rf"{most + 1} pairs were asked for, and there can be {most}: {len(rows)} rows"
    ):
        drawn(rows, method, count=most + 1)


@settings(deadline=None)
@given(rows=ROWS, data=st.data())
def test_any_matching_can_be_made_a_largest_one(rows, data):
    own = _ownership(rows)
    partner = np.array(data.draw(st.permutations(range(len(rows)))))
    bad = np.flatnonzero(own.has(own.problem, own.solution[partner]))
    made = _augmented(own, partner, bad)
    assert (made >= 0).sum() == most_at_once(rows)
    given_out = made[made >= 0]
    assert len(set(given_out.tolist())) == len(given_out)
    assert not own.has(own.problem[made >= 0], own.solution[given_out]).any()


@settings(deadline=None)
@given(rows=ROWS, data=st.data())
def test_swapping_at_random_never_gives_a_row_one_of_its_own(rows, data):
    own = _ownership(rows)
    partner = np.array(data.draw(st.permutations(range(len(rows)))))
    left = _swapped(own, partner, np.random.Generator(np.random.PCG64(1)))
    assert sorted(partner.tolist()) == list(range(len(rows)))
    assert np.flatnonzero(own.has(own.problem, own.solution[partner])).tolist() == left.tolist()


def _ownership(rows):
    bounds = np.cumsum([0, *(len(references) for _, references in rows)])
    return ownership(hashes([row[0] for row in rows]), hashes([each for row in rows for each in row[1]]), bounds)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([(f"p{n}", "yes" if n % 2 else "no") for n in range(400)], id="half of the solutions are equal"),
        pytest.param([("p" if n % 2 else f"q{n}", f"s{n}") for n in range(400)], id="half of the problems are equal"),
        pytest.param([(f"p{n % 2}", f"s{n}") for n in range(400)], id="there are two problems"),
        pytest.param([(f"p{n % 300}", str(n % 7)) for n in range(400)], id="short answers, some problems with two"),
        pytest.param([(f"p{n}", f"s{n}") for n in range(400)], id="all are different"),
    ],
)
def test_everybody_gets_another_solution_though_many_rows_are_equal(rows):
    members, non_members, pairs = drawn(rows, "same_problem", block=100, batch_rows=100)
    own = own_solutions(rows)
    assert len(pairs) == 400
    assert Counter(solution for _, solution in members) == Counter(solution for _, solution in non_members)
    assert not [pair for pair in non_members if plain(pair[1]) in own[plain(pair[0])]]


def test_where_all_solutions_are_equal_the_error_says_so():
    rows = [(f"p{number}", "#### 4" + " " * number) for number in range(9)]
    with pytest.raises(
        DatasetError,
        match="there can be 0: 9 rows have 9 different problems and 1 different solutions, "
        "the most frequent of them 9 times",
    ):
        drawn(rows, "same_problem")


def test_of_a_solution_that_most_rows_have_some_are_left_out():
    rows = [(f"p{number}", "yes" if number < 60 else "no") for number in range(100)]
    members, non_members, _ = drawn(rows, "same_problem", block=50, batch_rows=50)
    assert Counter(solution for _, solution in members) == Counter(yes=40, no=40)
    assert all(one[1] != other[1] for one, other in zip(members, non_members, strict=True))


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_pairs_whatever_the_batches(method):
    rows = [(f"p{number}", f"It is so.\nThen\n#### {number}") for number in range(1, 60)]
    others = [(f"o{number}", f"#### {number}") for number in range(60)]
    once = drawn(rows, method, count=20, seed=5, others=others)
    again = drawn(rows, method, count=20, seed=5, others=others, batch_rows=50, block=7)
    other = drawn(rows, method, count=20, seed=6, others=others)
    assert once[:2] == again[:2]
    assert once[:2] != other[:2]


def test_who_is_drawn_does_not_depend_on_how_many_rows_are_read_at_once(monkeypatch):
    rows = [(f"p{number}", f"#### {number}" if number % 3 else "no answer") for number in range(1, 60)]
    once = drawn(rows, "perturbed_solution", count=20)
    monkeypatch.setattr("llm_judge_remote.dataset.membership._BLOCK", 7)
    assert drawn(rows, "perturbed_solution", count=20)[:2] == once[:2]


def test_problems_and_solutions_of_full_random_are_drawn_from_all_rows():
    rows = [(f"p{number}", f"s{number}") for number in range(50)]
    members, non_members, _ = drawn(rows, "full_random", count=25, block=25)
    assert {problem for problem, _ in members} != {problem for problem, _ in non_members}
    seen = set()
    for seed in range(12):
        seen |= {solution for _, solution in drawn(rows, "full_random", count=25, block=25, seed=seed)[1]}
    assert len(seen) == 50


def test_a_solution_in_which_nothing_can_be_changed_is_passed_over():
    rows = [("a", "#### 5"), ("b", "It is Evelyn."), ("c", "#### 6")]
    members, non_members, _ = drawn(rows, "perturbed_solution")
    assert [problem for problem, _ in members] == ["a", "c"]
    assert all(final_answer(one[1]) != final_answer(other[1]) for one, other in zip(members, non_members, strict=True))
    with pytest.raises(
        DatasetError, match="3 pairs were asked for, and there can be 2: of 3 rows, 2 have a final answer"
    ):
        drawn(rows, "perturbed_solution", count=3)


def test_a_changed_solution_that_a_duplicate_of_the_problem_has_is_passed_over():
    answers = [f"#### {number}" for number in range(1, 10)]
    with pytest.raises(DatasetError, match="of 9 rows, 0 have"):
        drawn([("same problem", answer) for answer in answers], "perturbed_solution")


def test_the_other_inputs_problems_that_the_input_has_too_are_left_out():
    members, non_members, _ = drawn([("u", "1"), ("p", "2"), ("q", "3"), ("r", "4")], "separate_dataset")
    assert len(members) == 3
    assert {problem for problem, _ in non_members} == {"v", "w", "x"}
    with pytest.raises(DatasetError, match="4 different problems, the other inputs 4, of which 1 are in the input too"):
        drawn([("u", "1"), ("p", "2"), ("q", "3"), ("r", "4")], "separate_dataset", count=4)


def test_too_few_different_problems_are_an_error_with_the_numbers():
    rows = [("p", "1"), (" p", "2"), ("q", "3"), ("r", "4")]
    assert len(drawn(rows, "unused_examples")[0]) == 1
    with pytest.raises(
        DatasetError, match="2 pairs were asked for, and there can be 1: 4 rows have 3 different problems"
    ):
        drawn(rows, "unused_examples", count=2)


@pytest.mark.parametrize(
    ("method", "others", "count"),
    [("other", None, 1), ("separate_dataset", None, 1), ("same_problem", OTHERS, 1), ("same_problem", None, 0)],
)
def test_arguments_that_do_not_go_together_are_refused(tmp_path, method, others, count):
    with spilled([("p", "1"), ("q", "2")], tmp_path / "a") as spill:
        beside = spilled(others, tmp_path / "b") if others else None
        with pytest.raises(ValueError, match=r"no method|needs other|takes no other|at least 1"):
            plan(spill, method, count=count, others=beside)
        if beside:
            beside.close()


def test_each_pair_says_which_rows_of_the_source_it_is_made_of(tmp_path):
    source = ItemSource([(f"p{number}", f"s{number}") for number in range(6)])
    with spilled([row[:2] for row in source.rows], tmp_path / "a") as spill:
        reader = PairReader(plan(spill, "same_problem"), spill)
        found = reader.non_members(0, 6)
        rows = {row["source_index"]: row for row in source.as_dicts()}
        for row, index in zip(found.items.to_pylist(), found.solution_index.tolist(), strict=True):
            assert row["problem"] == rows[row["source_index"]]["problem"]
            assert row["references"] == rows[index]["references"]
