import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest

from llm_judge_remote.errors import ConfigError, RegistryError
from llm_judge_remote.servers.registry import Registry, lookup, open_registry, register

PATIENCE_S = 30.0
LONG_S = 3600.0


class MemoryRegistry:
    name = "memory://judge"

    def __init__(self):
        self.held = {}
        self.leases = []
        self.down = False
        self.closed = False
        self.failures = threading.Semaphore(0)
        self.kept = threading.Semaphore(0)

    def addresses(self):
        return list(self.held.values())

    def entries(self):
        return dict(self.held)

    def _answer(self):
        if self.down:
            self.failures.release()
            msg = "memory://judge: it is down"
            raise RegistryError(msg)

    def add(self, address, ttl):
        self._answer()
        self.added = address
        self.held["1"] = address
        self.leases.append(ttl)
        return "1"

    def keep(self, entry, ttl):
        self._answer()
        self.held[entry] = self.added
        self.leases.append(ttl)
        self.kept.release()

    def remove(self, entry):
        self._answer()
        self.held.pop(entry, None)

    def close(self):
        self.closed = True


@pytest.fixture
def url(tmp_path):
    return f"file://{tmp_path}/judge"


def test_a_server_is_registered_while_the_registration_is_open(url):
    with register(url, "http://10.0.0.1:8000/v1") as registration:
        assert open_registry(url).addresses() == ["10.0.0.1:8000"]  # as AReaL reads it, which adds http:// itself
        assert lookup(url) == ["http://10.0.0.1:8000"]
        assert repr(registration) == f"<Registration of 10.0.0.1:8000 in {url}>"
    assert lookup(url) == []
    registration.close()


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("judge-1:8000", "judge-1:8000"),
        ("::1", "[::1]"),
        ("https://judge-1:8000", "https://judge-1:8000"),
        ("judge-1:8000/deep", "http://judge-1:8000/deep"),
        ("judge-1:8000#weight=2", "http://judge-1:8000#weight=2"),
    ],
)
def test_only_what_more_than_host_and_port_says_is_written_as_a_url(url, address, written):
    with register(url, address) as registration:
        assert registration.value == written
        assert open_registry(url).addresses() == [written]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("8000",), "'8000' is no server address"),
        (("me:hunter2@host:1",), "the address holds a user or password"),
        (("a:1", 0), "ttl=0 must be a number of seconds"),
    ],
)
def test_what_cannot_be_registered_is_an_error(url, arguments, message):
    with pytest.raises(ConfigError, match=message):
        register(url, *arguments)
    assert lookup(url) == []


def test_a_registry_that_takes_no_entry_is_an_error_at_once():
    registry = MemoryRegistry()
    registry.down = True
    with pytest.raises(RegistryError, match="it is down"):
        register(registry, "a:1")
    assert registry.closed
    with pytest.raises(RegistryError, match="can only be read"):
        register("dns://localhost:8000", "a:1")


def test_the_lease_is_renewed():
    registry = MemoryRegistry()
    with register(registry, "a:1", ttl=0.03):
        assert registry.kept.acquire(timeout=PATIENCE_S)
        assert registry.kept.acquire(timeout=PATIENCE_S)
    assert set(registry.leases) == {0.03}
    assert registry.closed


def test_after_an_outage_the_server_is_registered_again_and_both_ends_of_it_are_told_once(caplog):
    registry = MemoryRegistry()
    with register(registry, "a:1", ttl=0.03):
        registry.down = True
        registry.held.clear()
        for _ in range(3):
            assert registry.failures.acquire(timeout=PATIENCE_S)
        while registry.kept.acquire(blocking=False):
            pass
        registry.down = False
        assert registry.kept.acquire(timeout=PATIENCE_S)
        assert registry.kept.acquire(timeout=PATIENCE_S)
        assert registry.addresses() == ["a:1"]
    assert [record.getMessage() for record in caplog.records] == [
        "the registration of a:1 cannot be renewed, and is retried: memory://judge: it is down",
        "a:1 is registered again in memory://judge",
    ]


def test_a_bug_in_somebody_elses_registry_does_not_end_the_renewals(monkeypatch):
    registry = MemoryRegistry()
    broken = threading.Event()

    def buggy(entry, ttl):
        if broken.is_set():
            return MemoryRegistry.keep(registry, entry, ttl)
        broken.set()
        raise ZeroDivisionError

    monkeypatch.setattr(registry, "keep", buggy)
    with register(registry, "a:1", ttl=0.03):
        assert registry.kept.acquire(timeout=PATIENCE_S)


def test_closing_while_the_registry_is_down_leaves_the_entry_to_its_lease(caplog):
    registry = MemoryRegistry()
    registration = register(registry, "a:1", ttl=LONG_S)
    registry.down = True
    registration.close()
    assert registry.closed
    assert "a:1 stays registered for up to 3600 s: memory://judge: it is down" in caplog.text


