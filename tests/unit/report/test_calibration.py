"""Calibration and confusion, by hand."""

import math

import numpy as np
import pytest

from llm_judge_remote.report.statistics.calibration import (
    Confusion,
    brier,
    calibration_bins,
    calibration_error,
    confusion,
    wilson,
)


def test_wilson_s_interval_is_the_published_one():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_bins_hold_their_lower_edge_and_the_last_one_holds_1():
    bins = calibration_bins(np.array([0.0, 0.05, 0.1, 0.95, 1.0]), np.array([False, True, True, True, False]))
    assert [(each.low, each.rows, each.right) for each in bins] == [(0.0, 2, 0.5), (0.1, 1, 1.0), (0.9, 2, 0.5)]
    assert bins[-1].score == pytest.approx(0.975)
    assert all(each.right_low <= each.right <= each.right_high for each in bins)


def test_the_calibration_error_weighs_bins_by_their_rows():
    scores = np.array([0.25, 0.25, 0.25, 0.85])
    bins = calibration_bins(scores, np.array([True, False, False, False]))
    assert calibration_error(bins) == pytest.approx((3 * abs(0.25 - 1 / 3) + 0.85) / 4)
    assert math.isnan(calibration_error(()))


def test_a_perfect_judge_has_no_error_and_no_brier_score():
    rights = np.array([True, False, True])
    assert calibration_error(calibration_bins(rights.astype(float), rights)) == 0.0
    assert brier(rights.astype(float), rights) == 0.0
    assert brier(np.full(3, 0.5), rights) == 0.25


def test_a_score_at_the_threshold_counts_as_taken_for_right():
    found = confusion(np.array([0.5, 0.49, 0.5, 0.1]), np.array([True, True, False, False]), 0.5)
    assert found == Confusion(1, 1, 1, 1)
    assert found.rows == 4


def test_measures_of_a_confusion():
    found = Confusion(true_positives=20, false_positives=5, false_negatives=10, true_negatives=15)
    assert found.accuracy == pytest.approx(0.7)
    assert found.precision == pytest.approx(0.8)
    assert found.recall == pytest.approx(2 / 3)
    assert found.false_positive_rate == pytest.approx(0.25)
    assert found.f1 == pytest.approx(2 * 0.8 * (2 / 3) / (0.8 + 2 / 3))
    assert found.kappa == pytest.approx(0.4)  # Cohen's own example of 50 pairs


def test_what_cannot_be_divided_is_not_a_number_and_no_error():
    found = Confusion(0, 0, 0, 4)
    assert found.accuracy == 1.0
    assert math.isnan(found.precision)
    assert math.isnan(found.kappa)
