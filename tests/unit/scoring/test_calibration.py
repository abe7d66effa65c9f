import math
import random
import statistics
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.scoring import calibration as module
from llm_judge_remote.scoring.calibration import Calibration

SHARE = st.floats(0, 1)
# Few different values, so that rows share a similarity, and scores that a judge really gives.
ROWS = st.lists(
    st.tuples(st.one_of(SHARE, st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.one_of(SHARE, st.sampled_from([0.0, 1.0]))),
    min_size=2,
    max_size=60,
)


def fitted(rows, **options):
    calibration = Calibration(**{"keep": 512, "fewest": 1, **options})
    for row in rows:
        calibration.add(*row)
    return calibration


def least_squares(rows):
    """The isotonic fit at each similarity, by its minimax formula (Barlow et al., 1972): slow, and another way."""
    values = sorted({lexical for lexical, _ in rows})

    def mean(low, high):
        return statistics.fmean(judged for lexical, judged in rows if low <= lexical <= high)

    return {
        at: max(min(mean(low, high) for high in values if high >= at) for low in values if low <= at) for at in values
    }


@given(ROWS, st.lists(SHARE, max_size=20))
def test_it_is_monotone_and_in_range(rows, others):
    calibration = fitted(rows)
    at = sorted({*others, *(lexical for lexical, _ in rows), -0.5, 1.5})
    scores = [calibration(lexical) for lexical in at]
    if len({lexical for lexical, _ in rows}) < 2:
        assert set(scores) == {None}
    else:
        assert scores == sorted(scores)
        assert min(judged for _, judged in rows) - 1e-12 <= scores[0] <= scores[-1]
        assert scores[-1] <= max(judged for _, judged in rows) + 1e-12
        assert scores[0] >= 0
        assert scores[-1] <= 1


@given(ROWS.filter(lambda rows: len({lexical for lexical, _ in rows}) > 1))
def test_it_keeps_the_mean_of_the_judged_scores(rows):
    calibration = fitted(rows)
    given_back = [calibration(lexical) for lexical, _ in rows]
    assert statistics.fmean(given_back) == pytest.approx(statistics.fmean(judged for _, judged in rows), abs=1e-9)


@given(ROWS.filter(lambda rows: len({lexical for lexical, _ in rows}) > 1))
def test_it_is_the_isotonic_fit_of_least_squares(rows):
    calibration = fitted(rows)
    for lexical, score in least_squares(rows).items():
        assert calibration(lexical) == pytest.approx(score, abs=1e-9)


def test_it_is_linear_between_blocks_flat_within_and_constant_beyond():
    calibration = fitted([(0.2, 0.0), (0.4, 0.6), (0.6, 0.2), (0.8, 1.0)])  # the two in the middle are pooled
    assert [calibration(lexical) for lexical in (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)] == pytest.approx(
        [0.0, 0.0, 0.4, 0.4, 0.4, 1.0, 1.0]
    )
    assert calibration(0.3) == pytest.approx(0.2)
    assert calibration(0.7) == pytest.approx(0.7)


def test_rows_of_one_similarity_count_as_their_mean_in_any_order():
    rows = [(0.1, 0.2), (0.3, 0.0), (0.3, 1.0), (0.3, 0.5)]
    for order in (rows, rows[::-1], rows[2:] + rows[:2]):
        assert fitted(order)(0.3) == pytest.approx(0.5)
        assert fitted(order)(0.1) == pytest.approx(0.2)


def test_it_says_nothing_before_there_are_enough_rows():
    calibration = Calibration()
    for number in range(47):
        calibration.add(number / 100, 0.5)
        assert calibration(0.2) is None
    calibration.add(0.9, 0.7)
    assert calibration(0.2) == 0.5


def test_it_says_nothing_while_all_rows_are_alike():
    calibration = fitted([(0.5, 0.1)] * 100)
    assert calibration(0.5) is None
    for _ in range(10):
        calibration.add(0.6, 0.9)
    assert calibration(0.6) == pytest.approx(0.9)


def test_old_rows_are_forgotten():
    calibration = fitted([(0.0, 0.0), (1.0, 0.0)] * 100, keep=64)
    assert calibration(1.0) == 0.0
    for _ in range(32):
        calibration.add(0.0, 0.0)
        calibration.add(1.0, 1.0)
    assert calibration(1.0) == 1.0
    assert len(calibration._rows) == 64


def test_it_is_not_fitted_anew_for_each_row(monkeypatch):
    fits = []
    calibration = fitted([(number / 512, number / 512) for number in range(512)])
    isotonic = module._isotonic
    monkeypatch.setattr(module, "_isotonic", lambda rows: fits.append(1) or isotonic(rows))
    for number in range(320):
        calibration(0.5)
        calibration.add(number / 320, 1.0)
    assert 5 <= len(fits) <= 12


def test_rows_of_one_similarity_are_not_gone_through_for_each_question(monkeypatch):
    calibration = fitted([(0.5, 0.5)] * 64)
    assert calibration(0.5) is None
    monkeypatch.setattr(module, "_isotonic", lambda rows: pytest.fail("once more"))
    assert calibration(0.5) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_passed_over(value):
    calibration = fitted([(0.0, 0.0), (1.0, 1.0), (value, 0.0), (0.5, value)])
    assert calibration(0.5) == 0.5
    assert calibration(value) is None


@pytest.mark.parametrize(("keep", "fewest"), [(0, 0), (10, 0), (10, 11)])
def test_bounds_that_cannot_be_are_refused(keep, fewest):
    with pytest.raises(ValueError, match="1 <= fewest <= keep"):
        Calibration(keep, fewest)


JUDGES = {
    "strict": lambda lexical: lexical**3,
    "lenient": math.sqrt,
    "a step": lambda lexical: 1 / (1 + math.exp(-20 * (lexical - 0.7))),
    "a narrow scale": lambda lexical: 0.05 + 0.2 * lexical,
}


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
@pytest.mark.parametrize("seed", range(5))
def test_an_outage_shifts_rewards_by_no_more_than_half_of_what_raw_similarity_does(judge, seed):
    draw = random.Random(seed)
    rows = []
    for _ in range(1000):
        lexical = draw.betavariate(4, 3)
        rows.append((lexical, min(max(judge(lexical) + draw.gauss(0, 0.03), 0.0), 1.0)))
    calibration = fitted(rows[:200], fewest=48)
    lost = rows[200:]
    raw = statistics.fmean(abs(lexical - judged) for lexical, judged in lost)
    calibrated = statistics.fmean(abs(calibration(lexical) - judged) for lexical, judged in lost)
    assert calibrated <= 0.5 * raw


@pytest.mark.parametrize("seed", range(5))
def test_of_a_judge_that_says_right_or_wrong_the_mean_is_kept_through_an_outage(seed):
    draw = random.Random(seed)
    rows = []
    for _ in range(2000):
        lexical = draw.betavariate(4, 3)
        rows.append((lexical, float(draw.random() < lexical**3)))
    calibration = fitted(rows[:400])
    lost = rows[400:]
    judged = statistics.fmean(judged for _, judged in lost)
    raw = statistics.fmean(lexical for lexical, _ in lost)
    assert abs(statistics.fmean(calibration(lexical) for lexical, _ in lost) - judged) <= 0.3 * abs(raw - judged)


def test_threads_may_add_and_ask_at_once():
    calibration = Calibration()
    wrong = []

    def work(seed):
        draw = random.Random(seed)
        for _ in range(2000):
            lexical = draw.random()
            calibration.add(lexical, lexical / 2)
            score = calibration(lexical)
            if score is not None and not 0 <= score <= 0.5:
                wrong.append(score)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert calibration(0.5) == pytest.approx(0.25, abs=0.02)


def test_fitting_and_asking_are_cheap():
    # A fit takes 0.3 ms and a question a microsecond; the bounds leave room for a busy machine.
    rows = [(random.Random(number).random(), number % 2) for number in range(512)]
    began = time.process_time()
    for _ in range(20):
        fitted(rows)(0.5)
    assert time.process_time() - began < 2
    calibration = fitted(rows)
    began = time.process_time()
    for _ in range(10_000):
        calibration(0.5)
    assert time.process_time() - began < 2
