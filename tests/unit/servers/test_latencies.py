import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.servers.latencies import Latencies

SECONDS = st.floats(0, 1000)


def of(seconds, **options):
    latencies = Latencies(**options)
    for each in seconds:
        latencies.add(each)
    return latencies


def test_before_the_first_answer_all_is_zero():
    assert (len(Latencies()), Latencies().quantile(0.5), Latencies().longest_of(8)) == (0, 0.0, 0.0)


def test_the_first_answer_is_all_that_is_known():
    latencies = of([3.0])
    assert (len(latencies), latencies.quantile(0.0), latencies.quantile(1.0), latencies.longest_of(64)) == (1, 3, 3, 3)


@pytest.mark.parametrize(("share", "seconds"), [(0.0, 1), (0.5, 51), (0.9, 91), (0.98, 99), (0.99, 100), (1.0, 100)])
def test_a_quantile_is_the_time_within_which_the_share_was_answered(share, seconds):
    assert of(range(100, 0, -1)).quantile(share) == seconds


@given(st.lists(SECONDS, min_size=1, max_size=40), st.floats(0, 1))
def test_a_share_is_answered_within_its_quantile_and_no_more_than_that_before_it(seconds, share):
    quantile = of(seconds).quantile(share)
    assert sum(each <= quantile for each in seconds) >= share * len(seconds)
    assert sum(each < quantile for each in seconds) <= share * len(seconds)


@given(st.lists(SECONDS, min_size=1, max_size=5), st.integers(1, 5))
def test_the_longest_of_some_is_the_mean_of_the_longest_over_all_ways_to_draw_them(seconds, count):
    by_hand = statistics.fmean(max(draw) for draw in itertools.product(seconds, repeat=count))
    assert of(seconds).longest_of(count) == pytest.approx(by_hand)


@given(st.lists(SECONDS, min_size=1, max_size=40))
def test_the_longest_of_one_is_the_mean_and_the_longest_of_very_many_the_longest(seconds):
    latencies = of(seconds)
    assert latencies.longest_of(1) == pytest.approx(statistics.fmean(seconds))
    assert latencies.longest_of(100_000) == pytest.approx(max(seconds))


def test_only_the_newest_count():
    latencies = of([9.0] * 100 + [1.0] * 32, keep=32)
    assert (len(latencies), latencies.quantile(1.0), latencies.longest_of(64)) == (32, 1, 1)


@given(st.integers(0, 300))
def test_it_is_never_more_than_sixteen_answers_behind(seen):
    latencies = of([1.0] * seen)
    latencies.quantile(0.5)
    for _ in range(16):
        latencies.add(9.0)
    assert latencies.quantile(1.0) == 9
    assert latencies.longest_of(1) == pytest.approx((seen + 16 * 9) / (seen + 16))


def test_what_is_known_of_the_first_few_answers_is_up_to_date():
    latencies, known = Latencies(), []
    for seconds in (1.0, 2.0, 3.0, 4.0):
        latencies.add(seconds)
        known.append(latencies.quantile(1.0))
    assert known == [1, 2, 3, 4]
