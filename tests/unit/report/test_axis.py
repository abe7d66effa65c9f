"""Axes: round ticks within their ends, and places between 0 and 1."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llm_judge_remote.report.plots.axis import category_axis, linear_axis, log_axis, share_axis, time_axis, unit_axis

NUMBERS = st.floats(-1e9, 1e9)


@given(NUMBERS, st.floats(1e-6, 1e9))
def test_a_linear_axis_holds_its_range_with_few_ticks(low, size):
    assume(size > 1e-6 * abs(low))
    axis = linear_axis("x", low, low + size)
    slack = 1e-6 * (axis.high - axis.low)
    assert axis.low - slack <= low < low + size <= axis.high + slack
    assert 2 <= len(axis.ticks) <= 9
    assert len({tick.text for tick in axis.ticks}) == len(axis.ticks)


@given(st.floats(1e-6, 1e6), st.floats(1.01, 1e6))
def test_a_log_axis_holds_its_range_and_ends_at_ticks(low, factor):
    axis = log_axis("x", low, low * factor)
    assert axis.low <= low * (1 + 1e-6)
    assert axis.high >= low * factor * (1 - 1e-6)
    assert (axis.ticks[0].value, axis.ticks[-1].value) == (axis.low, axis.high)


def test_the_middle_of_a_log_axis_is_the_geometric_one():
    axis = log_axis("x", 1, 100)
    assert axis.place(10) == pytest.approx(0.5)
    assert (axis.place(0), axis.place(1e9)) == (0.0, 1.0)


@pytest.mark.parametrize("seconds", [10, 3_000, 50_000, 400_000, 4e6, 1e8])
def test_a_time_axis_has_a_few_ticks_within_its_ends(seconds):
    axis = time_axis("t", 1.7e9, 1.7e9 + seconds)
    assert 2 <= len(axis.ticks) <= 7
    assert all(axis.low <= tick.value <= axis.high for tick in axis.ticks)


def test_times_are_written_as_fine_as_their_range_needs():
    def texts(seconds):
        return [tick.text for tick in time_axis("t", 1.7e9, 1.7e9 + seconds).ticks]

    assert texts(20)[0].count(":") == 2
    assert texts(7_000)[0] == "22:30"
    assert texts(86_400 * 20)[0].startswith("21 Nov") or texts(86_400 * 20)[0][2:] == " Nov"


@given(st.floats(0, 1))
def test_shares_end_at_a_round_percentage_of_at_most_100(high):
    axis = share_axis("x", high)
    assert high <= axis.high + 1e-9 <= 1.0 + 2e-9
    assert all(tick.text.endswith("%") for tick in axis.ticks)


def test_the_first_category_stands_at_the_top():
    axis = category_axis("x", ["a", "b", "c"])
    assert [(tick.text, axis.place(tick.value)) for tick in axis.ticks] == [
        ("a", pytest.approx(5 / 6)),
        ("b", pytest.approx(0.5)),
        ("c", pytest.approx(1 / 6)),
    ]


def test_a_range_of_nothing_is_an_axis_all_the_same():
    assert linear_axis("x", 3, 3).high > 3
    assert time_axis("x", 3, 3).high > 3
    assert unit_axis("x").ticks[-1].text == "1.0"
