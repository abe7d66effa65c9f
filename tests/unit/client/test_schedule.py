"""What goes next, and what becomes of it."""

import random

import pytest
from game import Game, nothing_is_left, texts

from llm_judge_remote.client.chat import ChatReply
from llm_judge_remote.client.exchange import NoBatchEndpointError
from llm_judge_remote.errors import (
    AttemptTimeoutError,
    ConnectionDroppedError,
    InvalidReplyError,
    OverloadedError,
    RequestRejectedError,
    ServerUnavailableError,
    StatusError,
)


def rejected(status=400):
    return RequestRejectedError("no", status=status, server="a")


# Order


def test_rows_of_a_shuffled_batch_go_group_by_group():
    rows = [(f"{group}{number}", group) for group in "abcde" for number in range(4)]
    random.Random(3).shuffle(rows)
    game = Game(most=1)
    game.submit(*rows)
    order = [text[0] for text in game.finish()]
    assert order == [group for group in dict.fromkeys(order) for _ in range(4)]
    assert nothing_is_left(game)


@pytest.mark.parametrize("kinds", [["k"], ["k", "other"]])
def test_a_group_that_grows_all_the_time_does_not_starve_the_others(kinds):
    game = Game(most=1)
    game.submit("first")
    for kind in kinds:
        game.submit(("of another group", "h", kind))
    for turn in range(200):
        game.submit(f"more {turn}")
        load = game.take()
        if "of another group" in texts(load):
            return
        game.settle(load)
    pytest.fail("it never had its turn")


def test_what_may_not_travel_together_takes_turns():
    game = Game(most=1)
    game.submit(*[(f"k{n}", "g", "k") for n in range(5)], *[(f"o{n}", "g", "other") for n in range(5)], width=10)
    assert [text[0] for text in game.finish()][:6] == list("kokoko")


def test_a_small_call_is_not_behind_all_of_a_large_one():
    game = Game(most=1)
    game.submit(*[(f"large {n}", f"group {n}") for n in range(1000)], width=8)
    game.submit(("small", "its own group"), width=8)
    assert game.finish().index("small") < 10


def test_no_more_of_a_call_than_its_width_is_under_way_also_when_retries_come_back():
    game = Game(hedge=False)
    game.submit(*[(f"row {n}", f"group {n}") for n in range(40)], width=4)
    busiest = 0
    for turn in range(400):
        loads = game.take_all()
        busiest = max(busiest, game.servers[0].in_flight)
        for load in loads:
            fails = turn % 2 == 0 and load.questions[0].attempts == 1
            game.settle(load, ConnectionDroppedError("gone", server="a") if fails else None)
        game.now += 0.1
    assert busiest == 4
    assert nothing_is_left(game)


# Chunks


def test_a_chunk_holds_one_kind_and_the_last_ones_are_small():
    game = Game(most=64)
    game.chunks_of(16)
    game.submit(*[(f"k{n}", "g", "k") for n in range(60)], *[(f"o{n}", "g", "other") for n in range(60)])
    loads = game.take_all()
    sizes = [len(load.questions) for load in loads]
    assert all(len({text[0] for text in texts(load)}) == 1 for load in loads)
    assert max(sizes) > 8
    for load in loads:
        game.settle(load)
    game.finish()
    assert nothing_is_left(game)


@pytest.mark.parametrize("status", [400, 403, 413, 422])
def test_a_refused_chunk_is_halved_until_only_the_guilty_conversation_fails(status):
    game = Game()
    game.chunks_of(32)
    submission = game.submit(*[f"row {n}" for n in range(32)])
    requests = 0
    while (load := game.take()) is not None:
        requests += 1
        game.settle(load, rejected(status) if "row 13" in texts(load) else None)
    failed = [n for n, result in enumerate(submission.results) if isinstance(result, Exception)]
    assert failed == [13]
    assert submission.results[13].attempts > 1
    assert requests <= 2 * 6 + 1 + 3  # and one alone now and then
    assert nothing_is_left(game)


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_key_or_model_fails_a_chunk_at_once(status):
    game = Game()
    game.chunks_of(8)
    submission = game.submit(*[f"row {n}" for n in range(8)])
    game.settle(game.take(), rejected(status))
    sent = game.schedule.counters.requests
    assert game.take() is None or sent < 3
    assert sum(isinstance(result, RequestRejectedError) for result in submission.results) >= 1


