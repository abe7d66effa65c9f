"""A failure is not a zero: what happens when servers are slow, wrong or gone."""

import logging
import socket
import threading
import time

import pytest

from llm_judge_remote import (
    Judge,
    JudgeSettings,
    JudgingFailedError,
    Outcome,
    Sample,
    compute_score,
    compute_score_batched,
)
from llm_judge_remote.testing import Fault, JudgeServer


def samples(count):
    return [Sample(f"candidate {n}", (f"reference {n}",)) for n in range(count)]


def judge_of(server, **settings):
    address = server if isinstance(server, str) else server.url
    return Judge(JudgeSettings(**{"server_url": address, "max_retries": 2, "outage_grace": 1.0, **settings}))


@pytest.fixture
def nobody():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


PASSING = {
    "500": Fault("status", status=500, first_attempt_only=True),
    "503 with Retry-After": Fault("status", status=503, retry_after=0.1, first_attempt_only=True),
    "429": Fault("status", status=429, retry_after=0, first_attempt_only=True),
    "408": Fault("status", status=408, first_attempt_only=True),
    "reset": Fault("reset", first_attempt_only=True),
    "drop mid-body": Fault("drop", first_attempt_only=True),
    "truncated JSON": Fault("truncated", first_attempt_only=True),
    "garbage": Fault("garbage", first_attempt_only=True),
    "empty choices": Fault("empty_choices", first_attempt_only=True),
    "null content": Fault("null_content", first_attempt_only=True),
    "no verdict": Fault("no_verdict", match=lambda conversation: len(conversation.messages) == 2),
    "hang": Fault("hang", first_attempt_only=True),
    "drip": Fault("drip", seconds=0.2, first_attempt_only=True),
    "dripping head": Fault("drip_headers", seconds=0.2, first_attempt_only=True),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_fault_that_passes_costs_no_row_its_judge(fault):
    with JudgeServer(judge="REWARD: 0.5", faults=[fault]) as server, judge_of(server, timeout=1.0) as judge:
        judgements = judge.score(samples(4))
        assert sum(server.stats.faults.values()) >= 4
    assert [(j.outcome, j.score) for j in judgements] == [(Outcome.JUDGED, 0.5)] * 4
    assert all(j.attempts >= 2 for j in judgements)


LASTING = {
    "500": (Fault("status", status=500), "500", 3),
    "reset": (Fault("reset"), "ended the connection", 3),
    "garbage": (Fault("garbage"), "no JSON object", 3),
    "empty choices": (Fault("empty_choices"), "no chat completion", 3),
    "hang": (Fault("hang"), "had not answered after 0.3 s", 3),
    "400": (Fault("status", status=400), "400", 1),
    "403": (Fault("status", status=403), "403", 1),
    "422": (Fault("status", status=422), "422", 1),
}


@pytest.mark.parametrize(("fault", "words", "attempts"), LASTING.values(), ids=LASTING)
def test_a_fault_that_lasts_ends_in_the_fallback_which_names_it(fault, words, attempts):
    with JudgeServer(faults=[fault]) as server, judge_of(server, timeout=0.3) as judge:
        (judgement,) = judge.score([Sample("same", ("same",))])
        assert server.stats.requests == attempts
    assert (judgement.outcome, judgement.score, judgement.attempts) == (Outcome.FALLBACK, 1.0, attempts)
    assert words in judgement.reason


def test_one_bad_row_touches_no_other_row():
    with JudgeServer(judge="REWARD: 0.5", faults=[Fault("status", status=500, match="candidate 7\n")]) as server:
        judgements = judge_of(server).score(samples(20))
    assert [n for n, j in enumerate(judgements) if j.outcome is not Outcome.JUDGED] == [7]


FALLBACKS = [("lexical", 1.0), ("zero", 0.0), (0.25, 0.25), ("0.75", 0.75)]


@pytest.mark.parametrize(("fallback", "score"), FALLBACKS)
def test_the_fallback_is_what_the_settings_say(fallback, score, nobody):
    with judge_of(nobody, fallback=fallback, outage_grace=0) as judge:
        (judgement,) = judge.score([Sample("same", ("same",))])
    assert (judgement.score, judgement.outcome) == (score, Outcome.FALLBACK)
    assert "cannot be reached" in judgement.reason


def test_fallback_raise_raises_after_the_call_and_keeps_what_was_judged():
    fault = Fault("status", status=400, match="candidate 1\n")
    with (
        JudgeServer(judge="REWARD: 0.5", faults=[fault]) as server,
        judge_of(server, fallback="raise") as judge,
        pytest.raises(JudgingFailedError, match="1 of 3 rows were not judged") as caught,
    ):
        judge.score(samples(3))
    assert [j.outcome for j in caught.value.judgements] == [Outcome.JUDGED, Outcome.FAILED, Outcome.JUDGED]


def test_on_unavailable_raise_stops_when_no_server_answers_and_only_then(nobody):
    with judge_of(nobody, on_unavailable="raise", outage_grace=0) as judge, pytest.raises(JudgingFailedError):
        judge.score(samples(2))
    fault = Fault("status", status=400)
    with JudgeServer(faults=[fault]) as server, judge_of(server, on_unavailable="raise") as judge:
        assert judge.score(samples(1))[0].outcome is Outcome.FALLBACK


@pytest.mark.parametrize("fault", [Fault("hang"), Fault("status", status=502), Fault("reset")], ids=lambda f: f.kind)
def test_on_unavailable_raise_stops_at_the_first_row_that_no_server_answered(fault):
    with (
        JudgeServer(faults=[fault]) as server,
        judge_of(server, on_unavailable="raise", timeout=0.3) as judge,
        pytest.raises(JudgingFailedError),
    ):
        judge.score(samples(1))


def test_a_server_stopped_halfway_leaves_judged_rows_judged_and_is_found_again_after_a_restart():
    with JudgeServer(judge="REWARD: 0.5", service_time=0.02, slots=4) as server:
        options = {"server_url": server.url, "batch_size": 4, "outage_grace": 1.0, "return_details": True}
        columns = (["d"] * 200, [f"candidate {n}" for n in range(200)], [f"reference {n}" for n in range(200)])

        def stop_halfway():
            server.wait_until(lambda stats: stats.conversations >= 100)
            server.stop()

        stopper = threading.Thread(target=stop_halfway)
        stopper.start()
        began = time.monotonic()
        rows = compute_score_batched(*columns, **options)
        took = time.monotonic() - began
        stopper.join()
        outcomes = [row["judge_outcome"] for row in rows]
        assert 90 <= outcomes.count("judged") < 200
        assert set(outcomes) == {"judged", "fallback"}
        assert all(row["score"] == 0.5 for row in rows if row["judge_ok"])
        assert all(row["judge_reason"] for row in rows if not row["judge_ok"])
        assert took < 30  # not one time limit or backoff for each of the hundred rows left

        server.start()
        again = compute_score_batched(*columns, **options)
        assert [row["judge_outcome"] for row in again] == ["judged"] * 200


def test_a_server_that_hangs_costs_a_call_one_timeout_and_not_one_for_each_row():
    with JudgeServer(judge="REWARD: 0.5") as server:
        server.pause()
        with judge_of(server, timeout=1.0, batch_size=8, outage_grace=1.0) as judge:
            began = time.monotonic()
            judgements = judge.score(samples(400))
            took = time.monotonic() - began
            assert {j.outcome for j in judgements} == {Outcome.FALLBACK}
            assert took < 20  # fifty rounds of one second and more, otherwise
            server.resume()
            assert {j.outcome for j in judge.score(samples(20))} == {Outcome.JUDGED}


def test_a_short_restart_in_the_middle_of_a_call_costs_no_row_its_judge():
    with JudgeServer(judge="REWARD: 0.5", service_time=0.02, slots=4) as server:

        def restart():
            server.wait_until(lambda stats: stats.conversations >= 30)
            server.stop()
            server.start()

        restarter = threading.Thread(target=restart)
        restarter.start()
        with judge_of(server, batch_size=8, outage_grace=10, max_retries=3) as judge:
            judgements = judge.score(samples(100))
        restarter.join()
    assert [j.outcome for j in judgements] == [Outcome.JUDGED] * 100


def test_a_request_that_fails_on_one_server_goes_to_another(nobody):
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(f"{nobody},{server.url}", hedging="off") as judge:
        judgements = judge.score(samples(50))
        assert [j.outcome for j in judgements] == [Outcome.JUDGED] * 50
        assert {j.server for j in judgements} == {server.url}
        assert server.stats.conversations == 50


def test_the_load_goes_to_all_servers():
    options = {"judge": "REWARD: 0.5", "service_time": 0.02}
    with JudgeServer(**options) as one, JudgeServer(**options) as two:
        judge_of(f"{one.url}, {two.url}", batch_size=8).score(samples(80))
        assert min(one.stats.conversations, two.stats.conversations) >= 20


def test_when_the_deadline_has_passed_every_row_has_a_score_and_the_call_returns():
    with (
        JudgeServer(judge="REWARD: 0.5", faults=[Fault("hang", match="candidate 1")]) as server,
        judge_of(server, deadline=1.0, batch_size=32) as judge,
    ):
        began = time.monotonic()
        judgements = judge.score(samples(20))
        took = time.monotonic() - began
        hung = [n for n in range(20) if str(n).startswith("1")]
        assert [n for n, j in enumerate(judgements) if j.outcome is Outcome.FALLBACK] == hung
        assert {j.reason for j in judgements if j.outcome is Outcome.FALLBACK} == {"the call's deadline passed"}
        assert 1.0 <= took < 5.0
        assert server.wait_until(lambda stats: not stats.in_service).aborted > 0


def test_a_deadline_does_not_count_against_the_server():
    with JudgeServer(judge="REWARD: 0.5", service_time=0.3) as server:
        judge = judge_of(server, deadline=0.05, batch_size=32)
        assert {j.outcome for j in judge.score(samples(20))} == {Outcome.FALLBACK}
        relaxed = JudgeSettings(server_url=server.url, max_retries=2, outage_grace=1.0)
        assert {j.outcome for j in judge.score(samples(20), relaxed)} == {Outcome.JUDGED}
        judge.close()


def test_at_most_batch_size_requests_are_in_flight():
    with JudgeServer(judge="REWARD: 0.5", service_time=0.02) as server, judge_of(server, batch_size=5) as judge:
        judge.score(samples(60))
        assert server.stats.peak_concurrency == 5
        assert server.stats.connections <= 6


def test_retries_have_a_budget_for_all_rows_together():
    fault = Fault("status", status=429, retry_after=0)
    with JudgeServer(faults=[fault]) as server, judge_of(server, timeout=2.0) as judge:
        judge.score(samples(400))
        assert server.stats.requests <= 400 + 100


def test_an_outage_is_logged_once_and_not_once_for_each_row_or_call(nobody, caplog):
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        compute_score_batched(
            ["d"] * 10, list("abcdefghij"), ["r"] * 10, server_url=nobody, outage_grace=0.1, max_retries=0
        )
    assert len([record for record in caplog.records if "not judged" in record.message]) == 1
    assert len([record for record in caplog.records if "does not answer yet" in record.message]) == 1


def test_a_key_shows_in_no_log_and_no_reason(caplog):
    caplog.set_level(logging.DEBUG)
    with JudgeServer(api_key="right") as server:
        flat = compute_score("d", "c", "r", server_url=server.url, api_key="hunter2", return_details=True)
    assert flat["judge_ok"] == 0
    assert "hunter2" not in caplog.text + str(flat)
