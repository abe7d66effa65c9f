import pytest

from llm_judge_remote.errors import ServerUnavailableError
from llm_judge_remote.servers.pool import Patience, ServerPool
from llm_judge_remote.servers.server import Server


def pool_of(*addresses, grace=5.0, **options):
    patience = Patience(grace, options.pop("timeout", 60.0), options.pop("startup", 0.0))
    return ServerPool([Server(address) for address in addresses], patience=patience, **options)


def send(pool, now=100.0, avoid=()):
    """What the dispatcher does with a request: the address of the server that it goes to; all say they are well."""
    while (sick := pool.due_for_probe(now)) is not None:
        sick.begin_trial(now)
        sick.seems_well(now)
    server = pool.choose(now, avoid)
    if server is None:
        return None
    server.in_flight += 1
    server.requests += 1
    if server.down_since is not None:
        server.begin_trial(now)
    return server.address


def take_down(pool, *addresses, now=100.0):
    for server in pool.servers:
        if server.address in addresses:
            for _ in range(5):
                server.failed(now, "refused")


def only(pool):
    (server,) = pool.servers
    return server


def test_a_request_goes_to_the_server_with_the_least_in_flight():
    pool = pool_of("a", "b")
    assert sorted(send(pool) for _ in range(4)) == ["a", "a", "b", "b"]


def test_each_server_gets_as_much_as_the_pool_allows_and_no_more():
    pool = pool_of("a", "b", most=2)
    assert sorted(send(pool) for _ in range(4)) == ["a", "a", "b", "b"]
    assert send(pool) is None


def test_a_server_whose_limit_has_fallen_gets_less():
    pool = pool_of("a", "b", most=4)
    pool.servers[0].limit.value = 1.0
    assert sorted(send(pool) for _ in range(5)) == ["a", "b", "b", "b", "b"]
    assert send(pool) is None


def test_each_server_gets_as_many_requests_as_there_are_connections():
    pool = pool_of("a", most_requests=2)
    assert [send(pool) for _ in range(3)] == ["a", "a", None]
    assert only(pool).room(pool.most)


def test_a_retry_goes_to_a_server_that_has_not_failed_it():
    pool = pool_of("a", "b")
    assert [send(pool, avoid=["a"]) for _ in range(3)] == ["b", "b", "b"]


def test_a_retry_goes_to_a_server_that_has_failed_it_when_there_is_no_other():
    pool = pool_of("a", "b")
    assert send(pool, avoid=["a", "b"]) == "a"
    take_down(pool, "b")
    assert send(pool, avoid=["a"]) == "a"


def test_a_retry_goes_to_the_server_that_failed_it_when_no_other_has_room():
    pool = pool_of("a", "b", most=1)
    assert [send(pool, avoid=["a"]) for _ in range(3)] == ["b", "a", None]


def test_a_server_that_is_down_gets_nothing_before_a_trial_is_due():
    pool = pool_of("a", "b")
    take_down(pool, "a", now=100.0)
    assert {send(pool, now=100.1) for _ in range(4)} == {"b"}
    assert not pool.is_down


def test_a_server_that_is_down_gets_one_trial_at_a_time_and_a_success_ends_it():
    pool = pool_of("a", "b")
    take_down(pool, "a", now=100.0)
    assert [send(pool, now=101.0) for _ in range(3)] == ["a", "b", "b"]
    pool.servers[0].succeeded()
    assert {send(pool, now=101.0) for _ in range(3)} == {"a", "b"}


def test_a_request_that_a_server_has_failed_is_no_trial_for_it_while_another_answers():
    pool = pool_of("a", "b")
    take_down(pool, "a", now=100.0)
    assert send(pool, now=101.0, avoid=["a"]) == "b"
    take_down(pool, "b", now=101.0)
    assert send(pool, now=101.1, avoid=["a"]) == "a"


def test_a_trial_needs_no_room():
    pool = pool_of("a", most=1)
    assert send(pool) == "a"
    take_down(pool, "a", now=100.0)
    assert send(pool, now=101.0) == "a"


def test_it_is_down_when_all_its_servers_are():
    pool = pool_of("a", "b")
    take_down(pool, "a")
    assert not pool.is_down
    take_down(pool, "b")
    assert pool.is_down
    assert send(pool, now=100.1) is None


def test_the_next_trial_is_the_earliest_of_all_servers():
    pool = pool_of("a", "b")
    take_down(pool, "a", now=100.0)
    take_down(pool, "b", now=100.2)
    assert pool.next_trial(100.2) == pytest.approx(100.25)
    assert send(pool, now=100.25) == "a"
    assert pool.next_trial(100.25) == pytest.approx(100.45)
    assert send(pool, now=100.45) == "b"
    assert pool.next_trial(100.45) == float("inf")


