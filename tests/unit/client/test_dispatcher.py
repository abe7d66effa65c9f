"""The dispatcher's threads, with an exchange that answers without a wire."""

import asyncio
import functools
import gc
import threading
import time
import weakref

import pytest

from llm_judge_remote.client import dispatcher as module
from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.dispatcher import Dispatcher
from llm_judge_remote.client.submission import Submission, Task
from llm_judge_remote.errors import InvalidReplyError, RequestRejectedError, ServerUnavailableError
from llm_judge_remote.servers.pool import ServerPool
from llm_judge_remote.servers.server import Server

PATIENCE_S = 20.0


class Exchange:
    """Answers a conversation with what `ask` makes of its text."""

    def __init__(self, ask):
        self._ask = ask

    def send(self, address, requests, attempt, key):
        attempt.waiting()
        return [reply(self._ask(request.messages[0]["content"]), address) for request in requests]


def reply(text, server="a"):
    return ChatReply(text, "", "stop", 1, 1, server)


def request(text):
    return ChatRequest(({"role": "user", "content": text},), "m", 0.0, 1.0, 16, enable_thinking=False)


def conversation(*texts):
    replies = []
    for text in texts:
        answer = yield request(text)
        replies.append(answer.content)
    return replies


def channel(ask=str.upper, *, most=256, **options):
    pool = ServerPool([Server("a", most)], most=most)
    return Channel(Exchange(ask), pool, use_chunks=False, hedge=False, **options)


def task(where, start):
    return Task(start, where, "kind", "group")


def talk(where, *texts):
    return task(where, functools.partial(conversation, *texts))


def results(submission):
    submission.wait(PATIENCE_S)
    assert submission.is_over
    return submission.results


def wait_until(condition):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "judge-worker"]


@pytest.fixture
def dispatcher():
    made = Dispatcher()
    yield made
    made.close()


@pytest.fixture
def run(dispatcher):
    def submit(tasks, width=16, **options):
        return dispatcher.submit(tasks, width, began=time.monotonic(), **options)

    return submit


@pytest.fixture(autouse=True)
def _no_thread_of_another_test():
    for thread in workers():
        thread.join(PATIENCE_S)


def test_a_job_is_sent_the_replies_to_its_requests_and_returns_its_result(run):
    assert results(run([talk(channel(), "a", "b")])) == [["A", "B"]]


def test_results_are_in_the_order_of_the_tasks_whatever_order_they_end_in(run):
    release = threading.Event()

    def ask(text):
        if text == "2":
            release.set()
        else:
            assert release.wait(PATIENCE_S)
        return text

    where = channel(ask)
    assert results(run([talk(where, str(n)) for n in range(3)])) == [["0"], ["1"], ["2"]]


def test_no_tasks_are_over_at_once(run):
    assert results(run([])) == []


def test_an_error_is_thrown_into_the_job_which_may_go_on(run):
    def job():
        try:
            yield request("first")
        except RequestRejectedError as error:
            answer = yield request("second")
            return error.attempts, answer.content

    def ask(text):
        if text == "first":
            raise RequestRejectedError("no", status=400)
        return "fine"

    assert results(run([task(channel(ask), job)])) == [(1, "fine")]


def test_what_a_job_raises_is_its_result_and_touches_no_other(run):
    def job():
        yield request("a")
        raise KeyError("mine")

    where = channel()
    raised, other = results(run([task(where, job), talk(where, "b")]))
    assert isinstance(raised, KeyError)
    assert other == ["B"]


def test_a_job_that_asks_nothing_needs_no_server(run):
    def silent():
        return "done"
        yield

    where = channel(lambda _: pytest.fail("it asked"))
    assert results(run([task(where, silent), task(where, silent)], 1)) == ["done"] * 2


def test_what_is_no_error_of_ours_becomes_one_and_is_thrown_into_the_job_as_well(run, caplog):
    def job():
        try:
            yield request("a")
        except InvalidReplyError as error:
            return str(error)

    def ask(_):
        raise TypeError("a bug")

    assert results(run([task(channel(ask, max_retries=0), job)])) == ["TypeError: a bug"]
    assert "a request could not be made" in caplog.text


@pytest.mark.parametrize("width", [1, 3, 16])
def test_as_many_jobs_run_at_once_as_the_width_allows_and_no_more(run, width):
    lock, running, peak = threading.Lock(), 0, 0
    full = threading.Event()

    def ask(text):
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
            if running == width:
                full.set()
        assert full.wait(PATIENCE_S)
        with lock:
            running -= 1
        return text

    where = channel(ask)
    assert results(run([talk(where, str(n)) for n in range(4 * width)], width)) == [[str(n)] for n in range(4 * width)]
    assert peak == width


