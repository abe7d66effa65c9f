"""Single calls that wait a moment for others to travel with."""

import asyncio
import threading
import time

import pytest

from llm_judge_remote import Judge, JudgeSettings, Outcome, Sample
from llm_judge_remote.servers.chunk_size import ChunkSize
from llm_judge_remote.testing import Fault, JudgeServer

SIZE = 16


def samples(count, first=0):
    return [Sample(f"candidate {n}!", ("reference",), f"problem {n // 4}") for n in range(first, first + count)]


def judge_of(server, **options):
    return Judge(JudgeSettings(server_url=server.url, **options))


def outcomes(judgements):
    return {judgement.outcome for judgement in judgements}


@pytest.fixture(autouse=True)
def _chunks(monkeypatch):
    """As if measurements had shown that chunks of sixteen pay, and from the first request on."""

    def best(self, most, parallel, requests):
        return max(min(SIZE, most, int(parallel)), 1)

    monkeypatch.setattr(ChunkSize, "best", best)


def warmed(judge):
    """The endpoint is known, so nothing has to be tried first."""
    judge.score(samples(64, first=5000))
    assert judge.stats().servers[0].has_batch_endpoint


def beside_one_under_way(server, judge, work):
    """Do something while a request is under way: alone, a conversation never waits for company."""
    server.inject(Fault("hang", match="candidate 9999!"))
    caller = threading.Thread(target=lambda: judge.score(samples(1, first=9999)))
    caller.start()
    try:
        server.wait_until(lambda stats: stats.in_service == 1)
        return work()
    finally:
        server.stop()
        judge.close()
        caller.join(20)


def test_single_calls_that_arrive_together_travel_in_few_requests():
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server, linger=0.5, hedging="off") as judge:
        warmed(judge)

        def together():
            before = server.stats.requests

            async def calls():
                return await asyncio.gather(*(judge.score_async([row]) for row in samples(20)))

            return [each[0].outcome for each in asyncio.run(calls())], server.stats.requests - before

        judged, requests = beside_one_under_way(server, judge, together)
        assert judged == [Outcome.JUDGED] * 20
        assert requests <= 10


def test_threads_that_call_at_once_travel_in_few_requests():
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server, linger=0.5, hedging="off") as judge:
        warmed(judge)

        def together():
            before, judged = server.stats.requests, []
            threads = [
                threading.Thread(target=lambda row=row: judged.append(judge.score([row])[0].outcome))
                for row in samples(32)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            return judged, server.stats.requests - before

        judged, requests = beside_one_under_way(server, judge, together)
        assert judged == [Outcome.JUDGED] * 32
        assert requests <= 20


def next_in_a_chunk(judge):
    """One request in sixteen goes alone, to be measured: make sure that it is not one of the next."""
    while judge.stats().requests % 16 not in range(1, 12):
        judge.score(samples(1, first=time.monotonic_ns()))


async def test_cancelling_one_call_leaves_the_others_of_its_chunk_alone():
    with (
        JudgeServer(judge="REWARD: 0.5") as server,
        judge_of(server, max_in_flight=SIZE, hedging="off") as judge,
    ):
        warmed(judge)
        next_in_a_chunk(judge)
        server.pause()
        before = server.stats
        calls = [asyncio.create_task(judge.score_async(samples(8, first=8 * n))) for n in range(4)]
        first = asyncio.create_task(judge.score_async(samples(SIZE, first=1000)))
        await asyncio.to_thread(
            server.wait_until, lambda stats: stats.conversations >= before.conversations + 8, timeout=20
        )
        calls[0].cancel()
        calls[2].cancel()
        server.resume()
        done = await asyncio.gather(*calls, first, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in done] == [True, False, True, False, False]
        assert outcomes([*done[1], *done[3], *done[4]]) == {Outcome.JUDGED}
        assert {each.attempts for each in [*done[1], *done[3], *done[4]]} == {1}


@pytest.mark.parametrize("linger", [0.0, 1.0])
def test_a_lone_call_beside_others_waits_as_long_as_its_linger(linger):
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server, linger=linger, hedging="off") as judge:
        warmed(judge)
        next_in_a_chunk(judge)
        (judgement,) = beside_one_under_way(server, judge, lambda: judge.score(samples(1)))
        assert judgement.outcome is Outcome.JUDGED
        assert (judgement.queued_s >= 0.9) == (linger == 1.0)
