"""One limit for several processes. Each object counts for itself, so here two of them stand for two processes."""

import contextlib
import errno
import fcntl
import gc
import logging
import os
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.client import slot_file
from llm_judge_remote.client.shared_limit import SharedLimit
from llm_judge_remote.errors import ConfigError

MS = 1_000_000


class Clock:
    def __init__(self):
        self.now = 10**15

    def __call__(self):
        return self.now

    def tick(self, ms=2):
        self.now += int(ms * MS)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limits(tmp_path, clock):
    """Makes limits that share a file, each for a process of its own."""
    with contextlib.ExitStack() as stack:

        def make(slots, address="http://s"):
            return stack.enter_context(
                contextlib.closing(SharedLimit(str(tmp_path / "judge"), address, slots, clock=clock))
            )

        yield make


def take_all(limit, clock, most=1_000):
    """Ask as a dispatcher does, until nothing comes."""
    got = 0
    while step := limit.take(most):
        got += step
        clock.tick()
    return got


def test_all_slots_can_be_taken_and_no_more(limits):
    a, b = limits(5), limits(5)
    assert (a.take(2), b.take(10), a.take(1), b.take(1)) == (2, 3, 0, 0)
    assert (a.held, b.held) == (2, 3)


def test_what_is_given_back_can_be_taken_by_others(limits, clock):
    a, b = limits(4), limits(4)
    assert (a.take(4), b.take(1)) == (4, 0)
    a.give_back(2)
    clock.tick()
    assert (a.held, b.take(4)) == (2, 2)


def test_what_is_given_back_can_be_taken_again_at_once_while_nobody_waits(limits):
    limit = limits(4)
    for _ in range(20):
        assert limit.take(4) == 4
        assert limit.take(1) == 0
        limit.give_back(3)
        assert limit.take(3) == 3
        limit.give_back(4)
    assert limit.held == 0


def test_free_slots_are_found_wherever_they_are(limits, clock):
    a, b, c = (limits(64) for _ in range(3))
    for _ in range(32):
        assert a.take(1) == b.take(1) == 1
    clock.tick(100)  # nobody waits
    b.give_back(32)
    assert c.take(64) == 32


def test_giving_back_more_than_is_held_gives_back_what_is_held(limits):
    a, b = limits(4), limits(4)
    assert (a.take(2), b.take(2)) == (2, 2)
    a.give_back(3)
    assert (a.held, b.held) == (0, 2)
    assert a.take(4) == 2


def test_nothing_is_taken_where_nothing_is_wanted(limits):
    limit = limits(4)
    assert (limit.take(0), limit.take(-1), limit.held) == (0, 0, 0)


def test_servers_do_not_share_their_slots(limits):
    assert (limits(4, "http://s").take(4), limits(4, "http://t").take(4)) == (4, 4)


def test_of_different_numbers_each_keeps_to_its_own(limits, clock):
    large, small = limits(10), limits(4)
    assert take_all(small, clock) == 4
    clock.tick(100)  # nobody waits
    assert take_all(large, clock) == 6
    small.give_back(4)
    clock.tick(100)
    assert take_all(large, clock) == 4
    assert small.take(1) == 0
    assert large.held == 10


def test_what_is_free_after_a_close_is_found_at_once(limits, clock):
    a, b, c = (limits(64) for _ in range(3))
    for _ in range(32):  # no two slots in a row belong to one
        assert a.take(1) == b.take(1) == 1
    a.close()
    assert c.take(64) == 32


def test_closing_gives_everything_back(limits, clock):
    a, b = limits(4), limits(4)
    assert (a.take(4), b.take(4)) == (4, 0)
    a.close()
    clock.tick()
    assert b.take(4) == 4
    assert (a.take(1), a.held) == (0, 0)
    a.give_back(1)
    a.close()


def test_closing_one_leaves_another_of_the_same_process_its_slots(limits, clock):
    a, b, c = limits(4), limits(4), limits(4)
    assert a.take(2) == 2
    b.close()
    clock.tick()
    assert c.take(4) == 2


