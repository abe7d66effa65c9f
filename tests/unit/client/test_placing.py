"""Which server a group's samples go to, played without threads and sockets."""

import math
import random
from collections import Counter, defaultdict

import pytest
from game import Game, texts

from llm_judge_remote.errors import ConnectionDroppedError, InvalidReplyError
from llm_judge_remote.servers.pool import Patience, ServerPool


def addresses(game):
    """Where all that can go now goes, by text."""
    return {text: load.server.address for load in game.take_all() for text in texts(load)}


def groups(count, size=8):
    return [(f"{group}.{row}", f"g{group}") for group in range(count) for row in range(size)]


def weighted(game, **weights):
    by_address = {server.address: server for server in game.servers}
    game.channel.pool.replace({by_address[address]: weight for address, weight in weights.items()})


@pytest.mark.parametrize("size", [1, 4])
def test_a_group_s_samples_go_to_one_server_and_the_groups_to_all(size):
    game = Game("a", "b", "c")
    game.chunks_of(size)
    game.submit(*groups(40), width=80)
    found = defaultdict(set)
    loads = game.take_all()
    while loads:
        for load in loads:
            for text in texts(load):
                found[text.partition(".")[0]].add(load.server.address)
            game.settle(load)
        loads = game.take_all()
    assert sum(len(places) == 1 for places in found.values()) >= 36  # a full server's group may spread
    assert set.union(*found.values()) == {"a", "b", "c"}


def test_the_same_group_goes_to_the_same_server_in_another_process_and_call():
    def home(order):
        game = Game(*order)
        game.submit(("row", "some group"))
        return set(addresses(game).values())

    assert home("abc") == home("cab") == home("bca")


def test_a_sample_that_comes_alone_goes_where_its_siblings_went():
    game = Game("a", "b", "c")
    for n in range(3):
        game.submit((f"first {n}", "g1"))
        game.submit((f"second {n}", "g2"))
    found = addresses(game)
    assert len({found[f"first {n}"] for n in range(3)}) == len({found[f"second {n}"] for n in range(3)}) == 1


def test_samples_without_siblings_go_where_the_least_is_in_flight():
    game = Game("a", "b", "c")
    game.submit(*[(f"row {n}", f"g{n}") for n in range(30)])
    assert Counter(addresses(game).values()) == {"a": 10, "b": 10, "c": 10}


def test_without_affinity_all_go_where_the_least_is_in_flight():
    game = Game("a", "b", slack=None)
    game.submit(*groups(2))
    assert Counter(addresses(game).values()) == {"a": 8, "b": 8}


def test_by_weight_a_server_gets_more_of_what_has_no_siblings():
    game = Game("a", "b")
    weighted(game, a=3.0, b=1.0)
    game.submit(*[(f"row {n}", f"g{n}") for n in range(40)])
    assert Counter(addresses(game).values()) == {"a": 30, "b": 10}


