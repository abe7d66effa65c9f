"""Rows that come one by one, made into calls."""

import asyncio

import pytest

from llm_judge_remote.integrations.verl_gathering import Gatherer


class Calls:
    """Doubles numbers, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    async def __call__(self, items):
        self.asked.append(list(items))
        await asyncio.sleep(0)
        return [item * 2 for item in items]


@pytest.mark.parametrize("wait", [0, 0.001])
async def test_what_comes_at_about_the_same_time_is_one_call_and_everyone_gets_his_own_result(wait):
    calls = Calls()
    gatherer = Gatherer(calls, wait)
    assert await asyncio.gather(*map(gatherer, range(50))) == [n * 2 for n in range(50)]
    assert calls.asked == [list(range(50))]


async def test_what_comes_later_is_another_call():
    calls = Calls()
    gatherer = Gatherer(calls, 0)
    assert [await gatherer(n) for n in range(3)] == [0, 2, 4]
    assert calls.asked == [[0], [1], [2]]


async def test_those_that_come_while_a_call_is_under_way_do_not_wait_for_it():
    may_end, began = asyncio.Event(), asyncio.Event()

    async def call(items):
        if items == ["a"]:
            began.set()
            await may_end.wait()
        return items

    gatherer = Gatherer(call, 0)
    first = asyncio.create_task(gatherer("a"))
    await began.wait()
    assert await gatherer("b") == "b"
    assert not first.done()
    may_end.set()
    assert await first == "a"


async def test_an_error_is_raised_by_those_of_its_call_and_by_no_other():
    async def call(items):
        if "bad" in items:
            raise ValueError("no")
        return items

    gatherer = Gatherer(call, 0)
    outcomes = await asyncio.gather(gatherer("bad"), gatherer("good"), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["no", "no"]
    assert await gatherer("good") == "good"


async def test_one_who_no_longer_waits_is_not_asked_about_and_disturbs_nobody():
    calls = Calls()
    gatherer = Gatherer(calls, 0.001)
    gone, stays = asyncio.create_task(gatherer(1)), asyncio.create_task(gatherer(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 4
    assert calls.asked == [[2]]
    with pytest.raises(asyncio.CancelledError):
        await gone


def test_it_works_on_one_event_loop_after_another():
    gatherer = Gatherer(Calls(), 0)
    assert asyncio.run(gatherer(1)) == 2
    assert asyncio.run(gatherer(2)) == 4


def test_what_an_ended_loop_left_behind_holds_up_no_one():
    gatherer = Gatherer(Calls(), 3600)

    async def give_up():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(gatherer(1), 0.01)

    asyncio.run(give_up())
    gatherer._wait = 0
    assert asyncio.run(gatherer(2)) == 4
