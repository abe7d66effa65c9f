import time

import pytest

from llm_judge_remote.client.retry import RetryBudget, retrying
from llm_judge_remote.errors import (
    ConnectionDroppedError,
    OverloadedError,
    RequestRejectedError,
    ServerUnavailableError,
)


class Attempts:
    def __init__(self, *errors):
        self.errors = list(errors)
        self.made = 0

    def __call__(self):
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "reply"


def run(attempts, *, max_retries=3, budget=None, until=None):
    waits = []
    policy = retrying(max_retries=max_retries, budget=budget or RetryBudget(), until=until, sleep=waits.append)
    try:
        return policy(attempts), waits
    except Exception as error:
        return error, waits


def test_a_passing_fault_is_tried_again_until_it_passes():
    attempts = Attempts(ConnectionDroppedError("x"), ConnectionDroppedError("x"))
    assert run(attempts)[0] == "reply"
    assert attempts.made == 3


def test_there_are_as_many_retries_as_set_and_the_last_error_is_raised():
    errors = [ConnectionDroppedError(str(n)) for n in range(9)]
    attempts = Attempts(*errors)
    assert run(attempts, max_retries=2)[0] is errors[2]
    assert attempts.made == 3


@pytest.mark.parametrize(
    "error",
    [RequestRejectedError("x", status=400), ServerUnavailableError("x", sent=False), KeyError("x")],
    ids=["4xx", "nothing was sent", "not the server's"],
)
def test_what_would_fail_again_is_not_tried_again(error):
    attempts = Attempts(error)
    assert run(attempts)[0] is error
    assert attempts.made == 1


def test_the_waits_double_and_are_spread_over_half_their_length():
    waits = [run(Attempts(*[ConnectionDroppedError("x")] * 9), max_retries=6)[1] for _ in range(30)]
    for number, longest in enumerate([0.5, 1.0, 2.0, 4.0, 8.0, 8.0]):
        column = [row[number] for row in waits]
        assert longest / 2 <= min(column) < max(column) <= longest
        assert max(column) - min(column) > longest / 10


def test_retry_after_is_honoured_and_capped():
    short, long = OverloadedError("x", status=429, retry_after=3), OverloadedError("x", status=503, retry_after=3600)
    _, waits = run(Attempts(short, long))
    assert 3 <= waits[0] <= 3.3
    assert 30 <= waits[1] <= 33


def test_there_is_no_retry_that_would_begin_after_the_deadline():
    attempts = Attempts(OverloadedError("x", status=429, retry_after=20))
    assert isinstance(run(attempts, until=time.monotonic() + 10)[0], OverloadedError)
    assert attempts.made == 1


def test_the_budget_bounds_the_retries_of_all_requests_together_and_successes_refill_it():
    budget = RetryBudget(capacity=2)

    def fails():
        attempts = Attempts(*[ConnectionDroppedError("x")] * 9)
        run(attempts, budget=budget)
        return attempts.made

    assert [fails(), fails()] == [3, 1]
    for _ in range(5):
        budget.succeeded()
    assert fails() == 2