def test_an_entry_is_not_brought_back_by_a_renewal_that_ends_after_it_was_removed(monkeypatch):
    monkeypatch.setattr("llm_judge_remote.servers.registry.registration._PATIENCE_S", 0.01)
    registry = MemoryRegistry()
    begun, go_on = threading.Event(), threading.Event()

    def slow(entry, ttl):
        begun.set()
        assert go_on.wait(PATIENCE_S)
        MemoryRegistry.keep(registry, entry, ttl)

    monkeypatch.setattr(registry, "keep", slow)
    registration = register(registry, "a:1", ttl=0.03)
    assert begun.wait(PATIENCE_S)
    registration.close()
    go_on.set()
    registration._thread.join(PATIENCE_S)
    assert registry.kept.acquire(blocking=False)
    assert registry.addresses() == []


def test_a_forks_child_does_not_remove_its_parents_entry(url):
    with register(url, "a:1", ttl=LONG_S) as registration:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is the point
            child = os.fork()
        if child == 0:
            registration.close()
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        assert lookup(url) == ["http://a:1"]


def test_the_handlers_that_were_there_before_are_put_back(url):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with register(url, "a:1"):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) != before
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_handler_that_came_later_is_left_in_its_place(url):
    before = signal.getsignal(signal.SIGTERM)
    try:
        registration = register(url, "a:1")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        registration.close()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_thread_that_is_not_the_main_one_can_register_too(url):
    before = signal.getsignal(signal.SIGTERM)
    held = []
    thread = threading.Thread(target=lambda: held.append(register(url, "a:1")))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert lookup(url) == ["http://a:1"]
    held[0].close()
    assert lookup(url) == []


def test_two_registrations_closed_in_any_order_leave_the_signals_as_they_were(url):
    told = []
    before = signal.signal(signal.SIGTERM, lambda *_: told.append("before"))
    try:
        first, second = register(url, "a:1"), register(url, "b:2")
        first.close()
        signal.raise_signal(signal.SIGTERM)
        assert told == ["before"]
        assert lookup(url) == []
        second.close()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_comes_while_the_entry_is_being_removed_waits_until_it_is():
    told = []
    before = signal.signal(signal.SIGTERM, lambda *_: told.append(dict(registry.held)))
    try:
        registry = MemoryRegistry()
        registration = register(registry, "a:1", ttl=LONG_S)
        remove = registry.remove

        def interrupted(entry):
            signal.raise_signal(signal.SIGTERM)
            assert told == []
            remove(entry)

        registry.remove = interrupted
        registration.close()
        assert told == [{}]
    finally:
        signal.signal(signal.SIGTERM, before)


# A shell that starts the tests in the background has them ignore SIGINT, and the program would inherit that.
PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from llm_judge_remote.servers.registry import register
{before}
registration = register({url!r}, "a:1", ttl=3600)
try:
    print("registered", flush=True)
    {after}
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture
def program(url):
    started = []

    def start(before="", after="time.sleep(600)"):
        code = PROGRAM.format(url=url, before=before, after=after)
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "registered\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process):
    output, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output, errors


def test_sigterm_removes_the_entry_and_ends_the_process_as_it_would_have(program, url):
    process = program()
    assert lookup(url) == ["http://a:1"]
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == -signal.SIGTERM
    assert lookup(url) == []


def test_sigint_removes_the_entry_and_is_a_keyboard_interrupt(program, url):
    process = program()
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, "interrupted\n", "")
    assert lookup(url) == []


def test_a_program_that_handles_the_signal_itself_still_does(program, url):
    process = program(before="signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))")
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (7, "", "")
    assert lookup(url) == []


def test_a_signal_that_the_program_ignores_stays_ignored(program, url):
    process = program(
        before="signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        after="signal.raise_signal(signal.SIGTERM); print('alive', flush=True); time.sleep(600)",
    )
    assert process.stdout.readline() == "alive\n"
    assert lookup(url) == ["http://a:1"]


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError"])
def test_the_end_of_the_process_removes_the_entry(program, url, end):
    process = program(after=end)
    assert ended(process)[0] == {"": 0, "sys.exit(3)": 3, "raise ValueError": 1}[end]
    assert lookup(url) == []


def test_a_process_that_is_killed_leaves_its_entry_to_the_lease(program, url):
    process = program()
    process.kill()
    ended(process)
    assert lookup(url) == ["http://a:1"]
    registry = open_registry(url)
    registry._clock = lambda: time.time() + 7201
    assert registry.addresses() == []


def test_the_stand_in_of_these_tests_is_a_registry():
    assert isinstance(MemoryRegistry(), Registry)