def test_a_server_is_never_given_more_than_it_may_have_in_flight_over_several_calls_together(run):
    lock, running, peak = threading.Lock(), 0, 0
    full = threading.Event()

    def ask(text):
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
            if running == 5:
                full.set()
        assert full.wait(PATIENCE_S)
        with lock:
            running -= 1
        return text

    where = channel(ask, most=5)
    calls = [run([talk(where, f"{call} {n}") for n in range(10)]) for call in range(4)]
    for call in calls:
        assert None not in results(call)
    assert peak == 5


def test_a_burst_after_an_idle_time_uses_all_threads_again(run):
    for number in range(3):
        barrier = threading.Barrier(8, timeout=PATIENCE_S)  # passes only when all eight are in flight together
        where = channel(lambda text, barrier=barrier: text if barrier.wait() >= 0 else "")
        names = [f"{number} {n}" for n in range(8)]
        assert results(run([talk(where, name) for name in names], 8)) == [[name] for name in names]


def test_jobs_behind_a_narrow_call_run_side_by_side(run):
    release, narrow_began = threading.Event(), threading.Event()

    def slow(text):
        narrow_began.set()
        assert release.wait(PATIENCE_S)
        return text

    narrow = run([talk(channel(slow), str(n)) for n in range(3)], 1)
    assert narrow_began.wait(PATIENCE_S)
    barrier = threading.Barrier(4, timeout=PATIENCE_S)
    wide = channel(lambda text: text if barrier.wait() >= 0 else "")
    assert results(run([talk(wide, str(n)) for n in range(4)], 4)) == [[str(n)] for n in range(4)]
    release.set()
    assert results(narrow) == [["0"], ["1"], ["2"]]


def test_what_is_under_way_does_not_keep_others_from_being_made_ready(run):
    release = threading.Event()
    hung = run([talk(channel(lambda text: text if release.wait(PATIENCE_S) else ""), str(n)) for n in range(4)])
    assert results(run([talk(channel(), "a")])) == [["A"]]
    release.set()
    assert None not in results(hung)


def test_a_call_that_is_cancelled_before_its_turn_is_never_started(dispatcher, run):
    release, began, started = threading.Event(), threading.Event(), []

    def job(name):
        started.append(name)
        yield request(name)

    def ask(text):
        began.set()
        assert release.wait(PATIENCE_S)
        return text

    where = channel(ask, most=1)
    first = run([task(where, lambda: job("first"))])
    assert began.wait(PATIENCE_S)
    second = run([task(where, lambda: job("second"))])
    third = run([task(where, lambda: job("third"))])
    dispatcher.cancel(second)
    release.set()
    results(first)
    results(third)
    assert started == ["first", "third"]
    assert second.is_over
    assert dispatcher.stats(()).dropped == 1


def test_equal_requests_in_flight_are_sent_once_and_the_first_caller_s_leaving_does_not_harm_the_second(
    dispatcher, run
):
    release, asked = threading.Event(), []
    began = threading.Event()

    def ask(text):
        asked.append(text)
        began.set()
        assert release.wait(PATIENCE_S)
        return text

    where = channel(ask)
    first = run([talk(where, "same")])
    assert began.wait(PATIENCE_S)
    second = run([talk(where, "same")])
    wait_until(lambda: dispatcher.stats(()).shared)
    dispatcher.cancel(first)
    release.set()
    assert results(second) == [["same"]]
    assert asked == ["same"]


def test_the_reply_is_attributed_to_one_of_those_who_share_it(dispatcher, run):
    release = threading.Event()

    def job():
        answer = yield request("same")
        return answer.passage.attempts, answer.passage.shared

    submission = run([task(channel(lambda text: text if release.wait(PATIENCE_S) else ""), job)] * 5)
    wait_until(lambda: dispatcher.stats(()).shared == 4)
    release.set()
    assert sorted(results(submission)) == [(0, True)] * 4 + [(1, False)]


