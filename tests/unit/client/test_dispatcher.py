import threading

import pytest

from llm_judge_remote.client.dispatcher import Dispatcher
from llm_judge_remote.errors import NoVerdictError


@pytest.fixture
def dispatcher():
    made = Dispatcher()
    yield made
    made.close()


def conversation(*requests):
    replies = []
    for request in requests:
        reply = yield request
        replies += [reply]
    return replies


def test_a_job_is_sent_the_replies_to_its_requests_and_returns_its_result(dispatcher):
    future = dispatcher.submit(conversation("a", "b"), str.upper, 1)
    assert future.result(10) == ["A", "B"]


def test_an_error_is_thrown_into_the_job_which_may_go_on(dispatcher):
    def job():
        try:
            yield "first"
        except NoVerdictError:
            return (yield "second")

    def ask(request):
        if request == "first":
            raise NoVerdictError("x")
        return "fine"

    assert dispatcher.submit(job(), ask, 1).result(10) == "fine"


def test_what_a_job_raises_reaches_its_future(dispatcher):
    def job():
        yield "a"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        dispatcher.submit(job(), str.upper, 1).result(10)


@pytest.mark.parametrize("width", [1, 3, 16])
def test_as_many_jobs_run_at_once_as_the_width_allows_and_no_more(dispatcher, width):
    lock, running, peak = threading.Lock(), 0, 0
    full = threading.Event()

    def ask(request):
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
            if running == width:
                full.set()
        assert full.wait(10)
        with lock:
            running -= 1
        return request

    futures = [dispatcher.submit(conversation(n), ask, width) for n in range(4 * width)]
    assert [future.result(10) for future in futures] == [[n] for n in range(4 * width)]
    assert peak == width


def test_a_burst_after_an_idle_time_uses_all_threads_again(dispatcher):
    for _ in range(3):
        barrier = threading.Barrier(8, timeout=10)

        def ask(_, barrier=barrier):
            return barrier.wait() >= 0  # passes only when all eight are in flight together

        futures = [dispatcher.submit(conversation("x"), ask, 8) for _ in range(8)]
        assert [future.result(10) for future in futures] == [[True]] * 8


def test_a_job_that_is_cancelled_before_its_turn_is_never_started(dispatcher):
    release, started = threading.Event(), []

    def job(name):
        started.append(name)
        yield name

    def ask(_):
        release.wait(10)

    first = dispatcher.submit(job("first"), ask, 1)
    second = dispatcher.submit(job("second"), ask, 1)
    third = dispatcher.submit(job("third"), ask, 1)
    assert second.cancel()
    release.set()
    first.result(10)
    third.result(10)
    assert started == ["first", "third"]


def test_closing_cancels_what_waits_and_wakes_those_who_wait_for_it():
    dispatcher, started, release = Dispatcher(), threading.Event(), threading.Event()

    def ask(_):
        started.set()
        return release.wait(10)

    running = dispatcher.submit(conversation("x"), ask, 1)
    assert started.wait(10)
    waiting = dispatcher.submit(conversation("x"), str.upper, 1)
    dispatcher.close()
    assert waiting.cancelled()
    release.set()
    assert running.result(10) == [True]
    with pytest.raises(RuntimeError, match="closed"):
        dispatcher.submit(conversation("x"), str.upper, 1)


def test_what_is_no_error_of_ours_is_thrown_into_the_job_as_well(dispatcher):
    def job():
        try:
            yield "a"
        except TypeError:
            return "caught"

    def ask(_):
        raise TypeError("a bug")

    assert dispatcher.submit(job(), ask, 1).result(10) == "caught"


def test_jobs_behind_a_narrow_one_run_side_by_side_again_once_it_is_done(dispatcher):
    release = threading.Event()
    barrier = threading.Barrier(4, timeout=10)
    wide = [dispatcher.submit(conversation("x"), lambda _: release.wait(10), 4) for _ in range(4)]
    narrow = dispatcher.submit(conversation("x"), str.upper, 1)
    # Pass only when all four are in flight together.
    behind = [dispatcher.submit(conversation("x"), lambda _: barrier.wait() >= 0, 4) for _ in range(4)]
    release.set()
    assert [future.result(10) for future in (*wide, narrow, *behind)] == [[True]] * 4 + [["X"]] + [[True]] * 4


def test_there_are_no_more_threads_than_the_widest_job_allows(dispatcher):
    before = threading.active_count()
    futures = [dispatcher.submit(conversation("x"), str.upper, 1 + n % 5) for n in range(500)]
    peak = threading.active_count()
    assert [future.result(30) for future in futures] == [["X"]] * 500
    assert peak - before <= 5