class Operations:
    """What a run of takes and returns did, and whether it was allowed."""

    def __init__(self, limits, slots):
        self.limits = limits
        self.slots = slots
        self.held = [0] * len(limits)

    def do(self, who, count):
        limit = self.limits[who]
        if count > 0:
            got = limit.take(count)
            assert 0 <= got <= count
            self.held[who] += got
        else:
            limit.give_back(-count)
            self.held[who] = max(self.held[who] + count, 0)
        assert limit.held == self.held[who]
        assert sum(self.held) <= self.slots


@given(
    slots=st.integers(1, 40),
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(-12, 12), st.sampled_from([0, 1, 4, 60])), max_size=80),
)
def test_whatever_is_taken_and_given_back_there_are_never_too_many_and_none_gets_lost(tmp_path_factory, slots, steps):
    path, clock = str(tmp_path_factory.mktemp("limit") / "judge"), Clock()
    with contextlib.ExitStack() as stack:
        all_of_them = [
            stack.enter_context(contextlib.closing(SharedLimit(path, "a", slots, clock=clock))) for _ in range(3)
        ]
        operations = Operations(all_of_them, slots)
        for who, count, ms in steps:
            operations.do(who, count)
            clock.tick(ms)
        for limit in all_of_them:
            limit.give_back(slots)
        clock.tick(100)
        assert take_all(all_of_them[0], clock) == slots


def test_threads_of_one_process_may_use_one_limit(limits):
    limit = limits(8)
    lock = threading.Lock()
    most = count = 0

    def work(seed):
        nonlocal most, count
        chance = random.Random(seed)
        for _ in range(300):
            got = limit.take(chance.randint(1, 4))
            with lock:
                count += got
                most = max(most, count)
            with lock:
                count -= got
            if got:
                limit.give_back(got)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < most <= 8
    assert limit.held == 0


# Refusals


def test_a_refusal_is_remembered_for_a_millisecond(limits, clock, monkeypatch):
    a, b = limits(2), limits(2)
    assert (a.take(2), b.take(1)) == (2, 0)
    a.give_back(1)
    looked = []
    monkeypatch.setattr(slot_file.SlotFile, "look", lambda self, slots: looked.append(1) or bytes(slots))
    assert b.take(1) == 0
    assert looked == []
    clock.tick(1)
    assert b.take(1) == 1
    assert looked == [1]


def test_a_refusal_takes_no_more_system_calls_with_more_slots(limits, clock, monkeypatch):
    holders = [limits(512) for _ in range(4)]
    for _ in range(128):  # no two slots in a row belong to one
        for holder in holders:
            assert holder.take(1) == 1
    late = limits(512)
    tried = []
    lock = slot_file.SlotFile.lock
    monkeypatch.setattr(slot_file.SlotFile, "lock", lambda self, *where: tried.append(where) or lock(self, *where))
    assert late.take(32) == 0
    assert len(tried) <= 2


def test_slots_of_a_process_that_could_not_tidy_up_are_found_again(limits, clock, tmp_path):
    dead, other = limits(16), limits(16)
    assert dead.take(16) == 16
    dead._file._file.close()  # as the kernel does
    dead._file = None
    refusals = 0
    while other.held < 16:
        refusals += not other.take(1)
        clock.tick()
        assert refusals <= 16


# Who gets what


def test_who_holds_all_makes_room_for_a_newcomer(limits, clock):
    old, new = limits(8), limits(8)
    assert (old.take(9), new.take(9)) == (8, 0)
    for _ in range(4):
        clock.tick()
        old.give_back(1)
        assert old.take(9) == 0  # it leaves this one to the other
        clock.tick()
        assert new.take(9) == 1
    clock.tick()
    old.give_back(1)
    assert old.take(9) == 1  # both have their part
    assert (old.held, new.held) == (4, 4)


def test_who_no_longer_asks_is_no_longer_waited_for(limits, clock):
    old, new = limits(8), limits(8)
    assert (old.take(8), new.take(1)) == (8, 0)
    clock.tick()
    old.give_back(1)
    assert old.take(1) == 0
    clock.tick(60)
    assert old.take(1) == 1


