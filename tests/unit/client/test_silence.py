"""Servers that take requests and answer nothing, played without threads and sockets."""

import pytest
from game import Game, nothing_is_left

from llm_judge_remote.client.channel import HedgeBudget
from llm_judge_remote.client.chat import ChatReply
from llm_judge_remote.errors import AttemptTimeoutError, ServerUnavailableError


def warm(game, rows=60, seconds=0.1):
    """Every server answers a few rows, in so much time."""
    game.submit(*[(f"warm {n}", f"w{n}") for n in range(rows)])
    while loads := game.take_all():
        game.now += seconds
        for load in loads:
            game.settle(load)


def held_by(server, loads):
    return [load for load in loads if load.server is server]


@pytest.mark.parametrize("rows", [60, 8], ids=["much known", "little known"])
def test_what_a_hanging_server_holds_is_asked_of_the_others_and_it_gets_nothing_more(rows):
    game = Game("a", "b")
    warm(game, rows)
    submission = game.submit(*[(f"row {n}", f"g{n}") for n in range(20)])
    loads = game.take_all()
    silent, well = game.servers
    for load in held_by(well, loads):
        game.now += 0.01
        game.settle(load)
    game.health["a"] = AttemptTimeoutError("it hangs at that, too")
    for _ in range(60):
        game.now += 0.1
        for load in game.take_all():
            assert load.server is well
            game.settle(load)
    assert silent.down_since is not None
    assert "has answered none for" in silent.last_error
    assert all(isinstance(result, ChatReply) for result in submission.results)


def test_a_late_answer_of_a_server_that_seemed_to_hang_puts_it_back():
    game = Game("a", "b", hedge=False)
    warm(game)
    game.submit(*[(f"row {n}", f"g{n}") for n in range(40)])
    loads = game.take_all()
    for load in held_by(game.servers[1], loads):
        game.settle(load)
    for _ in range(40):
        game.now += 0.1
        for load in held_by(game.servers[1], game.take_all()):
            game.settle(load)
    assert game.servers[0].down_since is not None
    game.settle(held_by(game.servers[0], loads)[0])
    assert game.servers[0].down_since is None


def test_a_server_that_answers_others_meanwhile_does_not_hang():
    game = Game("a", "b")
    warm(game)
    game.submit(*[(f"row {n}", f"g{n}") for n in range(40)])
    loads = game.take_all()
    slow = held_by(game.servers[0], loads)
    for load in slow[1:]:
        game.now += 0.2
        game.take_all()
        game.settle(load)
    assert game.servers[0].down_since is None


def test_servers_that_are_all_slow_are_none_that_hang():
    game = Game(*"abcd")
    warm(game)
    submission = game.submit(*[(f"row {n}", f"g{n}") for n in range(64)])
    loads = game.take_all()
    for _ in range(60):
        game.now += 0.1
        loads += game.take_all()
    assert not any(server.down_since for server in game.servers)
    assert len(loads) <= 64 * 1.04 + 4 + 1
    for load in loads:
        game.settle(load)
    assert submission.is_over


def test_what_a_hanging_server_held_is_copied_once_and_no_more():
    game = Game(*"abc")
    warm(game)
    game.submit(*[(f"row {n}", f"g{n}") for n in range(12)])
    loads = game.take_all()
    hanging, *others = game.servers
    for load in [each for server in others for each in held_by(server, loads)]:
        game.settle(load)
    game.health["a"] = AttemptTimeoutError("it hangs at that, too")
    copies = []
    for _ in range(200):
        game.now += 0.1
        new = game.take_all()
        copies += new
        for load in new:
            if load.server is not hanging:
                game.settle(load)
    assert len(copies) <= len(held_by(hanging, loads)) + 1


def test_the_last_server_that_is_left_is_not_given_up_for_its_silence():
    game = Game("a")
    warm(game)
    game.submit("row")
    game.take_all()
    for _ in range(100):
        game.now += 0.1
        game.take_all()
    assert game.servers[0].down_since is None


def test_a_row_that_hangs_at_the_first_contact_is_asked_elsewhere_at_half_its_time():
    game = Game("a", "b")
    submission = game.submit(("row", "g"), deadline=10.0)
    first = game.take()
    game.now += 4.0
    assert game.take() is None
    game.now += 1.5
    second = game.take()
    assert second.server is not first.server
    game.settle(second)
    assert submission.is_over


def test_a_server_is_blamed_for_requests_that_were_given_up_when_it_had_answered_nothing():
    game = Game("a")
    for _ in range(5):
        submission = game.submit("row")
        load = game.take()
        game.now += 3.0
        game.schedule.drop(submission)
        game.settle(load, AttemptTimeoutError("given up", server="a"))
    assert game.servers[0].down_since is not None
    assert "answered nothing for 3 s" in game.servers[0].last_error
    assert nothing_is_left(game)


def test_a_server_is_not_blamed_for_requests_that_were_given_up_at_once_or_while_it_answered_others():
    game = Game("a")
    for wait in (0.1,) * 10:
        submission = game.submit("row")
        load = game.take()
        game.now += wait
        game.schedule.drop(submission)
        game.settle(load, AttemptTimeoutError("given up", server="a"))
    for n in range(10):
        given_up, kept = game.submit(f"row {n}"), game.submit(f"other {n}")
        first, second = game.take_all()
        game.now += 3.0
        game.settle(second)
        game.schedule.drop(given_up)
        game.settle(first, AttemptTimeoutError("given up", server="a"))
        assert kept.is_over
    assert game.servers[0].down_since is None


def test_servers_that_are_gone_cost_a_request_none_of_its_attempts_while_another_answers():
    game = Game(*"abcdefg", max_retries=1)
    warm(game, 70)
    submission = game.submit(("row", "g"))
    asked = []
    while load := game.take():
        asked.append(load.server.address)
        is_last = len(asked) == 7
        game.settle(load, None if is_last else ServerUnavailableError("refused", server=load.server.address))
    assert len(set(asked)) == 7
    assert isinstance(submission.results[0], ChatReply)


def test_asking_again_is_done_less_where_it_does_not_help():
    helpful, useless = HedgeBudget(share=0.04, at_once=0.0), HedgeBudget(share=0.04, at_once=0.0)
    for _ in range(100):
        helpful.ended(won=True)
        useless.ended(won=False)
    for budget in (helpful, useless):
        budget.sent(1000)
    assert sum(helpful.spend(1) for _ in range(100)) in (39, 40)
    assert sum(useless.spend(1) for _ in range(100)) in (9, 10)