def test_an_abandoned_trial_makes_room_for_the_next():
    pool = pool_of("a")
    take_down(pool, "a", now=100.0)
    assert [send(pool, now=101.0), send(pool, now=101.0)] == ["a", None]
    only(pool).abandoned()
    assert send(pool, now=101.0) == "a"


def test_a_call_that_lived_through_the_outage_waits_for_the_grace_and_no_longer():
    pool = pool_of("a", grace=5.0)
    take_down(pool, "a", now=100.0)
    assert pool.patience(100.0, since=90.0) == 5
    only(pool).begin_trial(101.0)
    only(pool).failed(101.0, "refused")
    assert pool.patience(104.0, since=90.0) == pytest.approx(1)
    assert pool.patience(105.0, since=90.0) == 0


def test_a_call_begun_in_an_outage_waits_for_the_grace_from_its_own_beginning():
    pool = pool_of("a", grace=5.0)
    take_down(pool, "a", now=100.0)
    assert pool.patience(102.0, since=102.0) == 5


def test_a_new_call_in_an_old_outage_waits_for_one_trial_only():
    pool = pool_of("a", grace=5.0)
    take_down(pool, "a", now=100.0)
    assert pool.patience(160.0, since=160.0) == 5
    assert send(pool, now=160.0) == "a"
    only(pool).failed(160.01, "refused")
    assert pool.patience(160.01, since=160.0) == 0


def test_a_trial_that_failed_before_a_call_began_is_not_held_against_it():
    pool = pool_of("a", grace=5.0)
    take_down(pool, "a", now=100.0)
    assert send(pool, now=159.0) == "a"
    only(pool).failed(159.0, "refused")
    assert pool.patience(160.0, since=160.0) == 5


def test_a_call_whose_grace_is_over_without_a_trial_gets_one_at_once_and_waits_for_it():
    pool = pool_of("a", grace=0.1)
    take_down(pool, "a", now=100.0)  # the first trial would be due at 100.25
    assert pool.patience(100.1, since=90.0) == pytest.approx(0.1)
    assert send(pool, now=100.1) == "a"
    assert pool.patience(100.15, since=90.0) == pytest.approx(0.05)
    only(pool).failed(100.15, "refused")
    assert pool.patience(100.15, since=90.0) == 0


def test_a_trial_that_hangs_is_waited_for_as_long_as_the_grace_and_no_longer():
    pool = pool_of("a", grace=5.0)
    take_down(pool, "a", now=100.0)
    assert send(pool, now=104.0) == "a"
    assert pool.patience(105.0, since=90.0) == pytest.approx(4)
    assert pool.patience(109.0, since=90.0) <= 0


def test_with_several_servers_the_last_to_go_down_began_the_outage():
    pool = pool_of("a", "b", grace=5.0)
    take_down(pool, "a", now=100.0)
    take_down(pool, "b", now=103.0)
    assert pool.patience(104.0, since=90.0) == pytest.approx(4)


def test_servers_that_are_there_and_busy_are_waited_for_as_long_as_an_attempt_may_take():
    pool = pool_of("a", grace=5.0, timeout=60.0)
    for _ in range(5):
        only(pool).failed(100.0, "503", is_busy=True)
    assert pool.is_down
    assert pool.patience(100.0, since=90.0) == 60
    only(pool).begin_trial(101.0)
    only(pool).failed(101.0, "503", is_busy=True)
    assert pool.patience(150.0, since=90.0) == pytest.approx(10)
    assert pool.patience(160.0, since=90.0) == 0


def test_a_busy_server_that_stops_answering_at_all_is_waited_for_no_longer_than_any_other():
    pool = pool_of("a", grace=5.0, timeout=60.0)
    for _ in range(5):
        only(pool).failed(100.0, "503", is_busy=True)
    only(pool).begin_trial(101.0)
    only(pool).failed(101.0, "refused")
    assert pool.patience(106.0, since=90.0) == 0


def test_a_short_timeout_does_not_cut_the_grace_for_busy_servers():
    pool = pool_of("a", grace=5.0, timeout=1.0)
    for _ in range(5):
        only(pool).failed(100.0, "503", is_busy=True)
    assert pool.patience(100.0, since=90.0) == 5


def test_those_who_waited_long_enough_are_told_which_server_failed_and_how():
    pool = pool_of("a")
    take_down(pool, "a")
    error = pool.unavailable()
    assert isinstance(error, ServerUnavailableError)
    assert str(error) == "no judge server answers; a: refused"
    assert (error.server, error.sent, error.retryable) == ("a", False, False)


def test_those_who_waited_long_enough_are_told_of_how_many_servers_none_answers():
    pool = pool_of("a", "b")
    take_down(pool, "a", "b")
    assert str(pool.unavailable()) == "none of 2 judge servers answers; a: refused"
