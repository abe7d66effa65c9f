import logging
import threading

import pytest

from llm_judge_remote.errors import RegistryError
from llm_judge_remote.servers.registry import Watch

PATIENCE_S = 30.0
NEVER_S = 3600.0


class ScriptedRegistry:
    """Answers each look with what the test says next; a look that the test has not got to waits."""

    name = "scripted://judge"

    def __init__(self):
        self._answers = []
        self._ready = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.looks = 0
        self.closed = threading.Event()

    def answer(self, *answers):
        for answer in answers:
            self._answers.append(answer)
            self._ready.release()

    def addresses(self):
        self.looks += 1
        self.begun.release()
        self._ready.acquire()
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self):
        self.closed.set()


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Scene:
    """A watch whose looks the test asks for one by one."""

    def __init__(self, *first, refresh=NEVER_S, chance=lambda: 0.5):
        self.registry = ScriptedRegistry()
        self.clock = Clock()
        self.seen = []
        self._changed = threading.Semaphore(0)
        self.registry.answer(*first)
        self.watch = Watch(self.registry, refresh, self._note, clock=self.clock, chance=chance)
        assert self.registry.begun.acquire(timeout=PATIENCE_S)

    def _note(self):
        self._changed.release()

    def change(self):
        assert self._changed.acquire(timeout=PATIENCE_S)
        return self.watch.addresses

    def look(self, answer):
        self.registry.answer(answer)
        self.clock.now += 1.0
        self.watch.nudge()
        assert self.registry.begun.acquire(timeout=PATIENCE_S)

    def no_change(self):
        """Nothing was called for since; asked after a later change that was."""
        return not self._changed.acquire(blocking=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.registry.answer([])
        self.watch.close()


def test_it_looks_at_once():
    with Scene(["a:1", "b:2"]) as scene:
        assert scene.change() == ("http://a:1", "http://b:2")
        assert scene.watch.looked
        assert not scene.watch.error


def test_it_has_not_looked_before_the_first_look_has_ended():
    with Scene() as scene:
        assert not scene.watch.looked
        assert scene.watch.addresses == ()
        scene.registry.answer([])
        assert scene.change() == ()
        assert scene.watch.looked


def test_each_server_is_there_once_and_with_its_weight():
    with Scene(["a:1/v1", "http://a:1", "b:2#weight=3"]) as scene:
        assert scene.change() == ("http://a:1", "http://b:2#weight=3")


def test_a_change_is_told_and_the_same_list_again_is_not():
    with Scene(["a:1"]) as scene:
        scene.change()
        scene.look(["a:1"])
        scene.look(["a:1", "b:2"])
        assert scene.change() == ("http://a:1", "http://b:2")
        assert scene.no_change()


def test_a_registry_that_is_down_keeps_the_last_known_list_and_is_told_once(caplog):
    with Scene(["a:1"]) as scene:
        scene.change()
        scene.look(RegistryError("scripted://judge: it is down"))
        assert scene.change() == ("http://a:1",)
        assert scene.watch.error == "scripted://judge: it is down"
        scene.look(RegistryError("scripted://judge: it is still down"))
        scene.look(["a:1"])
        assert scene.change() == ("http://a:1",)
        assert not scene.watch.error
        assert scene.no_change()
    assert [record.getMessage() for record in caplog.records] == [
        "scripted://judge: it is down; the 1 servers known so far stay",
        "scripted://judge answers again",
    ]


def test_a_first_look_that_fails_has_ended_too():
    with Scene(RegistryError("it is down")) as scene:
        assert scene.change() == ()
        assert scene.watch.looked
        assert scene.watch.error


def test_a_registry_is_emptied_by_two_looks_that_find_nobody():
    with Scene(["a:1"]) as scene:
        scene.change()
        scene.look([])
        scene.look([])
        assert scene.change() == ()
        assert not scene.watch.error


def test_a_registry_that_seems_empty_for_one_look_keeps_what_is_known():
    with Scene(["a:1"]) as scene:
        scene.change()
        for answer in ([], ["a:1"], []):
            scene.look(answer)
        scene.look(["a:1", "b:2"])
        assert scene.change() == ("http://a:1", "http://b:2")
        assert scene.no_change()


def test_a_bug_in_somebody_elses_registry_is_a_look_that_failed():
    with Scene(["a:1"]) as scene:
        scene.change()
        scene.look(ZeroDivisionError("division by zero"))
        assert scene.change() == ("http://a:1",)
        assert scene.watch.error == "scripted://judge: ZeroDivisionError: division by zero"
        scene.look([None])
        scene.look(["b:2"])
        assert scene.change() == ("http://b:2",)


def test_a_value_that_is_no_address_is_left_out_and_told_once(caplog):
    with Scene(["a:1", "not ready"]) as scene:
        scene.change()
        scene.look(["a:1", "not ready"])
        scene.look(["b:2", "not ready"])
        assert scene.change() == ("http://b:2",)
    assert [record.getMessage() for record in caplog.records] == [
        "scripted://judge holds 'not ready', which is no address of a server"
    ]


def test_looks_are_no_closer_than_a_second_however_often_it_is_nudged():
    with Scene(["a:1"]) as scene:
        scene.change()
        scene.registry.answer(["b:2"])
        scene.clock.now += 0.9
        for _ in range(50):
            scene.watch.nudge()
        assert scene.registry.looks == 1
        scene.clock.now += 0.1
        scene.watch.nudge()
        assert scene.change() == ("http://b:2",)
        assert scene.registry.looks == 2


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 4.0), (0.5, 5.0), (1.0, 6.0)])
def test_the_time_between_two_looks_varies_by_a_fifth(chance, seconds):
    with Scene(["a:1"], refresh=5.0, chance=lambda: chance) as scene:
        scene.change()
        assert scene.watch._due - scene.watch._last == pytest.approx(seconds)


