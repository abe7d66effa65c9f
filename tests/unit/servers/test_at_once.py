"""The same for several servers at the same time."""

import threading

import pytest

from llm_judge_remote.servers.at_once import at_once, within


def test_all_are_done_at_the_same_time_and_answered_in_order():
    together = threading.Barrier(3, timeout=30)

    def meet(number):
        together.wait()
        return number * number

    assert at_once(meet, [3, 1, 2]) == [9, 1, 4]


def test_nothing_to_do_is_done():
    assert at_once(str, []) == []


def test_an_error_is_raised_where_the_answers_are_waited_for():
    with pytest.raises(ZeroDivisionError):
        at_once(lambda number: 1 // number, [1, 0])


def test_threads_do_not_keep_the_process():
    assert at_once(lambda _: threading.current_thread().daemon, [1]) == [True]


def test_no_more_threads_are_used_than_asked_for():
    threads = at_once(lambda _: threading.get_ident(), range(50), most=1)
    assert len(set(threads)) == 1


def test_a_call_returns_or_raises_what_it_would_and_is_left_alone_when_it_takes_too_long():
    assert within(10, lambda: 7) == 7
    with pytest.raises(KeyError):
        within(10, lambda: {}["x"])
    held = threading.Event()
    try:
        with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
            within(0.05, held.wait)
    finally:
        held.set()
