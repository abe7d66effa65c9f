"""Requests that take far longer than others are asked once more; replies that are known are not asked for at all."""

import time

import pytest

from llm_judge_remote import Judge, JudgeSettings, Outcome, Sample
from llm_judge_remote.testing import Fault, JudgeServer


def samples(count, first=0):
    return [Sample(f"candidate {n}!", ("reference",)) for n in range(first, first + count)]


def judge_of(server, **options):
    return Judge(JudgeSettings(server_url=server.url, **options))


def outcomes(judgements):
    return {judgement.outcome for judgement in judgements}


def test_rows_whose_requests_hang_are_judged_long_before_the_timeout():
    fault = Fault("hang", share=0.02, first_attempt_only=True)
    with (
        JudgeServer(judge="REWARD: 0.5", service_time=0.05, faults=[fault]) as server,
        judge_of(server, batch_endpoint="off", max_in_flight=32) as judge,
    ):
        began = time.monotonic()
        judgements = judge.score(samples(400))
        assert time.monotonic() - began < 20  # of sixty that an attempt may take
        assert outcomes(judgements) == {Outcome.JUDGED}
        hung = server.stats.faults["hang"]
        assert hung > 0
        server.wait_until(lambda stats: stats.in_service == 0 and stats.aborted >= hung)
        assert server.stats.conversations <= 400 * 1.05 + 4
        stats = judge.stats()
        assert stats.hedged >= stats.hedges_won >= hung
        assert stats.hedged >= server.stats.conversations - 400
        assert hung <= sum(judgement.hedged for judgement in judgements) <= stats.hedged


def test_without_hedging_a_request_that_hangs_is_waited_for():
    fault = Fault("hang", match="candidate 77!", times=1)
    with (
        JudgeServer(judge="REWARD: 0.5", service_time=0.01, faults=[fault]) as server,
        judge_of(server, batch_endpoint="off", hedging="off", timeout=3) as judge,
    ):
        judgements = judge.score(samples(100))
        assert outcomes(judgements) == {Outcome.JUDGED}
        assert judgements[77].latency_s >= 3
        assert [n for n, judgement in enumerate(judgements) if judgement.hedged] == []
        assert judge.stats().hedged == 0
        assert server.stats.conversations == 101


def test_a_straggler_is_asked_once_more_at_another_server():
    with JudgeServer(judge="REWARD: 0.5") as slow, JudgeServer(judge="REWARD: 0.5") as quick:
        settings = JudgeSettings(server_url=(slow.url, quick.url), batch_endpoint="off", linger=0, affinity="off")
        with Judge(settings) as judge:
            judge.score(samples(100))
            slow.inject(Fault("hang"))
            began = time.monotonic()
            judgements = [judge.score([row])[0] for row in samples(3, first=2000)]
            assert time.monotonic() - began < 20
            assert {judgement.server for judgement in judgements} == {quick.url}
            assert outcomes(judgements) == {Outcome.JUDGED}
            assert slow.stats.faults["hang"] > 0
            slow.wait_until(lambda stats: stats.in_service == 0)  # nobody waits for it any more


def test_a_server_where_all_is_slow_is_not_asked_twice_for_everything():
    with (
        JudgeServer(judge="REWARD: 0.5", service_time=0.01) as server,
        judge_of(server, batch_endpoint="off", max_in_flight=512) as judge,
    ):
        judge.score(samples(200))
        server.service_time = 0.2
        assert outcomes(judge.score(samples(120, first=1000))) == {Outcome.JUDGED}
        assert server.stats.conversations <= 320 * 1.05 + 4


@pytest.fixture(params=["memory", "file"])
def cache(request, tmp_path):
    return "memory" if request.param == "memory" else str(tmp_path / "replies.sqlite")


def test_what_was_answered_is_not_asked_again(cache):
    with JudgeServer() as server, judge_of(server, cache=cache, hedging="off") as judge:
        rows = [Sample(f"the answer is {n}", (f"it is {n % 3}",)) for n in range(40)]
        first = judge.score(rows)
        before = server.stats
        second = judge.score(rows)
        assert server.stats.requests == before.requests
        assert server.stats.conversations == 40
        assert [each.score for each in second] == [each.score for each in first]
        assert {each.to_dict()["judge_cached"] for each in first} == {0}
        assert {(each.to_dict()["judge_cached"], each.attempts, each.outcome) for each in second} == {(1, 0, "judged")}
        assert judge.stats().cached == 40
        judge.score([Sample("the answer is 0", ("it is 99",))])
        assert server.stats.conversations == 41


def test_a_file_serves_the_next_judge_as_well(tmp_path):
    path = str(tmp_path / "replies.sqlite")
    with JudgeServer(judge="REWARD: 0.5") as server:
        for _ in range(2):
            with judge_of(server, cache=path, hedging="off") as judge:
                assert outcomes(judge.score(samples(20))) == {Outcome.JUDGED}
        assert server.stats.conversations == 20


def test_a_reply_without_a_verdict_is_not_kept(cache):
    replies = ["no idea", "none whatsoever", "REWARD: 0.5"]
    with JudgeServer(judge=replies) as server, judge_of(server, cache=cache, hedging="off") as judge:
        seen = [judge.score(samples(1))[0] for _ in range(3)]
        assert [each.outcome for each in seen] == [Outcome.FALLBACK, Outcome.JUDGED, Outcome.JUDGED]
        assert [each.cached for each in seen] == [False, False, True]
        assert server.stats.conversations == 3


def test_without_the_setting_nothing_is_kept():
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server, hedging="off") as judge:
        for _ in range(2):
            judge.score(samples(10))
        assert server.stats.conversations == 20
        assert judge.stats().cached == 0
