import pytest

from llm_judge_remote.client.retry import Retries, RetryBudget
from llm_judge_remote.errors import (
    AttemptTimeoutError,
    ConnectionDroppedError,
    InvalidReplyError,
    OverloadedError,
    RequestRejectedError,
    ServerUnavailableError,
    StatusError,
)

PASSING = {
    "dropped": ConnectionDroppedError("x"),
    "out of time": AttemptTimeoutError("x"),
    "nobody there": ServerUnavailableError("x"),
    "unreadable": InvalidReplyError("x"),
    "broken": StatusError("x", status=500),
    "busy": OverloadedError("x", status=503),
}
LASTING = {
    "4xx": RequestRejectedError("x", status=400),
    "nothing was sent": ServerUnavailableError("x", sent=False),
    "not the server's": KeyError("x"),
}


def waits(retries, *errors, **options):
    return [retries.after(error, **options) for error in errors]


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_a_passing_fault_is_tried_again_as_often_as_set(error):
    found = waits(Retries(3, RetryBudget()), *[error] * 5)
    assert [wait is not None for wait in found] == [True, True, True, False, False]


@pytest.mark.parametrize("error", LASTING.values(), ids=LASTING)
def test_what_would_fail_again_is_not_tried_again_and_costs_nothing(error):
    budget = RetryBudget(capacity=1)
    assert Retries(3, budget).after(error) is None
    assert budget.spend()


def test_without_retries_nothing_is_tried_again():
    assert Retries(0, RetryBudget()).after(ConnectionDroppedError("x")) is None


def test_the_waits_double_and_are_spread_over_half_their_length():
    many = [waits(Retries(8, RetryBudget()), *[ConnectionDroppedError("x")] * 8) for _ in range(40)]
    longest = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    for number, most in enumerate(longest):
        column = [row[number] for row in many]
        assert most / 2 <= min(column) < max(column) <= most
        assert max(column) - min(column) > most / 10


def test_a_server_that_answers_with_something_unreadable_is_asked_again_at_once_but_only_once():
    first, second = waits(Retries(3, RetryBudget()), *[InvalidReplyError("x")] * 2)
    assert first == 0
    assert second > 0


@pytest.mark.parametrize("status", [429, 503, 500])
def test_retry_after_is_honoured_and_capped(status):
    retries = Retries(3, RetryBudget())
    short, long = (StatusError("x", status=status, retry_after=seconds) for seconds in (3, 3600))
    assert 3 <= retries.after(short) <= 3.3
    assert 30 <= retries.after(long) <= 33


def test_those_who_were_told_the_same_do_not_return_together():
    error = OverloadedError("x", status=429, retry_after=10)
    found = {Retries(1, RetryBudget()).after(error) for _ in range(20)}
    assert len(found) > 10


def test_an_attempt_that_does_not_count_leaves_all_retries():
    retries, busy = Retries(1, RetryBudget()), OverloadedError("x", status=503)
    assert None not in waits(retries, *[busy] * 50, counts=False)
    assert [wait is not None for wait in waits(retries, busy, busy)] == [True, False]


def test_attempts_that_do_not_count_do_not_lengthen_the_wait():
    busy = OverloadedError("x", status=503)
    assert max(waits(Retries(1, RetryBudget()), *[busy] * 50, counts=False)) <= 0.25


def test_an_attempt_that_does_not_count_is_made_up_for_even_when_the_retries_are_used_up():
    retries, busy = Retries(1, RetryBudget()), OverloadedError("x", status=503)
    retries.after(busy)
    assert retries.after(busy, counts=False) is not None
    assert retries.after(busy) is None


def test_the_budget_bounds_the_retries_of_all_requests_together_and_successes_refill_it():
    budget = RetryBudget(capacity=2)

    def retried():
        return [wait is not None for wait in waits(Retries(9, budget), *[ConnectionDroppedError("x")] * 9)].count(True)

    assert [retried(), retried()] == [2, 0]
    for _ in range(5):
        budget.succeeded()
    assert retried() == 1
    budget.succeeded(10)
    assert retried() == 2


def test_the_budget_is_never_more_than_full():
    budget = RetryBudget(capacity=3)
    budget.succeeded(1000)
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]


def test_those_who_were_turned_away_are_asked_again_without_a_budget():
    retries = Retries(2, RetryBudget(capacity=0))
    assert None not in waits(retries, *[OverloadedError("x", status=503)] * 2)


def test_of_those_who_travelled_together_one_pays():
    budget = RetryBudget(capacity=1)
    error = StatusError("x", status=500)
    together = [Retries(3, budget).after(error, paid=number > 0) for number in range(8)]
    assert None not in together
    assert Retries(3, budget).after(error) is None


def test_a_retry_that_is_one_too_many_costs_nothing():
    budget = RetryBudget(capacity=2)
    waits(Retries(1, budget), *[ConnectionDroppedError("x")] * 5)
    assert [budget.spend(), budget.spend()] == [True, False]
