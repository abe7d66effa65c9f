"""What is asked of each server once."""

import threading
import time

import pytest

from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.lookup import Lookup
from llm_judge_remote.errors import AttemptTimeoutError, ConnectionDroppedError

LATER = time.monotonic() + 1000


def test_many_threads_ask_once_and_all_have_the_answer():
    lookup, asked, gate, found = Lookup(), [], threading.Event(), []

    def ask():
        asked.append(1)
        assert gate.wait(10)
        return "x"

    waiting = threading.Semaphore(0)
    threads = [
        threading.Thread(target=lambda: found.append(lookup.get(("s",), ask, Attempt(waiting.release), LATER)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert waiting.acquire(timeout=10)
    gate.set()
    for thread in threads:
        thread.join()
    assert (len(asked), found) == (1, ["x"] * 8)


def test_a_failure_is_not_kept_and_none_is_an_answer():
    lookup, answers = Lookup(), iter([ConnectionDroppedError("gone"), None])

    def ask():
        answer = next(answers)
        if answer is not None:
            raise answer

    with pytest.raises(ConnectionDroppedError):
        lookup.get(("s",), ask, Attempt(), LATER)
    assert lookup.get(("s",), ask, Attempt(), LATER) is None
    assert lookup.get(("s",), ask, Attempt(), LATER) is None


def test_what_was_forgotten_is_asked_again_of_that_server_alone():
    lookup, asked = Lookup(), []
    for server in "abab":
        lookup.get((server, "m"), lambda server=server: asked.append(server), Attempt(), LATER)
    lookup.forget("a")
    lookup.get(("a", "m"), lambda: asked.append("a"), Attempt(), LATER)
    lookup.get(("b", "m"), lambda: asked.append("b"), Attempt(), LATER)
    assert asked == ["a", "b", "a"]


def test_a_thread_that_waits_for_another_s_answer_waits_no_longer_than_its_own_time():
    lookup, gate, began = Lookup(), threading.Event(), threading.Event()

    def ask():
        began.set()
        assert gate.wait(10)

    slow = threading.Thread(target=lambda: lookup.get(("s",), ask, Attempt(), LATER))
    slow.start()
    assert began.wait(10)
    with pytest.raises(AttemptTimeoutError):
        lookup.get(("s",), ask, Attempt(), time.monotonic() + 0.01)
    gate.set()
    slow.join()
