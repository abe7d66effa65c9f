import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.scoring.votes import REDUCTIONS, reduce_votes

VOTES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20)
HOW = st.sampled_from(REDUCTIONS)


@pytest.mark.parametrize(
    ("scores", "how", "score"),
    [
        ([0.25], "mean", 0.25),
        ([0.0, 0.0, 1.0], "mean", 1 / 3),
        ([0.0, 0.0, 1.0], "median", 0.0),
        ([0.0, 0.5, 0.5, 1.0, 1.0, 1.0], "median", 0.75),
        ([0.0, 0.0, 1.0], "majority", 0.0),
        ([0.2, 0.9, 0.9, 0.5], "majority", 0.9),
        ([0.0, 1.0], "majority", 0.5),
        ([0.2, 0.4, 0.4, 0.6, 0.6], "majority", 0.5),
        ([0.1, 0.8, 0.9], "majority", 0.6),
        ([0.3, 0.1 + 0.2, 0.7], "majority", 0.3),
    ],
)
def test_votes_are_reduced_as_asked(scores, how, score):
    assert reduce_votes(scores, how).score == pytest.approx(score)


def test_the_spread_is_the_population_standard_deviation():
    assert reduce_votes([0.0, 1.0], "median").spread == pytest.approx(0.5)
    assert reduce_votes([0.2, 0.4, 0.4, 0.4, 0.5, 0.5, 0.7, 0.9], "mean").spread == pytest.approx(0.2)
    assert reduce_votes([0.7], "majority").spread == 0.0


@given(VOTES, HOW, st.randoms())
def test_the_order_of_the_votes_does_not_matter(scores, how, random):
    shuffled = scores[:]
    random.shuffle(shuffled)
    one, other = reduce_votes(scores, how), reduce_votes(shuffled, how)
    assert one.score == pytest.approx(other.score, abs=1e-12)
    assert one.spread == pytest.approx(other.spread, abs=1e-12)


@given(VOTES, HOW)
def test_a_reduced_score_lies_between_the_least_and_the_greatest_vote(scores, how):
    score, spread = reduce_votes(scores, how)
    assert min(scores) <= score <= max(scores)
    assert 0.0 <= spread <= 0.5 + 1e-12


@given(st.floats(0.0, 1.0), st.integers(1, 20), HOW)
def test_equal_votes_give_their_score_and_no_spread(score, count, how):
    reduced = reduce_votes([score] * count, how)
    assert math.isclose(reduced.score, score, abs_tol=1e-12)
    assert reduced.spread < 1e-9


@pytest.mark.parametrize(("scores", "how"), [([], "mean"), ([0.5], "max"), ([0.5], "")])
def test_no_votes_and_unknown_reductions_are_refused(scores, how):
    with pytest.raises(ValueError, match="votes"):
        reduce_votes(scores, how)
