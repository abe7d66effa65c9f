import logging

import pytest

from llm_judge_remote.servers.server import Server


@pytest.fixture
def server():
    return Server("http://s", most=8)


def take_down(server, now=100.0):
    for _ in range(5):
        server.failed(now, "refused")


def test_a_new_server_answers_has_room_and_may_have_a_batch_endpoint(server):
    assert (server.down_since, server.room(100), server.has_batch_endpoint) == (None, 8, None)


@pytest.mark.parametrize(("in_flight", "most", "room"), [(0, 100, 8), (0, 5, 5), (3, 5, 2), (5, 5, 0), (9, 100, 0)])
def test_there_is_room_up_to_the_smaller_of_what_it_takes_and_what_it_may_be_given(server, in_flight, most, room):
    server.in_flight = in_flight
    assert server.room(most) == room


def test_room_follows_the_limit(server):
    server.in_flight = 2
    for _ in range(4):
        server.limit.timed_out(8)
    assert server.room(100) == 0
    server.limit.answered(1000)
    assert server.room(100) == 6


def test_five_failures_in_a_row_take_it_down_and_it_says_why(server, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            server.failed(99.0, "refused")
        assert server.down_since is None
        server.failed(100.0, "the last straw")
    assert (server.down_since, server.last_error) == (100, "the last straw")
    assert [record.message for record in caplog.records] == [
        "judge server http://s is down after 5 failures in a row: the last straw"
    ]


def test_an_answer_in_between_starts_the_count_again(server):
    for _ in range(4):
        server.failed(100.0, "refused")
    server.succeeded()
    for _ in range(4):
        server.failed(100.0, "refused")
    assert server.down_since is None


def test_trials_come_at_doubling_intervals_up_to_two_seconds(server):
    now, pauses = 100.0, []
    take_down(server, now)
    for _ in range(6):
        pauses.append(server.trial_due(now))
        now += pauses[-1]
        server.begin_trial(now)
        server.failed(now, "refused")
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


def test_a_server_that_is_busy_with_the_requests_of_others_is_tried_at_short_and_uneven_intervals(server):
    for _ in range(5):
        server.failed(100.0, "503", is_busy=True)
    assert server.down_since == 100
    pauses = []
    for now in range(101, 131):
        server.begin_trial(now)
        server.failed(now, "503", is_busy=True)
        pauses.append(server.trial_due(now))
    assert 0.1 <= min(pauses) < max(pauses) <= 0.21


def test_a_trial_is_due_at_once_when_its_time_has_passed(server):
    take_down(server, 100.0)
    assert (server.trial_due(100.0), server.trial_due(100.2), server.trial_due(200.0)) == (
        0.25,
        pytest.approx(0.05),
        0.0,
    )


def test_no_trial_is_due_while_one_is_under_way(server):
    take_down(server)
    server.begin_trial(101.0)
    assert server.trial_due(1000.0) == float("inf")


def test_a_failed_trial_is_remembered_by_when_it_began(server):
    take_down(server)
    assert server.failed_trial == float("-inf")
    server.begin_trial(101.0)
    server.failed(107.0, "refused")
    assert server.failed_trial == 101
    assert server.trial_due(107.0) == 0.5


def test_failures_of_what_was_under_way_when_it_went_down_do_not_put_its_trials_off(server):
    take_down(server, 100.0)
    for now in (100.1, 100.2):
        server.failed(now, "refused")
    assert server.trial_due(100.25) == 0
    assert server.down_since == 100


def test_the_first_success_ends_the_outage_and_the_next_one_begins_with_short_pauses(server, caplog):
    server.succeeded()
    take_down(server)
    for now in (101.0, 102.0, 104.0):
        server.begin_trial(now)
        server.failed(now, "refused")
    server.begin_trial(110.0)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        server.succeeded()
        server.succeeded()
    assert [record.message for record in caplog.records] == ["judge server http://s answers again"]
    assert (server.down_since, server.failed_trial) == (None, float("-inf"))
    take_down(server, 120.0)
    assert server.trial_due(120.0) == 0.25


def test_an_abandoned_trial_makes_room_for_the_next_at_once(server):
    take_down(server)
    server.begin_trial(101.0)
    server.abandoned()
    assert server.trial_due(101.0) == 0
    assert server.failed_trial == float("-inf")


def test_a_trial_can_be_hastened(server):
    take_down(server, 100.0)
    assert server.hasten_trial(100.1) == 100.1
    assert server.trial_due(100.1) == 0


def test_a_trial_under_way_is_not_hastened(server):
    take_down(server)
    server.begin_trial(101.0)
    assert server.hasten_trial(105.0) == 101
    assert server.trial_due(105.0) == float("inf")


def test_a_chunk_that_was_answered_shows_that_there_is_a_batch_endpoint(server):
    server.took_chunk()
    assert server.has_batch_endpoint is True


def test_a_batch_endpoint_that_fails_three_times_running_is_of_no_use_for_a_minute(server):
    server.took_chunk()
    seen = []
    for _ in range(3):
        server.failed_chunk(100.0)
        seen.append(server.takes_chunks(100.0))
    assert seen == [True, True, False]
    assert not server.takes_chunks(159.0)
    assert server.takes_chunks(161.0)


def test_an_answered_chunk_makes_up_for_failed_ones(server):
    for _ in range(5):
        server.failed_chunk(100.0)
        server.failed_chunk(100.0)
        server.took_chunk()
    assert server.takes_chunks(100.0)


def test_a_batch_endpoint_of_which_nothing_is_known_is_tried_by_one_chunk_at_a_time(server):
    assert server.takes_chunks(100.0)
    server.sends_chunk()
    assert not server.takes_chunks(100.0)
    server.chunk_is_back()
    assert server.takes_chunks(100.0)
    server.took_chunk()
    server.sends_chunk()
    assert server.takes_chunks(100.0)


def test_a_missing_batch_endpoint_is_looked_for_again_after_a_minute_by_one_chunk(server):
    server.lacks_batch_endpoint(100.0)
    assert not server.takes_chunks(159.0)
    assert server.takes_chunks(161.0)
    server.sends_chunk()
    assert not server.takes_chunks(161.0)


def test_whether_there_is_a_batch_endpoint_is_found_out_anew_after_an_outage(server):
    server.has_batch_endpoint = False
    take_down(server)
    assert server.has_batch_endpoint is None


class Told:
    """Whose breaker is open, as a server tells it."""

    def __init__(self):
        self.open = {}

    def opened(self, address, error):
        self.open[address] = error

    def closed(self, address):
        self.open.pop(address, None)


def test_who_is_told_of_breakers_hears_when_one_opens_and_when_it_closes():
    told = Told()
    server = Server("http://a:1", breakers=told)
    for number in range(4):
        server.failed(float(number), "dropped")
    assert told.open == {}
    server.failed(4.0, "dropped at last")
    assert told.open == {"http://a:1": "dropped at last"}
    server.succeeded(5.0)
    assert told.open == {}


def test_of_a_server_that_is_used_no_more_nothing_is_told_whatever_becomes_of_its_requests():
    told = Told()
    server = Server("http://a:1", breakers=told)
    for number in range(5):
        server.failed(float(number), "dropped")
    server.retire()
    assert told.open == {}
    server.succeeded(6.0)
    for number in range(5):
        server.failed(float(number), "dropped")
    assert told.open == {}
