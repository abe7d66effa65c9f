"""Rank correlations, against their definitions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.report.statistics.correlation import kendall, midranks, pearson, spearman

FEW_LEVELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=2, max_size=40)


def columns(pairs):
    return tuple(np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))


@given(FEW_LEVELS)
def test_kendall_counts_every_pair_of_rows(pairs):
    one, other = columns(pairs)
    concordant = discordant = one_ties = other_ties = 0
    for (a, b), (c, d) in itertools.combinations(pairs, 2):
        one_ties += a == c
        other_ties += b == d
        concordant += (a - c) * (b - d) > 0
        discordant += (a - c) * (b - d) < 0
    count = math.comb(len(pairs), 2)
    scale = math.sqrt((count - one_ties) * (count - other_ties))
    expected = (concordant - discordant) / scale if scale else None
    assert kendall(one, other) == (None if expected is None else pytest.approx(expected))


@given(FEW_LEVELS)
def test_midranks_are_one_more_than_those_below_and_half_of_those_beside(pairs):
    numbers = columns(pairs)[0]
    expected = [np.sum(numbers < each) + (np.sum(numbers == each) + 1) / 2 for each in numbers]
    assert midranks(numbers) == pytest.approx(expected)


def test_spearman_of_a_textbook():
    iq = np.array([106, 100, 86, 101, 99, 103, 97, 113, 112, 110], dtype=float)
    hours = np.array([7, 27, 2, 50, 28, 29, 20, 12, 6, 17], dtype=float)
    assert spearman(iq, hours) == pytest.approx(-29 / 165)


def test_any_rising_function_has_correlation_1_and_any_falling_one_minus_1():
    numbers = np.random.default_rng(1).random(5_000)
    for correlation in (spearman, kendall):
        assert correlation(numbers, np.exp(numbers)) == pytest.approx(1.0)
        assert correlation(numbers, -(numbers**3)) == pytest.approx(-1.0)


@pytest.mark.parametrize("correlation", [spearman, kendall, pearson])
def test_without_variation_there_is_no_correlation(correlation):
    assert correlation(np.ones(5), np.arange(5.0)) is None
    assert correlation(np.zeros(0), np.zeros(0)) is None