def test_who_has_what_it_wants_is_no_longer_waited_for(limits, clock):
    old, new = limits(8), limits(8)
    assert (old.take(9), new.take(1)) == (8, 0)
    old.give_back(2)
    clock.tick()
    assert new.take(1) == 1
    clock.tick()
    assert old.take(2) == 1
    assert (old.held, new.held) == (7, 1)


@pytest.mark.parametrize(("slots", "processes"), [(16, 4), (18, 4), (7, 4), (3, 4), (1, 3)])
def test_all_that_always_want_more_get_their_part(limits, clock, slots, processes):
    """A reply takes 20 ms, a poll comes every 4 ms; the first process was there long before the others."""
    everybody = [limits(slots)]
    assert everybody[0].take(slots) == slots
    everybody += [limits(slots) for _ in range(processes - 1)]
    served = [0] * processes
    due = [[] for _ in everybody]
    due[0] = [clock.now + 20 * MS * (number + 1) // slots for number in range(slots)]
    chance = random.Random(1)
    used = 0
    for turn in range(1500):
        clock.tick(1)
        for who in chance.sample(range(processes), processes):
            limit = everybody[who]
            done = [at for at in due[who] if at <= clock.now]
            due[who] = [at for at in due[who] if at > clock.now]
            if done:
                limit.give_back(len(done))
                served[who] += len(done) if turn > 200 else 0
            if done or (turn + who) % 4 == 0:
                due[who] += [clock.now + 20 * MS] * limit.take(slots)
            assert limit.held == len(due[who])
        used += sum(limit.held for limit in everybody)
    assert min(served) > 0.6 * sum(served) / processes
    assert used > 0.75 * 1500 * slots


# What goes wrong


def test_a_folder_that_does_not_exist_names_the_setting(tmp_path):
    with pytest.raises(ConfigError, match=r"shared_limit='.*missing/judge' cannot be used: .*No such file.*folder"):
        SharedLimit(str(tmp_path / "missing" / "judge"), "a", 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_names_the_setting(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match=r"shared_limit='.*Permission denied.*that all workers may write to"):
        SharedLimit(str(tmp_path / "judge"), "a", 1)


def test_a_link_that_somebody_laid_there_is_not_followed(limits, tmp_path):
    limits(1).close()
    (file,) = tmp_path.iterdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    file.unlink()
    file.symlink_to(victim)
    with pytest.raises(ConfigError, match="shared_limit="):
        limits(1)
    assert victim.read_text() == "precious"


def test_a_file_system_without_locks_names_the_setting(limits, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(ConfigError, match=r"shared_limit='.*No locks available.*on a local disk"):
        limits(1)
    gc.collect()  # an unclosed file would warn


def test_locks_that_fail_later_are_logged_once_and_cost_nothing(limits, clock, monkeypatch, caplog):
    limit = limits(2)
    assert limit.take(1) == 1

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "fcntl", fail)
    monkeypatch.setattr(fcntl, "lockf", fail)
    assert (limit.take(2), limit.take(3), limit.held) == (2, 3, 6)
    limit.give_back(6)
    assert limit.held == 0
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(messages) == 1
    assert "is not kept any more: [Errno 5]" in messages[0]


def test_a_disk_without_room_for_the_hints_costs_nothing(limits, clock, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    operations = Operations([limits(10) for _ in range(3)], slots=10)
    chance = random.Random(1)
    for _ in range(500):
        operations.do(chance.randrange(3), chance.randint(-6, 6))
        clock.tick()
    for limit in operations.limits:
        limit.give_back(10)
    assert sum(operations.limits[0].take(10) for _ in range(10) if not clock.tick()) == 10


def test_without_locks_of_the_description_those_of_the_process_serve(limits, clock, monkeypatch):
    if slot_file._SET is not None:
        real = fcntl.fcntl

        def unknown(fd, command, *rest):
            if command == slot_file._SET:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return real(fd, command, *rest)

        monkeypatch.setattr(fcntl, "fcntl", unknown)
    limit = limits(4)
    assert (limit.take(3), limit.take(3)) == (3, 1)
    limit.give_back(4)
    assert limit.take(4) == 4
