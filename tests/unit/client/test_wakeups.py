import asyncio
import gc
import threading
import weakref

import pytest

from llm_judge_remote.client.wakeups import Mailbox, Wakeups


@pytest.fixture
def calls(monkeypatch):
    """How often the running loop is called from outside."""
    counted = []

    def count(loop):
        original = loop.call_soon_threadsafe

        def call(*args, **kwargs):
            counted.append(args)
            return original(*args, **kwargs)

        monkeypatch.setattr(loop, "call_soon_threadsafe", call)
        return counted

    return count


def in_a_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


async def test_a_future_that_is_posted_from_another_thread_is_resolved():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    in_a_thread(Wakeups().of(loop).post, future)
    assert await asyncio.wait_for(future, 10) is None


async def test_a_loop_is_called_once_for_all_that_ended_since_it_last_looked(calls):
    loop = asyncio.get_running_loop()
    counted, mailbox = calls(loop), Wakeups().of(loop)
    futures = [loop.create_future() for _ in range(100)]
    in_a_thread(lambda: [mailbox.post(future) for future in futures])
    assert len(counted) == 1
    await asyncio.wait_for(asyncio.gather(*futures), 10)


async def test_it_is_called_again_for_what_ends_after_it_has_looked(calls):
    loop = asyncio.get_running_loop()
    counted, mailbox = calls(loop), Wakeups().of(loop)
    for number in range(1, 4):
        future = loop.create_future()
        in_a_thread(mailbox.post, future)
        await asyncio.wait_for(future, 10)
        assert len(counted) == number


async def test_nothing_is_lost_while_several_threads_post_and_the_loop_looks():
    loop = asyncio.get_running_loop()
    mailbox = Wakeups().of(loop)
    futures = [[loop.create_future() for _ in range(500)] for _ in range(4)]
    start = threading.Barrier(4)

    def post(mine):
        start.wait(10)
        for future in mine:
            mailbox.post(future)

    threads = [threading.Thread(target=post, args=(mine,)) for mine in futures]
    for thread in threads:
        thread.start()
    await asyncio.wait_for(asyncio.gather(*(future for mine in futures for future in mine)), 30)
    for thread in threads:
        thread.join()


async def test_a_future_that_was_cancelled_meanwhile_keeps_no_other_from_its_result():
    loop = asyncio.get_running_loop()
    mailbox = Wakeups().of(loop)
    cancelled, other = loop.create_future(), loop.create_future()
    mailbox.post(cancelled)
    mailbox.post(other)
    cancelled.cancel()
    await asyncio.wait_for(other, 10)
    assert cancelled.cancelled()


def test_a_loop_that_was_closed_is_left_alone():
    loop = asyncio.new_event_loop()
    mailbox, futures = Mailbox(loop), [loop.create_future() for _ in range(3)]
    loop.close()
    for future in futures:
        mailbox.post(future)
    assert not any(future.done() for future in futures)


async def test_each_loop_has_one_mailbox_of_its_own():
    wakeups, mine = Wakeups(), asyncio.get_running_loop()
    other = asyncio.new_event_loop()
    try:
        assert wakeups.of(mine) is wakeups.of(mine)
        assert wakeups.of(other) is not wakeups.of(mine)
    finally:
        other.close()


def test_a_loop_that_is_gone_is_not_kept():
    wakeups = Wakeups()
    loop = asyncio.new_event_loop()
    gone = weakref.ref(loop)
    mailbox, future = wakeups.of(loop), loop.create_future()
    loop.close()
    mailbox.post(future)
    del loop, future
    gc.collect()
    assert gone() is None
    assert not wakeups._boxes
