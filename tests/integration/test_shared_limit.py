"""A limit that several processes share: real ones, which end as they like."""

import contextlib
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from llm_judge_remote.client.shared_limit import SharedLimit

BEGIN = """
import os, random, signal, sys, time
from llm_judge_remote.client import slot_file
from llm_judge_remote.client.shared_limit import SharedLimit
path, kind, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == "of the process":
    slot_file._SET = None
signal.alarm(60)  # none waits for ever, whatever goes wrong
os.register_at_fork(after_in_child=lambda: signal.alarm(60))
def say(*words):
    print(*words, flush=True)
"""
KINDS = pytest.mark.parametrize("kind", ["of the description", "of the process"])


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "judge")


@pytest.fixture
def start(path):
    """Starts processes that run a few lines each; none outlives the test."""
    with contextlib.ExitStack() as stack:

        def begin(lines, kind="of the description", number=0):
            code = BEGIN + textwrap.dedent(lines)
            command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, path, kind, str(number)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def take_patiently(limit, enough, most=None):
    """Ask as a dispatcher does, until so many are held."""
    until = time.monotonic() + 60
    while limit.held < enough:
        assert time.monotonic() < until
        if not limit.take((most or enough) - limit.held):
            time.sleep(0.002)


@KINDS
def test_processes_together_never_hold_more_than_the_limit(start, path, kind):
    lines = """
        def work(number):
            limit = SharedLimit(path, "a", 12)
            chance = random.Random(number)
            os.read(go, 1)  # until all are there
            events = []
            while len(events) < 2000:
                got = limit.take(chance.randint(1, 6))
                events.append((time.monotonic_ns(), got))  # after it was taken
                if chance.random() < 0.5:
                    time.sleep(chance.random() / 2000)
                if limit.held:
                    back = chance.randint(1, limit.held)
                    events.append((time.monotonic_ns(), -back))  # before it is given back
                    limit.give_back(back)
            events.append((time.monotonic_ns(), -limit.held))
            limit.close()
            with open(f"{path}-{number}", "w") as file:
                for event in events:
                    print(*event, file=file)

        go, all_there = os.pipe()
        for number in range(8):
            if os.fork() == 0:
                os.close(all_there)
                work(number)
                os._exit(0)
        os.close(all_there)
        say(*[os.wait()[1] for _ in range(8)])
    """
    assert start(lines, kind).communicate()[0] == "0 0 0 0 0 0 0 0\n"
    events = []
    for number in range(8):
        own = [tuple(map(int, line.split())) for line in Path(f"{path}-{number}").read_text().splitlines()]
        assert sum(count for _, count in own) == 0
        assert sum(count for _, count in own if count > 0) > 100  # nobody was shut out
        events += own
    held = most = 0
    for _, count in sorted(events):
        held += count
        most = max(most, held)
    assert 6 < most <= 12


@KINDS
def test_the_slots_of_a_killed_process_come_back(start, path, kind):
    process = start('limit = SharedLimit(path, "a", 5)\nsay(limit.take(5))\nsys.stdin.read()\n', kind)
    assert process.stdout.readline() == "5\n"
    with contextlib.closing(SharedLimit(path, "a", 5)) as limit:
        assert limit.take(1) == 0
        process.send_signal(signal.SIGKILL)
        process.wait()
        take_patiently(limit, 5)


@KINDS
def test_they_come_back_though_a_child_of_the_killed_process_lives_on(start, path, kind):
    lines = """
        limit = SharedLimit(path, "a", 5)
        got = limit.take(5)
        if os.fork() == 0:
            say(got)
            sys.stdin.read()
            os._exit(0)
        os.wait()
    """
    process = start(lines, kind)
    assert process.stdout.readline() == "5\n"
    with contextlib.closing(SharedLimit(path, "a", 5)) as limit:
        assert limit.take(1) == 0
        process.send_signal(signal.SIGKILL)
        process.wait()
        take_patiently(limit, 5)
        process.stdin.close()  # the child ends
        assert process.stdout.read() == ""


@KINDS
def test_a_fork_s_child_holds_nothing_and_frees_nothing_of_its_parent_s(start, kind):
    lines = """
        limit = SharedLimit(path, "a", 5)
        limit.take(3)
        with limit._lock:  # as another thread may hold it at that moment
            child = os.fork()
        if child == 0:
            mine = [limit.held]
            limit.give_back(3)
            mine += [limit.take(5), limit.held]
            say(*mine)
            sys.stdin.readline()
            limit.close()
            os._exit(0)
        sys.stdin.readline()
        os.waitpid(child, 0)
        say(limit.held, limit.take(5), limit.held)
    """
    process = start(lines, kind)
    assert process.stdout.readline() == "0 2 2\n"
    # Either of the two may read a line first: the parent waits for the child.
    assert process.communicate("\n\n")[0] == "3 2 5\n"


def test_a_newcomer_gets_its_part_from_one_that_never_pauses(start, path):
    lines = """
        limit = SharedLimit(path, "a", 8)
        limit.take(8)
        say("full")
        while True:
            time.sleep(0.0005)
            limit.give_back(1)
            limit.take(1000)
    """
    process = start(lines)
    assert process.stdout.readline() == "full\n"
    with contextlib.closing(SharedLimit(path, "a", 8)) as limit:
        take_patiently(limit, 4, most=8)
