import heapq
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.servers.limit import Limit


def fallen(to, top=10_000):
    """A limit that has come down from the top by timeouts, at the beginning of a round."""
    limit = Limit(2 * to)
    limit.timed_out(2 * to)
    assert limit.value == to
    limit.allow(top)
    return limit


def a_round(limit):
    """By how much it grows while as many are answered as it allows."""
    before = limit.value
    limit.answered(int(before))
    return limit.value / before - 1


def turn_away(limit, *besides):
    for beside in besides:
        limit.rejected(1, beside)


def test_it_begins_at_the_top():
    assert Limit(256).value == 256


def test_one_that_is_turned_away_costs_little():
    limit = Limit(256)
    turn_away(limit, 100)
    assert 250 <= limit.value < 256


def test_it_falls_to_what_the_server_keeps_when_several_are_turned_away():
    limit = Limit(256)
    turn_away(limit, *[64] * 8)
    assert 50 <= limit.value <= 64


def test_a_burst_of_which_the_server_keeps_some_does_not_bring_it_far_below_that():
    limit = Limit(256)
    turn_away(limit, *range(64, 256))
    assert 32 <= limit.value <= 72


def test_one_that_is_turned_away_never_raises_it():
    limit = Limit(256)
    turn_away(limit, *[64] * 8)
    before = limit.value
    turn_away(limit, 200)
    assert limit.value <= before


def test_it_never_falls_below_one():
    limit = Limit(16)
    turn_away(limit, *[0] * 100)
    assert limit.value == 1
    for _ in range(100):
        limit.timed_out(8)
    assert limit.value == 1


@pytest.mark.parametrize(("bad", "left"), [(0, 100), (5, 100), (10, 100), (20, 90), (50, 75), (100, 50)])
def test_a_round_costs_half_the_share_of_what_went_wrong_and_up_to_a_tenth_costs_nothing(bad, left):
    limit = Limit(100)
    limit.answered(100 - bad)
    limit.timed_out(bad)
    assert limit.value == pytest.approx(left)


def test_faults_of_several_rounds_are_not_added_up():
    limit = Limit(100)
    for _ in range(50):
        limit.timed_out(5)
        limit.answered(95)
    assert limit.value == 100


def test_a_storm_halves_it_again_and_again():
    limit = Limit(64)
    seen = []
    for _ in range(4):
        limit.timed_out(int(limit.value))
        seen.append(limit.value)
    assert seen == [32, 16, 8, 4]


def test_it_grows_slowly_at_first_and_faster_after_each_good_round_until_it_doubles():
    limit = fallen(to=160)
    growth = [a_round(limit) for _ in range(7)]
    assert growth[0] < 0.07
    assert all(now > 1.5 * before or now > 0.9 for before, now in itertools.pairwise(growth))
    assert growth[-2:] == pytest.approx([1, 1], rel=0.01)


def test_a_small_one_grows_by_less_than_one_at_first():
    limit = fallen(to=8)
    limit.answered(8)
    assert 8 < limit.value < 9


def test_it_never_grows_above_the_top():
    limit = fallen(to=50, top=100)
    limit.answered(100_000)
    assert limit.value == 100


def test_one_that_is_turned_away_sets_its_growth_back():
    limit = fallen(to=160)
    for _ in range(4):
        a_round(limit)
    turn_away(limit, 160)
    assert 0 < a_round(limit) < 0.07


def test_a_storm_sets_its_growth_back():
    limit = fallen(to=160)
    for _ in range(4):
        a_round(limit)
    limit.timed_out(int(limit.value))
    assert 0 < a_round(limit) < 0.07


def test_a_round_with_a_few_faults_neither_speeds_its_growth_up_nor_slows_it_down():
    limit = fallen(to=160)
    first, before = a_round(limit), limit.value
    limit.timed_out(5)
    limit.answered(int(before) - 5)
    second = limit.value / before - 1
    assert second > 1.5 * first
    assert a_round(limit) == pytest.approx(second, rel=0.1)


def test_allowing_more_lifts_a_limit_that_is_at_the_top():
    limit = Limit(10)
    limit.allow(40)
    assert limit.value == 40


def test_allowing_more_leaves_a_limit_that_has_fallen_where_it_is_and_lets_it_grow_further():
    limit = Limit(10)
    limit.timed_out(10)
    limit.allow(40)
    assert limit.value == 5
    limit.answered(10_000)
    assert limit.value == 40


def test_allowing_less_changes_nothing_for_those_who_were_allowed_more():
    limit = Limit(40)
    limit.allow(10)
    assert limit.value == 40
    limit.timed_out(40)
    limit.answered(10_000)
    assert limit.value == 40


EVENTS = st.one_of(
    st.tuples(st.just("answered"), st.integers(0, 300)),
    st.tuples(st.just("rejected"), st.integers(0, 300), st.integers(0, 300)),
    st.tuples(st.just("timed_out"), st.integers(0, 300)),
)


@given(st.integers(1, 300), st.lists(EVENTS, max_size=60))
def test_whatever_happens_it_stays_between_one_and_the_top(top, events):
    limit = Limit(top)
    for name, *amounts in events:
        getattr(limit, name)(*amounts)
        assert 1 <= limit.value <= top


@pytest.mark.parametrize("slots", [16, 64, 200])
def test_a_server_that_turns_away_what_is_beyond_its_slots_is_kept_full_with_few_rejections(slots):
    """A server's life, simulated: log-normal service times around 1 s, and rejections after 10 ms."""
    rng, order = random.Random(slots), itertools.count()
    limit, ends, now = Limit(256), [], 0.0
    kept = in_flight = answered = rejected = 0
    busy = 0.0
    while answered < 50 * slots:
        while in_flight < int(limit.value):
            is_kept = kept < slots
            kept += is_kept
            seconds = rng.lognormvariate(-0.125, 0.5) if is_kept else 0.01
            heapq.heappush(ends, (now + seconds, next(order), is_kept, in_flight))
            in_flight += 1
        end, _, was_kept, beside = heapq.heappop(ends)
        busy += kept * (end - now)
        now = end
        in_flight -= 1
        if was_kept:
            kept -= 1
            answered += 1
            limit.answered(1)
        else:
            rejected += 1
            limit.rejected(1, beside)
    assert busy / now > 0.95 * slots
    assert rejected < 0.1 * answered + 256
