"""Callers in threads and on event loops: many at once, cancelled, out of time, forked, or with the judge closed."""

import asyncio
import gc
import os
import threading
import time
import warnings
import weakref

import pytest

from llm_judge_remote import Judge, JudgeSettings, Outcome, Sample, compute_score, compute_score_async
from llm_judge_remote.client import dispatcher as dispatcher_module
from llm_judge_remote.testing import Fault, JudgeServer

PATIENCE_S = 30.0


def samples(count, first=0):
    return [Sample(f"candidate {n}!", ("reference",)) for n in range(first, first + count)]


def judge_of(server, **options):
    return Judge(JudgeSettings(server_url=server.url, **options))


def outcomes(judgements):
    return {judgement.outcome for judgement in judgements}


def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def join(*threads):
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def wait_until(condition):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.fixture
def server():
    with JudgeServer(judge="REWARD: 0.5") as running:
        yield running


async def test_hundreds_of_async_calls_at_once_are_all_judged(server):
    server.service_time = 0.02
    calls = [compute_score_async("d", f"c{n}", "r", server_url=server.url) for n in range(200)]
    assert await asyncio.gather(*calls) == [0.5] * 200
    assert server.stats.conversations <= 220


def test_many_threads_that_call_at_once_are_all_judged(server):
    server.service_time = 0.02
    scores = []
    threads = [
        in_thread(
            lambda n=n: scores.extend(compute_score("d", f"c{n} {k}", "r", server_url=server.url) for k in range(4))
        )
        for n in range(32)
    ]
    join(*threads)
    assert scores == [0.5] * 128
    assert server.stats.connections <= 48


def test_event_loops_in_several_threads_at_once_are_all_served(server):
    server.service_time = 0.01
    results = []

    async def many(number):
        calls = (compute_score_async("d", f"{number} {n}", "r", server_url=server.url) for n in range(60))
        return await asyncio.gather(*calls)

    join(*[in_thread(lambda n=n: results.append(asyncio.run(many(n)))) for n in range(4)])
    assert results == [[0.5] * 60] * 4


def test_a_deadline_ends_a_call_whose_rows_all_hang_and_closes_what_was_under_way():
    with (
        JudgeServer(faults=[Fault("hang")]) as server,
        judge_of(server, deadline=1.0, batch_size=500, fallback="zero") as judge,
    ):
        began = time.monotonic()
        judgements = judge.score(samples(500))
        assert time.monotonic() - began < 10  # of sixty that an attempt may take
        assert outcomes(judgements) == {Outcome.FALLBACK}
        assert all("deadline" in judgement.reason for judgement in judgements)
        server.wait_until(lambda stats: stats.in_service == stats.open_connections == 0 and stats.aborted > 0)
        wait_until(lambda: not judge.stats().in_flight)
        assert (judge.stats().waiting, judge.stats().dropped) == (0, 500)


def test_a_deadline_keeps_what_was_judged_before_it():
    fault = Fault("hang", match="candidate 7!")
    with (
        JudgeServer(judge="REWARD: 0.5", faults=[fault]) as server,
        judge_of(server, deadline=1.0, batch_endpoint="off", fallback="zero") as judge,
    ):
        judgements = judge.score(samples(40))
        assert [n for n, each in enumerate(judgements) if each.outcome is not Outcome.JUDGED] == [7]
        assert "deadline" in judgements[7].reason


async def test_a_cancelled_call_frees_its_place_and_harms_no_neighbour(server):
    server.inject(Fault("hang", match="candidate 0!"))
    with judge_of(server, max_in_flight=2, batch_endpoint="off", hedging="off") as judge:
        hung = asyncio.create_task(judge.score_async(samples(1)))
        await asyncio.to_thread(server.wait_until, lambda stats: stats.in_service == 1)
        neighbour = asyncio.create_task(judge.score_async(samples(50, first=1)))
        hung.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hung
        assert outcomes(await neighbour) == {Outcome.JUDGED}
        await asyncio.to_thread(server.wait_until, lambda stats: stats.in_service == 0 and stats.aborted == 1)
        assert judge.stats().dropped == 1
        wait_until(lambda: not judge.stats().in_flight)


async def test_cancelling_every_other_of_many_calls_leaves_the_rest_judged(server):
    server.service_time = 0.05
    with judge_of(server, max_in_flight=16) as judge:
        calls = [asyncio.create_task(judge.score_async([row])) for row in samples(120)]
        await asyncio.to_thread(server.wait_until, lambda stats: stats.in_service >= 8)
        for call in calls[::2]:
            call.cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert all(each[0].outcome is Outcome.JUDGED for each in done[1::2])
        assert sum(isinstance(each, asyncio.CancelledError) for each in done[::2]) >= judge.stats().dropped > 0
        wait_until(lambda: not (judge.stats().in_flight or judge.stats().waiting))


def shared(judge, count):
    return lambda: judge.stats().shared == count