@pytest.mark.parametrize(
    "error",
    [
        StatusError("x", status=500, server="a"),
        AttemptTimeoutError("x", server="a"),
        ConnectionDroppedError("x", server="a"),
        InvalidReplyError("x", server="a"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("max_retries", [0, 3])
def test_a_failed_chunk_is_asked_again_one_by_one_and_uses_up_no_retry(error, max_retries):
    game = Game(max_retries=max_retries, hedge=False)
    game.chunks_of(8)
    game.schedule.counters.requests = 1  # not the one that goes alone
    submission = game.submit(*[f"row {n}" for n in range(8)])
    chunk = game.take()
    assert len(chunk.questions) == 8
    game.settle(chunk, error)
    game.now += 1.0
    again = game.take_all()
    assert [len(load.questions) for load in again] == [1] * 8
    for load in again:
        game.settle(load)
    assert [result.passage.attempts for result in submission.results] == [2] * 8
    assert nothing_is_left(game)


def test_what_a_chunk_s_answer_leaves_out_is_asked_again_at_once():
    game = Game(hedge=False)
    game.chunks_of(4)
    game.schedule.counters.requests = 1
    submission = game.submit(*"abcd")
    chunk = game.take()
    yes = ChatReply("yes", "", "stop", 1, 1, "a")
    game.settle(chunk, [yes, InvalidReplyError("missing", server="a"), yes, yes])
    (again,) = game.take_all()
    assert texts(again) == ["b"]
    game.settle(again)
    assert all(isinstance(result, ChatReply) for result in submission.results)


def test_a_server_without_the_batch_endpoint_is_asked_one_by_one_and_the_probe_does_not_count():
    game = Game()
    game.chunks_of(4)
    game.servers[0].has_batch_endpoint = None
    game.schedule.counters.requests = 1
    submission = game.submit(*"abcd")
    game.settle(game.take(), NoBatchEndpointError())
    assert sorted(game.finish()) == list("abcd")
    assert [result.passage.attempts for result in submission.results] == [1] * 4


# Sharing


def test_equal_rows_are_asked_once_and_outlive_the_caller_that_was_first():
    game = Game()
    first, second = game.submit("same"), game.submit("same")
    load = game.take()
    assert game.take() is None
    game.schedule.drop(first)
    assert not load.attempt.aborted
    game.settle(load)
    assert second.is_over
    assert second.results[0].passage.attempts == 1  # the first of those that are left
    assert nothing_is_left(game)


def test_of_two_that_share_an_answer_one_counts_the_request():
    game = Game()
    game.submit("same")
    two = game.submit("same")
    load = game.take()
    assert game.take() is None
    game.settle(load)
    assert (two.results[0].passage.attempts, two.results[0].passage.shared) == (0, True)


# Stragglers


def late(game, siblings=40, took=1.0):
    """A request that takes far longer than its siblings did."""
    for _ in range(siblings):
        game.servers[0].latencies.add(took)
    submission = game.submit("slow")
    load = game.take()
    assert game.take() is None
    game.now += 10 * took
    return submission, load, game.take()


def test_the_first_answer_counts_and_the_other_request_is_given_up():
    game = Game("a", "b")
    submission, load, hedge = late(game)
    assert {load.server.address, hedge.server.address} == {"a", "b"}
    game.settle(hedge)
    assert load.attempt.aborted
    assert submission.results[0].passage.hedged
    game.settle(load, ServerUnavailableError("given up", server="a"))
    assert game.schedule.counters.hedges_won == 1
    assert nothing_is_left(game)


def test_a_request_that_failed_while_its_hedge_is_under_way_is_not_asked_a_third_time():
    game = Game()
    submission, load, hedge = late(game)
    game.settle(load, ConnectionDroppedError("gone", server="a"))
    game.now += 0.5
    assert game.take() is None
    game.settle(hedge)
    assert submission.is_over
    assert nothing_is_left(game)


def test_hedges_have_a_budget():
    game = Game()
    for _ in range(40):
        game.servers[0].latencies.add(1.0)
    game.submit(*[(f"row {n}", f"g{n}") for n in range(100)])
    game.take_all()
    game.now += 60
    game.take_all()
    assert game.schedule.counters.hedged <= 0.04 * 100 + 4


def test_a_chunk_that_hangs_does_not_take_its_neighbours_along_however_many_hang():
    game = Game()
    for _ in range(4):
        game.servers[0].latencies.add(0.01)
    game.chunks_of(4)
    game.schedule.counters.requests = 1  # not the one that goes alone
    submission = game.submit(*[f"row {n}" for n in range(16)])
    chunks = game.take_all()
    assert len(chunks[0].questions) == 4
    game.now += 1.0
    alone = game.take_all()
    assert [len(load.questions) for load in alone] == [1] * len(alone)
    for load in alone[:2]:
        game.settle(load)
    assert [result is not None for result in submission.results] == [True] * 2 + [False] * 14


def test_a_chunk_has_half_the_time_until_the_deadline_whatever_is_known_of_the_server():
    game = Game()
    for _ in range(4):
        game.servers[0].latencies.add(60.0)
    game.chunks_of(4)
    game.schedule.counters.requests = 1  # not the one that goes alone
    game.channel.hedge_budget.spend(4)
    game.submit(*[f"row {n}" for n in range(4)], deadline=10.0)
    (chunk,) = game.take_all()
    game.now += 4.9
    assert game.take() is None
    assert game.wake == pytest.approx(chunk.sent_at + 5.0)
    game.now += 0.2
    assert [len(load.questions) for load in game.take_all()] == [1] * 4


def test_nothing_is_hedged_when_that_is_off():
    game = Game(hedge=False)
    _, _, hedge = late(game)
    assert hedge is None


# Failures, outages, and the end


def test_what_is_turned_away_by_a_busy_server_is_not_lost_however_often():
    game = Game(max_retries=1)
    submission = game.submit("row", "other")
    for _ in range(15):
        for load in game.take_all():
            game.settle(load, OverloadedError("busy", status=503, server="a") if "row" in texts(load) else None)
        game.now += 1.0
    game.finish()
    assert all(isinstance(result, ChatReply) for result in submission.results)


def test_a_call_gives_up_once_the_outage_has_lasted_and_a_trial_was_made_for_it():
    game = Game(outage_grace=5.0, max_retries=0)
    first = game.submit(*[(f"row {n}", f"g{n}") for n in range(20)])
    refused = ServerUnavailableError("refused", server="a")
    sent = 0
    for _ in range(200):
        for load in game.take_all():
            sent += load.server is not None
            game.settle(load, refused if load.server is not None else load.error)
        game.now += 0.1
    assert first.is_over
    assert all(isinstance(result, ServerUnavailableError) for result in first.results)
    assert sent < 35
    assert nothing_is_left(game)


def test_a_dropped_call_leaves_nothing_behind_wherever_its_rows_are():
    game = Game(most=3)
    kept = game.submit("kept")
    submission = game.submit(*[(f"row {n}", f"g{n}") for n in range(50)], width=10)
    loads = game.take_all()
    game.settle(loads[1], ConnectionDroppedError("gone", server="a"))  # one waits for its retry
    preparing, _ = game.schedule.next(game.now)
    game.schedule.drop(submission)
    assert loads[2].attempt.aborted
    assert not game.schedule.asks(preparing, [])
    game.settle(loads[2], ServerUnavailableError("given up", server="a"))
    game.settle(loads[0])
    assert kept.is_over
    game.now += 60
    assert game.take_all() == []
    assert nothing_is_left(game)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_every_call_ends_and_no_place_is_lost(seed):
    chance = random.Random(seed)
    game = Game(*"abc"[: chance.randint(1, 3)], most=chance.choice([1, 3, 8]), outage_grace=1.0)
    game.chunks_of(chance.choice([1, 1, 4, 8]))
    submissions, under_way = [], []
    # Three hundred turns with failures, and then as many without as it takes.
    for turn in range(5000):
        if turn > 300 and not under_way and all(submission.is_over for submission in submissions):
            break
        if turn < 60 and chance.random() < 0.4:
            rows = [
                (f"{chance.randint(0, 99)}", chance.choice("gh"), chance.choice(["k", "o"]))
                for _ in range(chance.randint(1, 12))
            ]
            submissions.append(game.submit(*rows, width=chance.choice([1, 4, 100])))
        under_way += game.take_all()
        assert all(0 <= server.in_flight <= game.channel.pool.most for server in game.servers)
        chance.shuffle(under_way)
        for _ in range(min(len(under_way), chance.randint(0, 3) if turn < 300 else 99)):
            load = under_way.pop()
            address = load.server.address if load.server else "a"
            error = chance.choice(
                [
                    AttemptTimeoutError("x", server=address),
                    ConnectionDroppedError("x", server=address),
                    OverloadedError("x", status=503, server=address, retry_after=chance.choice([None, 2.0])),
                    InvalidReplyError("x", server=address),
                    rejected(),
                ]
            )
            game.settle(load, error if turn < 300 and chance.random() < 0.3 else None if load.server else load.error)
        if submissions and chance.random() < 0.05:
            game.schedule.drop(chance.choice(submissions))
        game.now += chance.choice([0.0, 0.05, 0.5])
    assert all(submission.is_over for submission in submissions)
    assert not under_way
    assert nothing_is_left(game)
    assert all(submission.paused == 0 for submission in submissions if not submission.closed)
