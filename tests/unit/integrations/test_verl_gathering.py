"""Rows that come one by one, made into calls."""

import asyncio
import threading

import pytest

from llm_judge_remote.integrations.verl_gathering import Gatherer

PATIENCE_S = 20


class Doubled:
    """A call that doubles numbers."""

    def __init__(self, items):
        self.items = items

    async def wait_async(self):
        await asyncio.sleep(0)
        return [item * 2 for item in self.items]

    def cancel(self):
        raise AssertionError


class Calls:
    """Begins calls that double numbers, and keeps what they were asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, items):
        self.asked.append(list(items))
        return Doubled(items)


class Held:
    """A call that ends when it may, and notes that it was cancelled."""

    def __init__(self):
        self.may_end = asyncio.Event()
        self.is_cancelled = threading.Event()

    async def wait_async(self):
        try:
            await self.may_end.wait()
        finally:
            if not self.may_end.is_set():
                self.cancel()
        return ["held"]

    def cancel(self):
        self.is_cancelled.set()


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


async def test_of_many_the_first_are_begun_with_before_the_last_has_come():
    calls, loop_is_busy, begun = Calls(), threading.Event(), threading.Event()

    def begin(items):
        assert loop_is_busy.wait(PATIENCE_S)
        begun.set()
        return calls(items)

    async def last():
        loop_is_busy.set()
        assert begun.wait(PATIENCE_S)  # the loop itself does not turn meanwhile
        return await gatherer(-1)

    gatherer = Gatherer(begin, 3600)
    waiting = [asyncio.create_task(gatherer(number)) for number in range(64)]
    late = asyncio.create_task(last())
    assert await asyncio.gather(*waiting) == [number * 2 for number in range(64)]
    assert calls.asked == [list(range(64))]
    late.cancel()


async def test_the_moment_goes_on_for_what_comes_after_the_first_call():
    calls = Calls()
    gatherer = Gatherer(calls, 0)
    assert await asyncio.gather(*map(gatherer, range(150))) == [n * 2 for n in range(150)]
    assert sorted(map(len, calls.asked)) == [22, 64, 64]
    assert sorted(item for asked in calls.asked for item in asked) == list(range(150))


@pytest.mark.parametrize("step", [1, 7, 31])
async def test_a_group_is_never_in_two_calls_in_whatever_order_it_comes(step):
    calls = Calls()
    gatherer = Gatherer(calls, 0, group_size=5)
    numbers = [number * step % 200 for number in range(200)]
    results = await asyncio.gather(*(gatherer(number, f"group {number // 5}") for number in numbers))
    assert results == [number * 2 for number in numbers]
    assert len(calls.asked) > 1
    for asked in calls.asked:
        groups = [number // 5 for number in asked]
        assert all(groups[place : place + 5] == [groups[place]] * 5 for place in range(0, len(groups), 5))


async def test_a_group_of_which_some_never_come_waits_no_longer_than_the_moment():
    calls = Calls()
    gatherer = Gatherer(calls, 0.001, group_size=8)
    results = await asyncio.gather(*(gatherer(number, f"group {number % 40}") for number in range(80)))
    assert results == [number * 2 for number in range(80)]
    assert [[number % 40 for number in asked] for asked in calls.asked] == [[n // 2 for n in range(80)]]


async def test_those_that_come_while_a_call_is_under_way_do_not_wait_for_it():
    held, began = Held(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def begin(items):
        if items == ["a"]:
            loop.call_soon_threadsafe(began.set)
            return held
        return Doubled(items)

    gatherer = Gatherer(begin, 0)
    first = asyncio.create_task(gatherer("a"))
    await began.wait()
    assert await gatherer("b") == "bb"
    assert not first.done()
    held.may_end.set()
    assert await first == "held"


class Broken:
    async def wait_async(self):
        raise ValueError("no")

    def cancel(self):
        raise AssertionError


@pytest.mark.parametrize("breaks", ["when it begins", "later"])
async def test_an_error_is_raised_by_those_of_its_call_and_by_no_other(breaks):
    def begin(items):
        if "bad" not in items:
            return Doubled(items)
        if breaks == "later":
            return Broken()
        raise ValueError("no")

    gatherer = Gatherer(begin, 0)
    outcomes = await asyncio.gather(gatherer("bad"), gatherer("good"), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["no", "no"]
    assert await gatherer("good") == "goodgood"


async def test_where_no_thread_can_be_started_everyone_is_told(monkeypatch):
    def run_in_executor(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", run_in_executor)
    gatherer = Gatherer(Calls(), 0)
    outcomes = await asyncio.gather(*map(gatherer, range(70)), return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"can't start new thread"}


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


def test_what_is_begun_when_the_loop_ends_is_cancelled():
    may_begin, held = threading.Event(), []

    def begin(items):
        assert may_begin.wait(PATIENCE_S)
        held.append(Held())
        return held[0]

    async def leave():
        asyncio.get_running_loop().call_later(0.01, may_begin.set)
        waiting = asyncio.create_task(Gatherer(begin, 0)(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(leave())
    assert held[0].is_cancelled.wait(PATIENCE_S)


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
