"""Conversations that travel together, and what becomes of them when a chunk goes wrong."""

import asyncio
import dataclasses
import threading

import pytest

from llm_judge_remote import (
    Judge,
    JudgeSettings,
    Outcome,
    Sample,
    compute_score,
    compute_score_async,
    compute_score_batched,
)
from llm_judge_remote.servers import server as server_module
from llm_judge_remote.servers.chunk_size import ChunkSize
from llm_judge_remote.testing import Fault, JudgeServer

BATCH_PATH = "/v1/chat/completions/batch"
SIZE = 16


def is_batch(conversation):
    return conversation.path == BATCH_PATH


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


def test_a_call_travels_in_few_requests():
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server, hedging="off") as judge:
        judgements = judge.score(samples(320))
        assert [judgement.score for judgement in judgements] == [0.5] * 320
        assert server.stats.conversations == 320
        assert server.stats.requests < 160
        assert max(judgement.chunk for judgement in judgements) == SIZE
        stats = judge.stats()
        assert (stats.sent, stats.requests) == (320, server.stats.requests)
        assert stats.chunks == server.stats.by_path[BATCH_PATH]
        assert stats.servers[0].has_batch_endpoint


@pytest.mark.parametrize("status", [400, 403, 409, 422])
def test_a_conversation_that_the_server_refuses_costs_its_chunk_a_few_requests_and_nobody_else_anything(status):
    refused = Fault("status", status=status, match="candidate 77!")
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server, fallback="zero") as judge:
        judge.score(samples(160, first=1000))
        before = judge.stats().requests
        judge.score(samples(160, first=2000))
        usual = judge.stats().requests - before
        server.faults = [refused]
        before = judge.stats().requests
        judgements = judge.score(samples(160))
        assert [n for n, judgement in enumerate(judgements) if judgement.outcome is not Outcome.JUDGED] == [77]
        assert str(status) in judgements[77].reason
        assert judge.stats().split > 0
        # A chunk of sixteen is halved at most four times.
        assert judge.stats().requests - before <= usual + 30


def test_a_prompt_that_is_too_long_is_cut_by_itself():
    with JudgeServer(judge="REWARD: 0.5", max_model_len=2048) as server, judge_of(server) as judge:
        rows = samples(48)
        rows[20] = Sample("long " * 4000, ("reference",))
        judgements = judge.score(rows)
        assert outcomes(judgements) == {Outcome.JUDGED}
        assert [n for n, judgement in enumerate(judgements) if judgement.candidate_cut] == [20]
        assert server.stats.requests < 48


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset", match=is_batch),
        Fault("status", status=500, match=is_batch),
        Fault("status", status=400, match=is_batch),
        Fault("garbage", match=is_batch),
        Fault("truncated", match=is_batch),
        Fault("hang", match=is_batch),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status or ''}",
)
def test_a_batch_endpoint_that_always_fails_costs_no_row_its_judge(fault):
    with JudgeServer(judge="REWARD: 0.5", faults=[fault]) as server, judge_of(server, timeout=0.6) as judge:
        judgements = judge.score(samples(200))
        assert outcomes(judgements) == {Outcome.JUDGED}
        assert server.stats.by_path.get(BATCH_PATH, 0) <= 40
        assert judge.stats().servers[0].has_batch_endpoint is not True


def test_a_batch_endpoint_that_leaves_its_replies_out_costs_no_row_its_judge():
    fault = Fault("empty_choices", match=is_batch)
    with JudgeServer(judge="REWARD: 0.5", faults=[fault]) as server, judge_of(server) as judge:
        assert outcomes(judge.score(samples(200))) == {Outcome.JUDGED}
        assert server.stats.conversations <= 400  # once in a chunk, once alone


def test_one_bad_reply_in_a_chunk_is_asked_for_again_by_itself():
    faults = [Fault(kind, match="candidate 7!", times=1) for kind in ("no_verdict", "null_content")]
    for fault in faults:
        with JudgeServer(judge="REWARD: 0.5", faults=[fault]) as server, judge_of(server, hedging="off") as judge:
            judgements = judge.score(samples(64))
            assert outcomes(judgements) == {Outcome.JUDGED}
            assert server.stats.conversations == 65
            assert [judgement.attempts for judgement in judgements] == [1 + (n == 7) for n in range(64)]


def visible(judgements):
    """What a caller sees of a judgement, but for times, and what a chunk's conversations have together."""
    return [
        dataclasses.replace(judgement, latency_s=0, queued_s=0, service_s=0, chunk=0, server="", prompt_tokens=0)
        for judgement in judgements
    ]


