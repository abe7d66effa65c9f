"""Columns as arrays: lenient, and of bounded size."""

import math
from datetime import date, datetime, timezone
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from llm_judge_remote.report.values import NO_LABEL, Names, hashes, labels, numbers, times


def test_numbers_are_taken_from_whatever_holds_them():
    assert numbers(pa.array([1, None, 3])).tolist() == pytest.approx([1.0, math.nan, 3.0], nan_ok=True)
    assert numbers(pa.array([True, False])).tolist() == [1.0, 0.0]
    assert numbers(pa.array([Decimal("0.25")])).tolist() == [0.25]
    assert numbers(pa.array(["0.5", "none", None])).tolist() == pytest.approx([0.5, math.nan, math.nan], nan_ok=True)
    assert np.isnan(numbers(pa.array([{"a": 1}]))).all()
    assert np.isnan(numbers(pa.array([None, None]))).all()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([True, False, None], [1, 0, NO_LABEL]),
        ([1, 0, None], [1, 0, NO_LABEL]),
        ([0.5, 0.49, math.nan], [1, 0, NO_LABEL]),
        (["yes", " WRONG ", "maybe", None, "1", "0.2"], [1, 0, NO_LABEL, NO_LABEL, 1, 0]),
    ],
)
def test_labels_are_right_wrong_or_unknown(given, expected):
    assert labels(pa.array(given)).tolist() == expected


def test_times_are_seconds_since_1970_whatever_they_are_told_in():
    moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
    seconds = moment.timestamp()
    assert times(pa.array([moment])).tolist() == [seconds]
    assert times(pa.array([moment.replace(tzinfo=None)])).tolist() == [seconds]
    assert (
        times(pa.array([moment.isoformat(), "2026-03-04T05:06:07Z", "2026-03-04 05:06:07"])).tolist() == [seconds] * 3
    )
    assert times(pa.array([date(2026, 3, 4)])).tolist() == [datetime(2026, 3, 4, tzinfo=timezone.utc).timestamp()]
    for scale in (1, 10**3, 10**6, 10**9):
        assert times(pa.array([int(seconds) * scale])).tolist() == pytest.approx([seconds])
    assert times(pa.array([17, 18])).tolist() == [17.0, 18.0]  # steps
    assert np.isnan(times(pa.array(["yesterday"]))).all()


def test_equal_values_have_equal_hashes_and_nulls_are_told():
    for given in (["a", "b", "a", None], [1, 2, 1, None], [["a"], ["b"], ["a"], None]):
        found, there = hashes(pa.array(given))
        assert (found[0] == found[2], found[0] == found[1]) == (True, False)
        assert there.tolist() == [True, True, True, False]


def test_names_keep_their_numbers_from_batch_to_batch():
    names = Names()
    first = names.codes(pa.array(["x", "y", None]))
    second = names.codes(pa.array(["y", "z"]))
    assert names.names == ["x", "y", "", "z"]
    assert (first.tolist(), second.tolist()) == ([0, 1, 2], [1, 3])
    assert names.none(2).tolist() == [2, 2]


def test_more_kinds_than_are_kept_apart_become_one():
    names = Names()
    codes = names.codes(pa.array([f"name {number}" for number in range(20_000)]))
    assert len(names.names) <= 10_001
    assert names.names[codes[-1]] == "(others)"
    assert names.codes(pa.array(["yet another"])).tolist() == [codes[-1]]


def test_texts_of_one_kind_share_the_first_one_s_name():
    names = Names(lambda text: text.rstrip("0123456789"))
    assert names.codes(pa.array(["after 3", "after 4", "never"])).tolist() == [0, 0, 1]
    assert names.names == ["after 3", "never"]
