"""Service times, slots, the queue, and pauses."""

from __future__ import annotations

import json
import random
import statistics
import time

import pytest

from llm_judge_remote.testing import Fault, JudgeServer, exponential, fixed, lognormal
from llm_judge_remote.testing.service_time import parse_service_time


def answers(futures):
    return [future.result(20).status_code for future in futures]


def test_conversations_beyond_the_slots_wait_in_the_queue(at_once):
    with JudgeServer(slots=3) as server:
        server.pause()
        futures = at_once(server, [str(number) for number in range(8)])
        stats = server.wait_until(lambda stats: stats.in_service + stats.queued == 8)
        assert (stats.in_service, stats.queued) == (3, 5)
        server.resume()
        assert answers(futures) == [200] * 8
        stats = server.stats
    assert (stats.in_service, stats.queued) == (0, 0)
    assert (stats.peak_concurrency, stats.peak_queued) == (3, 5)


def test_a_free_slot_goes_to_whoever_waits_longest(raw):
    with JudgeServer(slots=1, faults=[Fault("hang", match="hang")]) as server:
        connections = []
        for number, text in enumerate(["hang", "second", "third", "hang too", "fifth"]):
            connections.append(raw(server, text=text))
            server.wait_until(lambda stats, number=number: stats.in_service + stats.queued == number + 1)
        connections[0].close()
        # In any other order, one of these two would wait behind the second that hangs.
        assert connections[1].recv(12) == b"HTTP/1.1 200"
        assert connections[2].recv(12) == b"HTTP/1.1 200"
        server.wait_until(lambda stats: (stats.in_service, stats.queued) == (1, 1))


def test_a_client_that_leaves_the_queue_takes_no_slot(raw):
    with JudgeServer(slots=1, faults=[Fault("hang", match="hang")]) as server:
        hanging = raw(server, text="hang")
        server.wait_until(lambda stats: stats.in_service == 1)
        waiting = raw(server, text="hang too")
        server.wait_until(lambda stats: stats.queued == 1)
        last = raw(server, text="last")
        server.wait_until(lambda stats: stats.queued == 2)
        waiting.close()
        assert server.wait_until(lambda stats: stats.aborted == 1).queued == 1
        hanging.close()
        assert last.recv(12) == b"HTTP/1.1 200"


def test_each_conversation_of_a_batch_takes_a_slot_of_its_own(connect):
    with JudgeServer(slots=2, service_time=0.05) as server:
        start = time.monotonic()
        assert connect(server).batch(list("abcde")).status_code == 200
        took = time.monotonic() - start
        stats = server.stats
    assert (stats.conversations, stats.peak_concurrency, stats.peak_queued) == (5, 2, 3)
    assert took >= 0.15


def test_without_slots_all_are_in_service_at_once(at_once):
    with JudgeServer() as server:
        server.pause()
        futures = at_once(server, [str(number) for number in range(40)])
        assert server.wait_until(lambda stats: stats.in_service == 40).queued == 0
        server.resume()
        assert answers(futures) == [200] * 40
        assert (server.stats.peak_concurrency, server.stats.peak_queued) == (40, 0)


def test_a_batch_leaves_its_slots_when_its_client_does(raw):
    body = json.dumps({"messages": [[{"role": "user", "content": f"hang {number}"}] for number in range(4)]}).encode()
    head = b"POST /v1/chat/completions/batch HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with JudgeServer(slots=3, faults=[Fault("hang", match="hang")]) as server:
        batch = raw(server, head % len(body) + body)
        server.wait_until(lambda stats: (stats.in_service, stats.queued) == (3, 1))
        batch.close()
        stats = server.wait_until(lambda stats: stats.aborted == 1)
        assert (stats.in_service, stats.queued) == (0, 0)


def test_the_service_time_passes_before_the_answer(connect):
    with JudgeServer(service_time=0.1) as server:
        client = connect(server)
        start = time.monotonic()
        client.chat()
        assert time.monotonic() - start >= 0.1
        server.service_time = None
        client.chat()


def seen_times(connect, texts, seed):
    times = {}

    def service_time(rng):
        times[texts[len(times)]] = rng.random()
        return 0.0

    with JudgeServer(service_time=service_time, seed=seed) as server:
        client = connect(server)
        for text in texts:
            client.chat(text)
    return times


def test_a_service_time_is_a_function_of_seed_and_conversation(connect):
    texts = [f"sample {number}" for number in range(10)]
    first = seen_times(connect, texts, seed=1)
    assert first == seen_times(connect, texts[::-1], seed=1)
    assert first != seen_times(connect, texts, seed=2)
    assert len(set(first.values())) == 10


@pytest.mark.parametrize(
    ("service_time", "mean", "deviation"),
    [
        (fixed(0.5), 0.5, 0.0),
        (exponential(2.0), 2.0, 2.0),
        (lognormal(1.0, 0.5), 1.0, 0.533),  # sqrt(exp(sigma^2) - 1)
        (parse_service_time("0.5"), 0.5, 0.0),
        (parse_service_time("exponential:2"), 2.0, 2.0),
        (parse_service_time("lognormal:1.0,0.5"), 1.0, 0.533),
    ],
)
def test_distributions_have_the_mean_that_they_are_given(service_time, mean, deviation):
    rng = random.Random(7)
    times = [service_time(rng) for _ in range(20_000)]
    assert statistics.fmean(times) == pytest.approx(mean, rel=0.05)
    assert statistics.pstdev(times) == pytest.approx(deviation, rel=0.1, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "fast", "fixed:", "fixed:1,2", "lognormal:1", "normal:1,2", "-1", "nan", "lognormal:0,1"]
)
def test_a_text_that_is_no_service_time_is_a_value_error(text):
    with pytest.raises(ValueError, match="service time"):
        parse_service_time(text)


@pytest.mark.parametrize("options", [{"slots": 0}, {"max_model_len": 0}, {"keep_requests": -1}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="start at 1"):
        JudgeServer(**options)


def test_a_paused_server_takes_requests_and_answers_none_until_it_goes_on(raw):
    with JudgeServer() as server:
        server.pause()
        chat = raw(server)
        health = raw(server, b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_until(lambda stats: stats.requests == 2 and stats.in_service == 1)
        for connection in (chat, health):
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(20)
        server.resume()
        for connection in (chat, health):
            assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_server_can_be_paused_before_it_starts(raw):
    server = JudgeServer()
    server.pause()
    with server:
        chat = raw(server)
        server.wait_until(lambda stats: stats.in_service == 1)
        server.resume()
        assert chat.recv(12) == b"HTTP/1.1 200"


def test_waiting_for_what_does_not_come_ends_with_the_counts(server):
    with pytest.raises(TimeoutError, match="requests=0"):
        server.wait_until(lambda stats: stats.requests == 1, timeout=0.05)