@pytest.mark.parametrize("chunk", [1, 8])
def test_no_server_ever_holds_more_than_its_share_and_the_slack_of_what_was_let_in(chunk):
    weights = dict(zip("abcdefg", (1.0, 1.0, 1.0, 2.0, 2.0, 0.5, 1.0), strict=True))
    game = Game(*weights, most=1000)
    weighted(game, **weights)
    game.chunks_of(chunk)
    width, slack, chance = 256, 0.25, random.Random(5)
    game.submit(*groups(10_000 if chunk > 1 else 2_000), width=width)
    done, loads, home, spread = 0, [], {}, 0
    while True:
        while (load := game.take()) is not None:
            loads.append(load)
            let_in = sum(server.in_flight for server in game.servers) + game.channel.count
            share = weights[load.server.address] / sum(weights.values()) * let_in
            assert load.server.in_flight <= math.ceil((1 + slack) * share)
        if not loads:
            break
        chance.shuffle(loads)
        for load in loads[: len(loads) // 4 + 1]:
            for text in texts(load):
                group = text.partition(".")[0]
                spread += home.setdefault(group, load.server.address) != load.server.address
                done += 1
            game.settle(load)
        del loads[: len(loads) // 4 + 1]
    assert done == 8 * len(home)
    assert spread < 0.1 * done  # the bound costs some affinity, and not much


def test_when_a_server_leaves_only_its_groups_move():
    def homes(*servers):
        game = Game(*servers, most=10_000)
        found = {}
        for number in range(500):
            game.submit((f"row {number}", f"g{number}"))
            load = game.take()
            found[f"row {number}"] = load.server.address
            game.settle(load)
        return found

    before, after = homes(*"abcde"), homes(*"abcd")
    assert {before[row] for row in before if before[row] != after[row]} == {"e"}


def test_a_group_whose_server_is_full_lets_others_pass_and_goes_on_when_there_is_room():
    game = Game("a", "b", most=4)
    game.submit(*groups(8), width=64)
    first = game.take_all()
    assert Counter(load.server.address for load in first) == {"a": 4, "b": 4}
    at_home = {text.partition(".")[0] for load in first if load.server.address == "a" for text in texts(load)}
    done = next(load for load in first if load.server.address == "a")
    game.settle(done)
    (following,) = game.take_all()
    assert following.server.address == "a"
    assert texts(following)[0].partition(".")[0] in at_home


def test_a_retry_goes_to_the_next_in_the_group_s_order_at_once():
    game = Game("a", "b", "c")
    game.submit(("row", "some group"))
    first = game.take()
    game.settle(first, ConnectionDroppedError("gone", server=first.server.address))
    second = game.take()
    assert second.server.address != first.server.address
    game.settle(second, ConnectionDroppedError("gone", server=second.server.address))
    assert game.take() is None  # the second failure waits
    game.now += 10.0
    assert game.take().server.address not in (first.server.address, second.server.address)


def test_a_retry_waits_a_moment_for_room_at_a_server_that_has_not_failed_it():
    game = Game("a", "b", most=1, slack=None)
    game.submit("keeps b full")
    (other,) = game.take_all()
    game.submit("row")
    (first,) = game.take_all()
    game.settle(first, InvalidReplyError("garbage", server=first.server.address))
    assert game.take() is None
    game.settle(other)
    game.now += 0.1
    assert game.take().server is other.server


def test_a_retry_waits_for_room_no_longer_than_a_moment():
    game = Game("a", "b", most=1, slack=None)
    game.submit("keeps b full")
    game.take_all()
    game.submit("row")
    (first,) = game.take_all()
    game.settle(first, InvalidReplyError("garbage", server=first.server.address))
    for _ in range(60):
        game.now += 0.1
        if (second := game.take()) is not None:
            break
    assert second.server is first.server


def test_a_server_that_comes_gets_its_share_of_what_waits():
    game = Game("a", "b", "new")
    a, b, new = game.servers
    game.channel.pool.replace([a, b])
    game.submit(*groups(60), width=48)
    loads = game.take_all()
    assert {load.server.address for load in loads} == {"a", "b"}
    game.channel.pool.replace([a, b, new])
    seen = Counter()
    while loads:
        for load in loads:
            seen[load.server.address] += 1
            game.settle(load)
        loads = game.take_all()
    assert seen["new"] > sum(seen.values()) / 5


def test_a_server_that_leaves_gets_nothing_more_and_what_it_has_ends_well():
    game = Game("a", "b")
    submission = game.submit(*groups(4), width=16)
    loads = game.take_all()
    game.channel.pool.replace(game.servers[:1])
    for load in loads:
        game.settle(load)
    later = game.take_all()
    assert {load.server.address for load in later} == {"a"}
    for load in later:
        game.settle(load)
    game.finish()
    assert submission.is_over
    assert [server.in_flight for server in game.servers] == [0, 0]


def test_with_nobody_in_it_a_pool_is_down_and_says_why():
    pool = ServerPool([], patience=Patience(outage=5.0, startup=30.0))
    pool.absence = "file:///shared/judge lists none"
    assert pool.is_down
    assert pool.choose(100.0) is None
    assert pool.patience(100.0, since=100.0) == 30
    assert pool.patience(131.0, since=131.0) == 0
    assert "file:///shared/judge lists none" in str(pool.unavailable())


def test_a_chunk_ends_with_a_group_so_that_a_balancer_cuts_none_in_two():
    game = Game("a")
    game.chunks_of(16)
    game.submit(*groups(30, size=6), width=180)
    first, *chunks = game.take_all()
    assert texts(first) == ["0.0"]  # one goes alone now and then, to be measured
    whole = [text.partition(".")[0] for load in chunks[:6] for text in texts(load)]
    assert set(Counter(whole).values()) - {5} == {6}
    assert all(10 < len(texts(load)) <= 16 for load in chunks[:6])


def test_a_group_that_is_larger_than_a_chunk_fills_several():
    game = Game("a")
    game.chunks_of(8)
    game.submit(*[(f"row {n}", "one group") for n in range(80)])
    assert [len(texts(load)) for load in game.take_all()][1:5] == [8, 8, 8, 8]
