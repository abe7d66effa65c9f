"""AUC, ROC and the bootstrap: exact where they say so, and bounded."""

import numpy as np
import pytest

from llm_judge_remote.agreement import area, auc
from llm_judge_remote.report.statistics.roc import (
    DRAWS,
    area_under_roc,
    bootstrap_areas,
    interval,
    roc_curve,
)

CHANCE = np.random.default_rng(7)


def rows(count, levels=None, shift=1.0):
    rights = CHANCE.random(count) < 0.4
    scores = CHANCE.normal(rights * shift, 1.0)
    return (scores if levels is None else np.round(scores * levels) / levels), rights


@pytest.mark.parametrize("levels", [None, 1, 3])
def test_the_area_is_that_of_the_package_with_ties_and_without(levels):
    for count in (2, 5, 50, 500):
        scores, rights = rows(count, levels)
        rights[:2] = True, False
        assert area_under_roc(scores, rights) == pytest.approx(area(list(scores), list(rights)), abs=1e-12)


def test_the_area_by_hand():
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    assert area_under_roc(scores, np.array([False, False, True, True])) == 0.75
    assert area_under_roc(np.zeros(4), np.array([False, True, True, True])) == 0.5


@pytest.mark.parametrize("rights", [[True, True], [False, False], []])
def test_without_both_labels_there_is_no_area(rights):
    assert area_under_roc(np.arange(len(rights), dtype=float), np.array(rights, dtype=bool)) is None


@pytest.mark.parametrize("levels", [None, 2])
def test_the_area_under_the_curve_s_points_is_the_area(levels):
    scores, rights = rows(400, levels)
    curve = roc_curve(scores, rights, most=10_000)
    assert (curve.false_positives[0], curve.true_positives[-1], curve.thresholds[0]) == (0.0, 1.0, np.inf)
    under = np.trapezoid(curve.true_positives, curve.false_positives)
    assert under == pytest.approx(area_under_roc(scores, rights), abs=1e-12)


def test_a_thinned_curve_has_both_ends_and_few_points():
    scores, rights = rows(50_000)
    curve = roc_curve(scores, rights, most=100)
    assert len(curve.thresholds) <= 102
    assert (curve.false_positives[-1], curve.true_positives[-1]) == (1.0, 1.0)
    under = np.trapezoid(curve.true_positives, curve.false_positives)
    assert under == pytest.approx(area_under_roc(scores, rights), abs=0.003)


def test_a_threshold_of_the_curve_gives_the_shares_that_stand_with_it():
    scores, rights = rows(300, 2)
    curve = roc_curve(scores, rights)
    for false, true, threshold in zip(*curve, strict=True):
        assert false == pytest.approx(np.mean(scores[~rights] >= threshold))
        assert true == pytest.approx(np.mean(scores[rights] >= threshold))


def test_the_interval_is_that_of_the_plain_bootstrap_over_groups():
    group = 4
    scores, rights = rows(600, 4)
    groups = np.arange(600) // group
    slow = auc(list(scores), list(rights), group)
    low, high = interval(bootstrap_areas(scores, rights, groups))
    assert (low, high) == pytest.approx((slow.low, slow.high), abs=0.01)


def test_candidates_that_are_alike_within_a_group_make_the_interval_wider():
    alike = np.repeat(CHANCE.normal(size=100), 8)
    groups = np.arange(800) // 8
    rights = np.repeat(CHANCE.random(100) < 0.5, 8)
    scores = alike + rights
    grouped, alone = (interval(bootstrap_areas(scores, rights, given)) for given in (groups, None))
    assert grouped[1] - grouped[0] > 1.8 * (alone[1] - alone[0])


def test_with_more_groups_and_levels_than_are_drawn_the_interval_stays_the_same():
    scores, rights = rows(30_000)  # each a level and a group of its own: both are cut
    low, high = interval(bootstrap_areas(scores, rights, None))
    value = area_under_roc(scores, rights)
    right, wrong = rights.sum(), (~rights).sum()
    # Hanley & McNeil's standard error
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    spread = (right - 1) * (q1 - value**2) + (wrong - 1) * (q2 - value**2)
    error = np.sqrt((value * (1 - value) + spread) / (right * wrong))
    assert (low + high) / 2 == pytest.approx(value, abs=0.001)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_rows_without_a_group_are_groups_of_their_own():
    scores, rights = rows(200)
    alone = bootstrap_areas(scores, rights, np.full(200, -1))
    assert np.array_equal(alone, bootstrap_areas(scores, rights, None))
    assert len(alone) == DRAWS


def test_the_same_seed_draws_the_same_groups_for_two_judges():
    scores, rights = rows(400)
    groups = np.arange(400) // 4
    first, second = (bootstrap_areas(each, rights, groups) for each in (scores, scores * 3 + 1))
    assert np.array_equal(first, second)  # the same ranks: a difference of 0 in every draw


def test_fewer_than_five_groups_give_no_interval():
    scores, rights = rows(40)
    assert interval(bootstrap_areas(scores, rights, np.arange(40) // 10)) is None
    assert interval(bootstrap_areas(scores, rights, np.arange(40) // 8)) is not None