def test_a_server_without_the_batch_endpoint_makes_no_visible_difference_and_is_tried_once():
    seen = []
    for has_endpoint in (True, False):
        with JudgeServer(batch_endpoint=has_endpoint) as server, judge_of(server, hedging="off") as judge:
            rows = [Sample("so " * (n % 7) + f"it is {n}", (f"it is {n % 5}",)) for n in range(120)]
            seen.append(visible(judge.score(rows)))
            seen.append(visible(judge.score(rows)))
            assert server.stats.conversations == 240
            assert judge.stats().servers[0].has_batch_endpoint is has_endpoint
            assert server.stats.by_path.get("(unknown)", 0) == (0 if has_endpoint else 1)
            assert judge.stats().retried == 0
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert {judgement.attempts for judgement in seen[0]} == {1}


def test_batch_endpoint_off_never_tries_it():
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server, batch_endpoint="off") as judge:
        assert outcomes(judge.score(samples(40))) == {Outcome.JUDGED}
        assert BATCH_PATH not in server.stats.by_path
        assert judge.stats().chunks == 0


def test_an_endpoint_that_came_with_a_restart_is_found_after_a_minute(monkeypatch):
    with JudgeServer(judge="REWARD: 0.5", batch_endpoint=False) as old, judge_of(old) as judge:
        judge.score(samples(40))
        assert judge.stats().servers[0].has_batch_endpoint is False
        old.stop()
        with JudgeServer(judge="REWARD: 0.5", port=old.port) as new:
            monkeypatch.setattr(server_module, "_RECHECK_S", 0.0)  # the minute has passed
            assert outcomes(judge.score(samples(40, first=100))) == {Outcome.JUDGED}
            assert judge.stats().servers[0].has_batch_endpoint is True
            assert new.stats.by_path[BATCH_PATH] > 0


def test_an_endpoint_that_came_with_a_restart_in_the_middle_of_a_call_is_found_at_once():
    with (
        JudgeServer(judge="REWARD: 0.5", batch_endpoint=False, service_time=0.2) as old,
        judge_of(old, batch_size=32, outage_grace=20) as judge,
    ):
        judgements = []
        caller = threading.Thread(target=lambda: judgements.extend(judge.score(samples(200))))
        caller.start()
        old.wait_until(lambda stats: stats.by_path.get("(unknown)") and stats.in_service >= 16)
        old.stop()
        with JudgeServer(judge="REWARD: 0.5", port=old.port) as new:
            caller.join(30)
            assert not caller.is_alive()
            assert outcomes(judgements) == {Outcome.JUDGED}
            assert new.stats.by_path[BATCH_PATH] > 0


def test_an_endpoint_that_went_with_a_restart_is_not_missed():
    with JudgeServer(judge="REWARD: 0.5") as old, judge_of(old) as judge:
        judge.score(samples(40))
        assert judge.stats().servers[0].has_batch_endpoint is True
        old.stop()
        with JudgeServer(judge="REWARD: 0.5", port=old.port, batch_endpoint=False) as new:
            assert outcomes(judge.score(samples(80, first=100))) == {Outcome.JUDGED}
            assert judge.stats().servers[0].has_batch_endpoint is False
            # Those that were sent before the first answer came.
            assert new.stats.by_path["(unknown)"] <= 16


def test_single_batched_and_async_calls_give_the_same_scores_and_outcomes_with_and_without_the_endpoint():
    rows = [("d", "it is " + "so " * (n % 11), f"it is {n % 3}", {"problem": f"what is {n % 4}?"}) for n in range(57)]
    rows += [("d", "", "r", None), ("d", "c", None, None), ("d", "same", ["other", "same"], None)]
    seen = []
    for has_endpoint in (True, False):
        with JudgeServer(batch_endpoint=has_endpoint) as server:
            options = {"server_url": server.url, "return_details": True}

            async def gathered(options=options):
                return await asyncio.gather(*(compute_score_async(*row, **options) for row in rows))

            ways = [
                [compute_score(*row, **options) for row in rows],
                compute_score_batched(*zip(*rows, strict=True), **options),
                asyncio.run(gathered()),
            ]
            seen += [[(flat["score"], flat["judge_outcome"]) for flat in way] for way in ways]
    assert len(set(seen[0])) > 5
    assert all(way == seen[0] for way in seen)
