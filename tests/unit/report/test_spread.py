"""Spread within groups."""

import statistics

import numpy as np
import pytest

from llm_judge_remote.report.statistics.spread import group_spread


def test_groups_are_found_wherever_their_rows_stand():
    groups = np.array([2, 0, 2, 1, 0, 2])
    scores = np.array([0.1, 1.0, 0.4, 0.7, 0.0, 0.9])
    found = group_spread(scores, groups)
    assert found.size.tolist() == [2, 3]
    assert found.alone == 1
    assert found.mean == pytest.approx([0.5, statistics.mean([0.1, 0.4, 0.9])])
    assert found.std == pytest.approx([statistics.stdev([1.0, 0.0]), statistics.stdev([0.1, 0.4, 0.9])])


def test_equal_scores_are_equal_whatever_the_mean_is_rounded_to():
    found = group_spread(np.array([0.1] * 3 + [0.1, 0.1, 0.1 + 1e-12]), np.array([0, 0, 0, 1, 1, 1]))
    assert found.is_equal.tolist() == [True, False]


def test_no_rows_have_no_groups():
    found = group_spread(np.zeros(0), np.zeros(0, dtype=np.int64))
    assert (len(found.size), found.alone) == (0, 0)
