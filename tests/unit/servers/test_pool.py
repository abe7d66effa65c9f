import threading
import time

import pytest

from llm_judge_remote import ServerUnavailableError
from llm_judge_remote.servers.pool import ServerPool


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def pool_of(*addresses, clock, grace=5.0):
    return ServerPool(addresses, grace, clock=clock)


def take_down(pool, times=5):
    for _ in range(times):
        pool.failed(pool.acquire(since=0), "refused")


def test_a_request_goes_to_the_server_with_the_least_in_flight(clock):
    pool = pool_of("a", "b", clock=clock)
    taken = [pool.acquire(since=0).address for _ in range(4)]
    assert sorted(taken) == ["a", "a", "b", "b"]


def test_a_retry_goes_to_a_server_that_has_not_failed_it(clock):
    pool = pool_of("a", "b", clock=clock)
    assert pool.acquire(since=0, avoid=["a"]).address == "b"
    assert pool.acquire(since=0, avoid=["a"]).address == "b"
    assert pool.acquire(since=0, avoid=["a", "b"]).address == "a"


def test_five_failures_in_a_row_take_a_server_out_and_others_are_used(clock):
    pool = pool_of("a", "b", clock=clock)
    for _ in range(5):
        pool.failed(pool.acquire(since=0, avoid=["b"]), "refused")
    assert {pool.acquire(since=0).address for _ in range(4)} == {"b"}


def test_a_success_in_between_starts_the_count_again(clock):
    pool = pool_of("a", clock=clock, grace=0)
    take_down(pool, 4)
    pool.answered(pool.acquire(since=0))
    take_down(pool, 4)
    assert pool.acquire(since=clock.now).address == "a"


def test_a_server_that_is_down_gets_one_trial_at_a_time_and_a_success_ends_it(clock):
    pool = pool_of("a", "b", clock=clock)
    for _ in range(5):
        pool.failed(pool.acquire(since=0, avoid=["b"]), "refused")
    clock.now += 1
    trial = pool.acquire(since=clock.now)
    assert trial.address == "a"
    assert pool.acquire(since=clock.now).address == "b"
    pool.answered(trial)
    assert {pool.acquire(since=clock.now).address for _ in range(3)} == {"a", "b"}


def test_trials_come_at_doubling_intervals_up_to_two_seconds(clock):
    pool = pool_of("a", clock=clock, grace=1000)
    take_down(pool)
    pauses = []
    for _ in range(6):
        began = clock.now
        while True:
            clock.now += 0.0625
            due = pool._servers[0].trial_due(clock.now)
            if due <= 0:
                break
        pauses.append(clock.now - began)
        pool.failed(pool.acquire(since=clock.now), "refused")
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


def test_an_abandoned_trial_makes_room_for_the_next(clock):
    pool = pool_of("a", clock=clock)
    take_down(pool)
    clock.now += 1
    pool.abandoned(pool.acquire(since=clock.now))
    assert pool.acquire(since=clock.now).address == "a"


def test_a_call_that_lived_through_the_outage_gives_up_when_the_grace_is_over(clock):
    pool = pool_of("a", clock=clock)
    take_down(pool)
    clock.now += 1
    held = pool.acquire(since=100.0)  # the trial, under way
    clock.now += 4.5
    with pytest.raises(ServerUnavailableError, match="no judge server answers; a: refused") as caught:
        pool.acquire(since=100.0)
    assert not caught.value.sent
    pool.abandoned(held)


def test_a_new_call_in_an_old_outage_waits_for_one_trial_only(clock):
    pool = pool_of("a", clock=clock)
    take_down(pool)
    clock.now += 60
    trial = pool.acquire(since=clock.now)
    began = clock.now
    clock.now += 0.01
    pool.failed(trial, "refused")
    with pytest.raises(ServerUnavailableError):
        pool.acquire(since=began)


def test_a_call_begun_after_the_last_failed_trial_gets_a_trial_of_its_own():
    pool = ServerPool(["a"], 5.0)
    take_down(pool)
    began = time.monotonic()
    assert pool.acquire(since=began).address == "a"  # waits for the quarter of a second to pass


def test_those_who_wait_go_on_as_soon_as_a_trial_succeeds():
    pool = ServerPool(["a"], 30.0)
    take_down(pool)
    trial = pool.acquire(since=0)
    found = []
    waiting = [threading.Thread(target=lambda: found.append(pool.acquire(since=0).address)) for _ in range(8)]
    for thread in waiting:
        thread.start()
    pool.answered(trial)
    for thread in waiting:
        thread.join(timeout=10)
    assert found == ["a"] * 8


def test_the_end_of_the_call_ends_the_wait(clock):
    pool = pool_of("a", clock=clock, grace=1000)
    take_down(pool)
    with pytest.raises(ServerUnavailableError):
        pool.acquire(since=clock.now, until=clock.now)