def test_closing_ends_all_with_an_error_and_wakes_those_who_wait():
    dispatcher, began, release = Dispatcher(), threading.Event(), threading.Event()

    def ask(text):
        began.set()
        release.wait(PATIENCE_S)
        return text

    where = channel(ask, most=1)
    running = dispatcher.submit([talk(where, "a")], 1, began=time.monotonic())
    assert began.wait(PATIENCE_S)
    waiting = dispatcher.submit([talk(where, str(n)) for n in range(3)], 1, began=time.monotonic())
    dispatcher.close()
    for result in [*results(running), *results(waiting)]:
        assert isinstance(result, ServerUnavailableError)
        assert "closed" in str(result)
    release.set()
    late = dispatcher.submit([talk(where, "late")], 1, began=time.monotonic())
    assert "closed" in str(results(late)[0])


def test_threads_are_as_many_as_requests_under_way_and_not_as_jobs(run):
    barrier = threading.Barrier(4, timeout=PATIENCE_S)
    seen = []

    def ask(text):
        seen.append(len(workers()))
        barrier.wait()
        return text

    where = channel(ask, most=4)
    submission = run([talk(where, str(n)) for n in range(400)], 400)
    assert None not in results(submission)
    assert max(seen) <= 16  # those whose answer has just come are on their way back


def test_threads_end_after_an_idle_time_and_come_back(run, monkeypatch):
    monkeypatch.setattr(module, "_IDLE_S", 0.02)
    assert None not in results(run([talk(channel(), str(n)) for n in range(20)]))
    for thread in workers():
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert results(run([talk(channel(), "a")])) == [["A"]]


def test_calls_that_come_just_when_threads_expire_are_carried(run, monkeypatch):
    idle = 0.003
    monkeypatch.setattr(module, "_IDLE_S", idle)
    where = channel()
    for number in range(300):
        submission = run([talk(where, f"{number} {n}") for n in range(6)])
        submission.wait(PATIENCE_S)
        assert submission.is_over, f"lost in round {number}"
        time.sleep(idle * (0.8 + 0.4 * (number % 10) / 10))


def test_a_thread_whose_time_is_up_when_it_is_called_takes_what_it_was_called_for(dispatcher, run, monkeypatch):
    monkeypatch.setattr(module, "_IDLE_S", 0.05)
    where = channel()
    results(run([talk(where, "first")]))
    second = Submission([talk(where, "second")], 1, time.monotonic())
    with dispatcher._condition:  # as `submit` holds it, while the idle thread's time runs out
        time.sleep(0.1)
        dispatcher._schedule.submit(second)
        dispatcher._call_thread()
    assert results(second) == [["SECOND"]]


def test_nothing_of_a_call_is_kept_alive_after_it(run, monkeypatch):
    monkeypatch.setattr(module, "_IDLE_S", 1000.0)  # the threads stay

    class Text:
        pass

    def job(held):
        answer = yield request(f"a {id(held)}")
        return answer.content

    held = [Text() for _ in range(50)]
    alive = [weakref.ref(text) for text in held]
    where = channel()
    submission = run([task(where, functools.partial(job, text)) for text in held])
    results(submission)
    del held, submission
    # The last thread may still be on its way back.
    wait_until(lambda: gc.collect() >= 0 and all(ref() is None for ref in alive))


def test_a_bug_of_ours_ends_the_jobs_that_it_stopped(dispatcher, run, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("ours")

    monkeypatch.setattr(dispatcher._schedule, "settle", broken)
    stopped = results(run([talk(channel(), "a"), talk(channel(), "b")]))
    assert [str(result) for result in stopped] == ["ours"] * 2
    assert "a bug in the dispatcher" in caplog.text
    monkeypatch.undo()
    assert results(run([talk(channel(), "c")])) == [["C"]]


def test_without_further_threads_those_that_there_are_have_to_do(run, monkeypatch):
    where, start, started = channel(), threading.Thread.start, []

    def none_left(thread):
        if thread.name == "judge-worker":
            if started:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", none_left)
    assert None not in results(run([talk(where, str(n)) for n in range(50)]))
    assert len(started) == 1


async def test_calls_of_an_event_loop_are_awaited(dispatcher, run):
    submissions = [run([talk(channel(), f"a{n}", f"b{n}")]) for n in range(100)]
    await asyncio.gather(*(each.wait_async(PATIENCE_S, dispatcher.wakeups) for each in submissions))
    assert [each.results for each in submissions] == [[[f"A{n}", f"B{n}"]] for n in range(100)]


def test_a_lone_job_waits_for_company_no_longer_than_its_linger(run):
    assert results(run([talk(channel(), "a")], linger=0.005)) == [["A"]]