def test_equal_rows_in_flight_are_sent_once(server):
    server.pause()
    with judge_of(server, hedging="off") as judge:
        judgements = []
        caller = in_thread(lambda: judgements.extend(judge.score(samples(1) * 20)))
        wait_until(shared(judge, 19))
        others = [in_thread(lambda: judgements.extend(judge.score(samples(1)))) for _ in range(3)]
        wait_until(shared(judge, 22))
        server.resume()
        join(caller, *others)
        assert outcomes(judgements) == {Outcome.JUDGED}
        assert server.stats.conversations == 1
        flats = [judgement.to_dict() for judgement in judgements]
        assert sorted((flat["judge_attempts"], flat["judge_shared"]) for flat in flats) == [(0, 1)] * 22 + [(1, 0)]
        assert {flat["score"] for flat in flats} == {0.5}
        # Only what is in flight is shared; nothing is kept.
        judge.score(samples(1))
        assert server.stats.conversations == 2


async def test_the_first_of_those_who_share_an_answer_may_leave_and_the_last_one_ends_the_request(server):
    server.pause()
    with judge_of(server, hedging="off") as judge:
        calls = [asyncio.create_task(judge.score_async(samples(1))) for _ in range(3)]
        await asyncio.to_thread(wait_until, shared(judge, 2))
        calls[0].cancel()
        calls[1].cancel()
        await asyncio.wait(calls[:2])
        server.resume()
        (judgement,) = await calls[2]
        assert judgement.outcome is Outcome.JUDGED
        assert server.stats.conversations == 1
        server.inject(Fault("hang"))
        calls = [asyncio.create_task(judge.score_async(samples(1, first=1))) for _ in range(3)]
        await asyncio.to_thread(wait_until, shared(judge, 4))
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        await asyncio.to_thread(server.wait_until, lambda stats: stats.in_service == 0 and stats.aborted == 1)


def test_a_call_with_a_deadline_does_not_take_the_answer_from_one_without(server):
    server.pause()
    with judge_of(server, hedging="off", fallback="zero") as judge:
        hurried, patient = [], []
        settings = JudgeSettings(server_url=server.url, deadline=0.3, hedging="off", fallback="zero")
        first = in_thread(lambda: hurried.extend(judge.score(samples(1), settings)))
        server.wait_until(lambda stats: stats.in_service == 1 or stats.requests == 1)
        second = in_thread(lambda: patient.extend(judge.score(samples(1))))
        join(first)
        server.resume()
        join(second)
        assert (hurried[0].outcome, patient[0].outcome) == (Outcome.FALLBACK, Outcome.JUDGED)


def test_a_fork_while_requests_are_under_way_harms_neither_side(server):
    server.service_time = 0.05
    with judge_of(server, max_in_flight=8, hedging="off") as judge:
        judgements = []
        caller = in_thread(lambda: judgements.extend(judge.score(samples(60))))
        server.wait_until(lambda stats: stats.in_service >= 4)
        read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is the point
            child = os.fork()
        if child == 0:
            try:
                own = judge.score(samples(20, first=1000))
                os.write(write, f"{len(own)} {outcomes(own) == {Outcome.JUDGED}}".encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            assert pipe.read() == "20 True"
        os.waitpid(child, 0)
        join(caller)
        assert len(judgements) == 60
        assert outcomes(judgements) == {Outcome.JUDGED}
        assert server.stats.conversations == 80


def test_closing_while_busy_ends_every_call_and_the_judge_opens_again(server):
    server.inject(Fault("hang"))
    judge = judge_of(server, max_in_flight=8, fallback="zero")
    judgements = []

    async def calls():
        return await asyncio.gather(*(judge.score_async([row]) for row in samples(10, first=1000)))

    threads = [in_thread(lambda n=n: judgements.extend(judge.score(samples(20, first=100 * n)))) for n in range(4)]
    threads.append(in_thread(lambda: judgements.extend(each[0] for each in asyncio.run(calls()))))
    wait_until(lambda: judge.stats().in_flight + judge.stats().waiting == 90)
    judge.close()
    join(*threads)
    assert len(judgements) == 90
    assert outcomes(judgements) == {Outcome.FALLBACK}
    assert all("closed" in judgement.reason for judgement in judgements)
    server.wait_until(lambda stats: stats.in_service == stats.open_connections == 0)
    server.clear_faults()
    assert outcomes(judge.score(samples(5))) == {Outcome.JUDGED}
    judge.close()


class Row(Sample):
    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("fault", [None, Fault("status", status=500, first_attempt_only=True, share=0.1)])
def test_nothing_of_a_call_is_kept_alive_after_it(server, fault, monkeypatch):
    monkeypatch.setattr(dispatcher_module, "_IDLE_S", 1000.0)  # the threads stay
    server.faults = [fault] if fault else []
    with judge_of(server) as judge:
        rows = [Row(f"candidate {n}!", ("reference",)) for n in range(100)]
        alive = [weakref.ref(row) for row in rows]
        assert outcomes(judge.score(rows)) == {Outcome.JUDGED}
        del rows
        # A thread may still be on its way back.
        wait_until(lambda: gc.collect() >= 0 and all(ref() is None for ref in alive))
