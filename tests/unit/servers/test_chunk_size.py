import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.servers.chunk_size import ChunkSize
from llm_judge_remote.servers.latencies import Latencies

# CPU seconds that this process spends on a request with one conversation, and on each further one.
REQUEST, CONVERSATION = 0.0005, 0.00003


class Measured(ChunkSize):
    """A chunk size that has seen so many requests, each answered by a server with these latencies."""

    def __init__(self, latencies, requests=64, request=REQUEST, conversation=CONVERSATION, chunk=8):
        known = Latencies()
        super().__init__(known)
        for seconds in latencies:
            known.add(seconds)
        self.chunk, self.chunk_cost = chunk, request + (chunk - 1) * conversation
        for _ in range(requests):
            self.ended(1, request, failed=False)
            self.ended(chunk, self.chunk_cost, failed=False)

    def meets(self, *, failed, times=32):
        for _ in range(times):
            self.ended(self.chunk, self.chunk_cost, failed=failed)


def lognormal(count=256, sigma=0.5):
    """Seconds around 1, as replies of all lengths take."""
    rng = random.Random(1)
    return [rng.lognormvariate(-(sigma**2) / 2, sigma) for _ in range(count)]


def test_it_is_one_until_something_was_measured():
    size = ChunkSize(Latencies())
    assert size.best(256, 256, 1) == 1
    for _ in range(100):
        size.ended(1, REQUEST, failed=False)
    assert size.best(256, 256, 1) == 1  # no latency of a single request is known


def test_a_few_answers_are_enough_to_begin_with():
    assert Measured([0.002] * 4, requests=2).best(256, 256, 1) > 1


def test_it_stays_one_until_as_many_have_answered_as_are_under_way():
    size = Measured([0.002] * 40)  # of a hundred: the quickest ones
    assert [size.best(256, 256, under_way) for under_way in (100, 41, 40)] == [1, 1, 64]


def test_a_few_hundred_answers_are_enough_however_many_are_under_way():
    assert Measured([0.002] * 256).best(256, 256, 1000) == 64


def test_it_is_as_large_as_may_be_where_requests_cost_this_process_more_than_the_server_takes():
    assert Measured([0.002] * 256).best(256, 256, 1) == 64


def test_it_stays_one_where_replies_of_all_lengths_take_long_and_requests_cost_little():
    assert Measured(lognormal()).best(256, 256, 1) == 1


@pytest.mark.parametrize("seconds", [0.5, 1.0, 10.0])
def test_it_rises_moderately_where_all_take_the_same_time(seconds):
    assert 2 <= Measured([seconds] * 256).best(256, 256, 1) <= 16


def test_it_is_the_smaller_the_more_the_latencies_differ():
    sizes = [Measured(lognormal(sigma=sigma)).best(256, 256, 1) for sigma in (0.0, 0.02, 0.1, 0.5)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] == 1


def test_it_is_the_larger_the_more_a_request_costs_this_process():
    sizes = [Measured(lognormal(), request=cost).best(256, 256, 1) for cost in (0.0001, 0.005, 0.05)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_what_a_conversation_costs_in_any_chunk_is_no_reason_for_large_ones():
    cheap = Measured(lognormal(sigma=0.2), request=0.003, conversation=0.0001).best(256, 256, 1)
    dear = Measured(lognormal(sigma=0.2), request=0.003, conversation=0.0029).best(256, 256, 1)
    assert dear < cheap


def test_it_shrinks_when_chunks_fail_and_comes_back_when_they_do_not():
    size = Measured([0.5] * 256)
    before = size.best(256, 256, 1)
    size.meets(failed=True)
    failing = size.best(256, 256, 1)
    size.meets(failed=False, times=200)
    assert failing < before
    assert size.best(256, 256, 1) == before


def test_a_request_that_failed_says_nothing_about_what_requests_cost():
    size = Measured([0.002] * 256)
    before = size._alone_s, size._chunk_s
    size.ended(1, 9.0, failed=True)
    size.ended(8, 9.0, failed=True)
    assert (size._alone_s, size._chunk_s) == before


@pytest.mark.parametrize(("parallel", "size"), [(256, 64), (128, 32), (100, 16), (8, 2), (7, 1), (1, 1)])
def test_it_is_never_above_a_quarter_of_what_may_be_in_flight(parallel, size):
    assert Measured([0.002] * 256).best(256, parallel, 1) == size


def test_it_follows_at_once_when_less_may_be_in_flight():
    size = Measured([0.002] * 256)
    assert [size.best(256, parallel, 1) for parallel in (256, 40, 8, 256)] == [64, 10, 2, 64]


def test_the_limit_holds():
    assert Measured([0.002] * 256).best(3, 256, 1) == 3


@given(
    st.lists(st.floats(0, 100), max_size=64),
    st.lists(st.tuples(st.integers(1, 64), st.floats(0, 1), st.booleans()), max_size=80),
    st.integers(1, 300),
    st.floats(1, 300),
    st.integers(0, 300),
)
def test_whatever_was_measured_it_is_from_one_to_what_is_allowed(seconds, ended, most, parallel, requests):
    latencies = Latencies()
    size = ChunkSize(latencies)
    for each in seconds:
        latencies.add(each)
    for count, cpu_seconds, failed in ended:
        size.ended(count, cpu_seconds, failed=failed)
        assert 1 <= size.best(most, parallel, requests) <= max(min(most, parallel / 4), 1)