def test_it_looks_again_by_itself():
    registry = ScriptedRegistry()
    registry.answer(["a:1"], ["b:2"])
    told = threading.Semaphore(0)
    watch = Watch(registry, 0.01, told.release)
    assert told.acquire(timeout=PATIENCE_S)
    assert told.acquire(timeout=PATIENCE_S)
    assert watch.addresses == ("http://b:2",)
    registry.answer([])
    watch.close()


def test_what_follows_from_a_change_may_fail_without_ending_the_watch(caplog):
    registry = ScriptedRegistry()
    registry.answer(["a:1"], ["b:2"])
    told = threading.Semaphore(0)

    def failing():
        told.release()
        raise ZeroDivisionError

    watch = Watch(registry, 0.01, failing)
    assert told.acquire(timeout=PATIENCE_S)
    assert told.acquire(timeout=PATIENCE_S)
    registry.answer([])
    watch.close()
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_closing_ends_the_thread_and_closes_the_registry():
    with Scene(["a:1"]) as scene:
        scene.change()
        scene.watch.close()
        assert not scene.watch._thread.is_alive()
        assert scene.registry.closed.is_set()
        scene.watch.close()


def test_closing_does_not_wait_for_a_look_that_hangs():
    scene = Scene()
    scene.watch.close()  # would not return if it did
    assert scene.watch._thread.is_alive()
    assert not scene.registry.closed.is_set()
    scene.registry.answer(["a:1"])
    assert scene.registry.closed.wait(PATIENCE_S)
    assert scene.no_change()


def test_it_can_be_closed_by_what_follows_from_a_change():
    registry = ScriptedRegistry()
    made = threading.Event()
    held = []

    def closing():
        assert made.wait(PATIENCE_S)
        held[0].close()

    registry.answer(["a:1"])
    held.append(Watch(registry, NEVER_S, closing))
    made.set()
    assert registry.closed.wait(PATIENCE_S)
