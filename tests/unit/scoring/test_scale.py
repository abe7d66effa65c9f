import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.scoring.scale import Options, number_options
from llm_judge_remote.scoring.verdict import ScoreRange

DECIMAL = r"0(\.[0-9]{1,2})?|1(\.0{1,2})?"


def test_the_numerals_of_a_range_are_those_that_the_verdict_pattern_allows():
    assert dict(number_options(0, 1, "[01]")) == {"0": 0.0, "1": 1.0}
    assert dict(number_options(0, 9, "[0-9]")) == {str(digit): pytest.approx(digit / 9) for digit in range(10)}
    numerals = number_options(0, 1, DECIMAL)
    assert len(numerals) == 2 + 11 + 101
    assert (numerals["0.85"], numerals["0.8"], numerals["1.00"], numerals["0"]) == (0.85, 0.8, 1.0, 0.0)
    assert "1.01" not in numerals


def test_without_a_pattern_all_numerals_of_the_range_count():
    numerals = number_options(-1, 1)
    assert {"-1", "-0.5", "-0.25", "0", "0.00", "1.0"} <= set(numerals)
    assert "-0.0" not in numerals
    assert numerals["-0.5"] == 0.25
    assert set(number_options(0.3, 0.5, r".\..")) == {"0.3", "0.4", "0.5"}


@pytest.mark.parametrize(
    ("high", "decimals"), [(10, 2), (100, 2), (101, 1), (1_000, 1), (1_001, 0), (10_000, 0), (10_001, None)]
)
def test_a_wide_range_has_numerals_of_fewer_decimals(high, decimals):
    numerals = number_options(0, high)
    assert len(numerals) < 12_000
    most = max((len(numeral.partition(".")[2]) for numeral in numerals), default=None)
    assert most == decimals


@pytest.mark.parametrize("bounds", [(0, 1e308), (1e300, 1.0000001e300), (1e17, 1e17 + 64), (0, 1e-300), (-1e-9, 1e-9)])
def test_odd_ranges_have_numerals_or_none_at_once(bounds):
    before = time.process_time()
    assert all(0.0 <= score <= 1.0 for score in number_options(*bounds).values())
    assert time.process_time() - before < 5


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="lower first"):
        number_options(1, 0)
    with pytest.raises(re.error):
        number_options(0, 1, "(")


def test_numerals_are_made_once():
    assert number_options(0, 1, DECIMAL) is number_options(0.0, 1.0, DECIMAL)


@given(st.floats(-200, 200), st.floats(0.01, 200))
def test_every_numeral_has_its_place_in_the_range(low, width):
    high = low + width
    scale = ScoreRange(low, high)
    for numeral, score in number_options(low, high).items():
        assert scale.normalise(float(numeral)) == score


YES_NO = Options({"Yes": 1.0, "No": 0.0})
TEN = number_options(0, 10)
ONE_TO_TEN = number_options(1, 10, "[1-9]|10")
ODD = Options({"No": 0.0, "Not sure": 0.5, "Sure": 1.0, "SURE": 0.0})


@pytest.mark.parametrize(
    ("options", "text", "score"),
    [
        (YES_NO, "Yes", 1.0),
        (YES_NO, " yES", 1.0),
        (YES_NO, "ye", 1.0),
        (YES_NO, "y", None),
        (YES_NO, "n", None),
        (YES_NO, "no.", 0.0),
        (YES_NO, "No\n", 0.0),
        (YES_NO, "no<|im_end|>", 0.0),
        (YES_NO, "Not", None),
        (YES_NO, "Yes/", None),
        (YES_NO, "Yes?", None),
        (YES_NO, "", None),
        (YES_NO, " ", None),
        (YES_NO, "\ufffd", None),
        (TEN, "0.8", pytest.approx((0.08 + sum(range(80, 90)) / 1000) / 11)),
        (TEN, "7", pytest.approx((0.7 + sum(range(70, 80)) / 100 + sum(range(700, 800)) / 1000) / 111)),
        (TEN, "1", None),  # 1 or 10
        (TEN, "1\n", 0.1),
        (TEN, "1.", pytest.approx((sum(range(10, 20)) / 100 + sum(range(100, 200)) / 1000) / 110)),
        (TEN, "10", 1.0),
        (TEN, "11", None),
        (TEN, "8/", None),
        (TEN, "8%", None),
        (TEN, "8,", None),
        (TEN, "-", None),
        (ONE_TO_TEN, "7", pytest.approx(6 / 9)),
        (ONE_TO_TEN, "1", None),
        (ONE_TO_TEN, "1.", None),
        (ONE_TO_TEN, "1 ", 0.0),
        (ODD, "no", None),  # No or Not sure
        (ODD, "no ", 0.0),
        (ODD, "not", 0.5),
        (ODD, "sure", None),
    ],
)
def test_a_beginning_is_resolved_when_all_that_it_can_become_is_near(options, text, score):
    assert options.resolve(text) == score


def test_an_option_that_begins_a_longer_one_goes_on():
    assert ONE_TO_TEN.goes_on("1")
    assert not ONE_TO_TEN.goes_on("10")
    assert not ONE_TO_TEN.goes_on("7")
    assert TEN.goes_on("0.8")
    assert not TEN.goes_on("0.85")
    assert ODD.goes_on("NO")
    assert not YES_NO.goes_on("x")


@given(st.dictionaries(st.text(max_size=4), st.floats(0.0, 1.0), max_size=5), st.text(max_size=6))
def test_any_beginning_is_resolved_to_a_score_between_its_options_or_to_none(scores, text):
    score = Options(scores).resolve(text)
    assert score is None or min(scores.values()) - 1e-12 <= score <= max(scores.values()) + 1e-12
