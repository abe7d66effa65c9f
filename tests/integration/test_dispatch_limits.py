"""How much is sent at once, and what a server that takes less gets."""

import subprocess
import sys
import threading
import time

import pytest

from llm_judge_remote import Judge, JudgeSettings, Outcome, Sample
from llm_judge_remote.servers.chunk_size import ChunkSize
from llm_judge_remote.testing import Fault, JudgeServer

PATIENCE_S = 30.0


def samples(count, first=0):
    return [Sample(f"candidate {n}!", ("reference",)) for n in range(first, first + count)]


def judge_of(server, **options):
    return Judge(JudgeSettings(server_url=server.url, **options))


def outcomes(judgements):
    return {judgement.outcome for judgement in judgements}


def at_once(*calls):
    """Make the calls in a thread each, and wait for all."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture(params=["alone", "in chunks"])
def _travel(request, monkeypatch):
    size = 4 if request.param == "in chunks" else 1
    monkeypatch.setattr(ChunkSize, "best", lambda self, most, parallel, requests: max(min(size, int(parallel)), 1))


@pytest.mark.usefixtures("_travel")
def test_several_calls_together_never_have_more_in_flight_than_a_server_may_be_given():
    with (
        JudgeServer(judge="REWARD: 0.5", service_time=0.02) as server,
        judge_of(server, max_in_flight=10, hedging="off") as judge,
    ):
        judged = []
        at_once(*(lambda n=n: judged.extend(judge.score(samples(60, first=1000 * n))) for n in range(4)))
        assert len(judged) == 240
        assert outcomes(judged) == {Outcome.JUDGED}
        assert 5 <= server.stats.peak_concurrency <= 10


@pytest.mark.usefixtures("_travel")
def test_a_call_has_no_more_in_flight_than_its_batch_size():
    with (
        JudgeServer(judge="REWARD: 0.5", service_time=0.01) as server,
        judge_of(server, batch_size=6, hedging="off") as judge,
    ):
        assert outcomes(judge.score(samples(60))) == {Outcome.JUDGED}
        assert 3 <= server.stats.peak_concurrency <= 6


def test_judges_settings_that_differ_share_what_a_server_may_be_given():
    with JudgeServer(judge="REWARD: 0.5", service_time=0.02) as server, judge_of(server, max_in_flight=8) as judge:
        other = JudgeSettings(server_url=server.url, max_in_flight=8, timeout=7, hedging="off")
        at_once(lambda: judge.score(samples(60)), lambda: judge.score(samples(60, first=100), other))
        assert server.stats.peak_concurrency <= 8


def test_a_server_that_takes_less_is_given_less_loses_nothing_and_is_given_more_when_it_takes_more():
    with (
        JudgeServer(judge="REWARD: 0.5", service_time=0.02) as server,
        judge_of(server, max_in_flight=64, batch_endpoint="off", hedging="off", fallback="zero") as judge,
    ):
        full = Fault("status", status=503, match=lambda _: server.stats.in_service >= 8)
        server.inject(full)
        judgements = judge.score(samples(300))
        assert outcomes(judgements) == {Outcome.JUDGED}
        rejected = judge.stats().rejected
        assert 0 < rejected == server.stats.statuses[503]
        assert rejected <= 200  # a storm would be several for each row
        limit = judge.stats().servers[0].limit
        assert limit < 32
        server.clear_faults()
        assert outcomes(judge.score(samples(400, first=1000))) == {Outcome.JUDGED}
        assert judge.stats().servers[0].limit > limit
        assert judge.stats().rejected == rejected


def test_a_server_that_turns_everything_away_for_a_while_is_waited_for():
    with (
        JudgeServer(judge="REWARD: 0.5") as server,
        judge_of(server, max_in_flight=32, outage_grace=0.1, fallback="zero") as judge,
    ):
        server.loading = True
        over = threading.Timer(1.0, lambda: setattr(server, "loading", False))
        over.start()
        judgements = judge.score(samples(60))
        over.join()
        assert outcomes(judgements) == {Outcome.JUDGED}
        assert server.stats.statuses[503] <= 60
        assert judge.stats().servers[0].is_up


def test_retry_after_is_honoured():
    fault = Fault("status", status=429, retry_after=1, times=1)
    with JudgeServer(judge="REWARD: 0.5", faults=[fault]) as server, judge_of(server) as judge:
        began = time.monotonic()
        (judgement,) = judge.score(samples(1))
        assert judgement.outcome is Outcome.JUDGED
        assert time.monotonic() - began >= 1.0


@pytest.mark.usefixtures("_travel")
def test_judges_of_one_process_that_share_a_limit_have_it_together(tmp_path):
    options = {"shared_limit": str(tmp_path / "limit"), "max_in_flight": 6, "hedging": "off"}
    with (
        JudgeServer(judge="REWARD: 0.5", service_time=0.01) as server,
        judge_of(server, **options) as one,
        judge_of(server, **options) as other,
    ):
        judged = []
        at_once(
            lambda: judged.extend(one.score(samples(60))), lambda: judged.extend(other.score(samples(60, first=100)))
        )
        assert len(judged) == 120
        assert outcomes(judged) == {Outcome.JUDGED}
        assert server.stats.peak_concurrency <= 6


def test_processes_that_share_a_limit_have_it_together(tmp_path):
    path = str(tmp_path / "limit")
    code = (
        "import sys\n"
        "from llm_judge_remote import Judge, JudgeSettings, Sample\n"
        "url, path = sys.argv[1:]\n"
        "settings = JudgeSettings(server_url=url, shared_limit=path, max_in_flight=6, hedging='off')\n"
        "with Judge(settings) as judge:\n"
        "    judge.score([Sample('first', ('r',))])\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    print({str(each.outcome) for each in judge.score([Sample(f'child {n}', ('r',)) for n in range(100)])})\n"
    )
    with (
        JudgeServer(judge="REWARD: 0.5", service_time=0.02) as server,
        judge_of(server, shared_limit=path, max_in_flight=6, hedging="off") as judge,
        subprocess.Popen(
            [sys.executable, "-c", code, server.url, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child,
    ):
        assert child.stdout.readline() == "ready\n"
        child.stdin.write("go\n")
        child.stdin.flush()
        assert outcomes(judge.score(samples(100))) == {Outcome.JUDGED}
        assert child.communicate(timeout=PATIENCE_S)[0] == "{'judged'}\n"
        assert server.stats.peak_concurrency <= 6


def test_what_was_sent_is_counted():
    faults = [Fault("status", status=500, times=3)]
    with (
        JudgeServer(judge="REWARD: 0.5", faults=faults) as server,
        judge_of(server, batch_endpoint="off", hedging="off") as judge,
    ):
        judge.score(samples(40))
        stats = judge.stats()
        assert (stats.requests, stats.sent, stats.chunks, stats.retried) == (43, 43, 0, 3)
        assert (stats.waiting, stats.in_flight, stats.dropped, stats.shared, stats.cached) == (0, 0, 0, 0, 0)
        assert 0 < stats.service_p50_s <= stats.service_p99_s
        assert 0 < stats.queue_p50_s <= stats.queue_p99_s
        (described,) = stats.servers
        assert (described.address, described.is_up, described.has_batch_endpoint) == (server.url, True, None)
