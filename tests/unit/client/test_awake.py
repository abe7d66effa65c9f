"""Waking servers for the time of a block, and letting them sleep again: real servers, threads and processes."""

import contextlib
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from llm_judge_remote import errors
from llm_judge_remote.client.awake import awake
from llm_judge_remote.client.session import Response, Session
from llm_judge_remote.client.use_lock import UseLock
from llm_judge_remote.testing import JudgeServer

ASK = b'{"messages": [{"role": "user", "content": "q"}]}'
USER = """
import sys
from llm_judge_remote.client.awake import awake
from llm_judge_remote.client.session import Session

session = Session(sys.argv[1], api_key=None, connect_timeout=5, max_connections=4, trust_env=False)
with awake([session], lock_folder=sys.argv[2], timeout=60):
    print("in", flush=True)
    sys.stdin.readline()
print("out", flush=True)
session.close()
"""


class User:
    """A process that keeps a server awake until it is told to leave, or killed."""

    def __init__(self, server, folder, code=USER):
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, server.url, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hears(self, word):
        assert self.process.stdout.readline().strip() == word

    def come(self):
        self.hears("in")
        return self

    def say(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def leave(self):
        self.say()
        self.hears("out")

    def kill(self):
        self.process.kill()
        self.process.wait(30)


@pytest.fixture
def users(tmp_path):
    started = []

    def start(server, code=USER):
        started.append(User(server, tmp_path, code))
        return started[-1]

    yield start
    for user in started:
        user.kill()
        user.process.stdin.close()
        user.process.stdout.close()


@pytest.fixture
def connect():
    sessions = []

    def make(server):
        sessions.append(Session(server.url, api_key=None, connect_timeout=5, max_connections=8, trust_env=False))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def asleep():
    with JudgeServer(judge="REWARD: 1", sleep=True) as server:
        server.sleeping = True
        yield server


@pytest.fixture
def keep(tmp_path):
    """`awake` with locks of the test's own."""
    return lambda *sessions, **options: awake(sessions, **{"lock_folder": tmp_path, "timeout": 60, **options})


def counts(server):
    return server.stats.wakeups, server.stats.sleeps


def reply(session):
    response = session.request("POST", "/v1/chat/completions", ASK, timeout=30)
    return orjson.loads(response.body)["choices"][0]["message"]["content"]


class Scripted:
    """A session whose server answers by path: a response, a list of them one after the other, or what a call brings."""

    def __init__(self, server="http://judge:8000", **answers):
        self.server = server
        self.answers = {"is_sleeping": [True, True, False], "wake_up": 200, "health": 200, **answers}
        self.asked = []

    def request(self, method, path, body=None, *, timeout, attempt=None):
        self.asked.append(path)
        answer = self.answers.get(path.partition("?")[0][1:], 404)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        answer = answer() if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, bool):
            return Response(200, {}, orjson.dumps({"is_sleeping": answer}))
        return Response(answer, {}, b"words of the server") if isinstance(answer, int) else Response(200, {}, answer)


# One user


def test_a_server_that_sleeps_is_awake_in_the_block_and_sleeps_after_it(keep, connect, asleep):
    session = connect(asleep)
    with keep(session):
        assert reply(session) == "REWARD: 1"
    assert asleep.sleeping
    assert counts(asleep) == (1, 1)


def test_it_can_be_done_again(keep, connect, asleep):
    session = connect(asleep)
    for _ in range(3):
        with keep(session):
            assert not asleep.sleeping
    assert counts(asleep) == (3, 3)


def test_a_server_that_is_awake_stays_so(keep, connect):
    with JudgeServer(sleep=True) as server:
        with keep(connect(server)):
            pass
        assert not server.sleeping
        assert set(server.stats.by_path) == {"/is_sleeping"}


@pytest.mark.parametrize("engine", ["vllm", "sglang", "other"])
def test_a_server_that_cannot_sleep_is_left_alone_and_needs_no_locks(keep, connect, tmp_path, engine):
    with JudgeServer(engine=engine) as server, keep(connect(server), lock_folder=tmp_path / "not there"):
        assert server.stats.requests == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", [b"<html>", b'{"is_sleeping": "yes"}', b"{}", 405, 501])
def test_what_does_not_say_whether_it_sleeps_is_left_alone(keep, answer):
    session = Scripted(is_sleeping=answer)
    with keep(session):
        pass
    assert session.asked == ["/is_sleeping"]


def test_the_weights_that_level_2_drops_are_loaded_again(keep, connect, asleep):
    session = connect(asleep)
    for _ in range(2):
        with keep(session, level=2):
            assert reply(session) == "REWARD: 1"
    wakings = [request for request in asleep.requests if request.method == "POST" and "/v1" not in request.path]
    assert [(request.path, request.query) for request in wakings] == [
        ("/wake_up", "tags=weights"),
        ("/collective_rpc", ""),
        ("/wake_up", "tags=kv_cache"),
        ("/sleep", "level=2"),
    ] * 2


def test_no_servers_are_no_trouble(keep):
    with keep():
        pass


def test_a_server_that_is_given_twice_is_woken_once(keep, connect, asleep):
    with keep(connect(asleep), connect(asleep)):
        pass
    assert counts(asleep) == (1, 1)


@pytest.mark.parametrize("level", [0, 3])
def test_there_is_no_other_level(keep, level):
    with pytest.raises(errors.ConfigError, match=f"level={level}"), keep(level=level):
        pass


# Leaving


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_it_sleeps_again_when_the_block_ends_in_an_error(keep, connect, asleep, error):
    with pytest.raises(type(error)) as caught, keep(connect(asleep)):
        raise error
    assert caught.value is error
    assert asleep.sleeping


def test_what_goes_wrong_with_the_sleep_is_logged_and_hides_no_error(keep, connect, asleep, caplog):
    def leave():
        asleep.stop()
        msg = "mine"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="mine"), keep(connect(asleep)):
        leave()
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert f"{asleep.url} could not be put to sleep again: " in record.getMessage()


def test_who_could_not_be_put_to_sleep_is_when_the_next_one_leaves(keep):
    session = Scripted(sleep=[500, 200])
    with keep(session):
        pass
    with keep(session):
        pass
    assert session.asked.count("/sleep?level=1") == 2
    session.asked.clear()
    with keep(session):
        pass
    assert session.asked == ["/is_sleeping"] * 2


# What does not wake up


def test_a_server_that_would_not_wake_up_is_an_error_in_its_words(keep, connect, asleep):
    asleep.out_of_memory = True
    with pytest.raises(errors.ServerUnavailableError) as caught, keep(connect(asleep)):
        pytest.fail("entered")
    assert caught.value.server == asleep.url
    assert str(caught.value).startswith("no judge server could be woken: ")
    assert f"{asleep.url} answered 500: CUDA Error: out of memory" in str(caught.value)
    assert asleep.sleeping
    asleep.out_of_memory = False
    with keep(connect(asleep)):
        assert not asleep.sleeping
    assert asleep.sleeping


def test_those_that_would_not_wake_up_are_named_in_a_warning_where_others_did(keep, connect, asleep, caplog):
    with JudgeServer() as gone:
        pass
    with JudgeServer(sleep=True) as full:
        full.sleeping = full.out_of_memory = True
        with keep(*map(connect, (gone, full, asleep))):
            assert not asleep.sleeping
        assert full.sleeping
    warnings = {record.args[0]: record.getMessage() for record in caplog.records if record.levelno == logging.WARNING}
    assert set(warnings) == {gone.url, full.url}
    assert "out of memory" in warnings[full.url]
    assert asleep.sleeping


def test_a_server_that_is_not_there_is_an_error_that_names_it(keep, connect):
    with JudgeServer() as gone:
        pass
    with pytest.raises(errors.ServerUnavailableError, match=f"{gone.url} cannot be reached"), keep(connect(gone)):
        pytest.fail("entered")


def test_a_server_that_wakes_up_after_it_was_given_up_is_put_to_sleep(keep):
    session = Scripted(is_sleeping=True, wake_up=errors.AttemptTimeoutError("late"))
    with pytest.raises(errors.ServerUnavailableError, match="late"), keep(session):
        pytest.fail("entered")
    assert session.asked[-1] == "/sleep?level=1"


def test_a_server_that_was_given_up_does_not_wait_for_the_block_to_end(keep):
    late = Scripted("http://late:8000", is_sleeping=True, wake_up=errors.AttemptTimeoutError("late"))
    with keep(late, Scripted()):
        assert late.asked[-1] == "/sleep?level=1"


def test_it_is_entered_when_the_server_no_longer_sleeps_and_is_well(keep):
    session = Scripted(is_sleeping=[True, True, True, errors.ConnectionDroppedError("gone"), False], health=[503, 200])
    with keep(session):
        asked = ["/wake_up", "/is_sleeping", "/is_sleeping", "/is_sleeping", "/health", "/is_sleeping", "/health"]
        assert session.asked[2:] == asked


@pytest.mark.parametrize(
    ("given", "words"), [({"is_sleeping": True}, "it says that it sleeps"), ({"health": 503}, "/health answered 503")]
)
def test_a_server_that_is_not_up_in_time_says_what_it_waits_for(keep, given, words):
    block = keep(Scripted(**given), timeout=0.1)
    with pytest.raises(errors.ServerUnavailableError, match=f"is not up in time: {words}"), block:
        pytest.fail("entered")


def test_a_server_that_refuses_without_the_key_is_named_with_the_setting(keep):
    session = Scripted(is_sleeping=401)
    with pytest.raises(errors.ServerUnavailableError, match=r"answered 401: .*set api_key"), keep(session):
        pytest.fail("entered")


def test_a_lock_folder_that_does_not_exist_is_an_error_and_wakes_nobody(keep, connect, asleep, tmp_path):
    block = keep(connect(asleep), lock_folder=tmp_path / "missing")
    with pytest.raises(errors.ConfigError, match=r"lock_folder='.*missing' cannot be used: .*No such file"), block:
        pytest.fail("entered")
    assert counts(asleep) == (0, 0)


# Several servers


def test_all_are_woken_and_put_to_sleep_at_the_same_time(keep):
    def together():
        barrier.wait(30)
        return 200

    barrier = threading.Barrier(4)
    sessions = [Scripted(f"http://judge-{n}:8000", wake_up=together, sleep=together) for n in range(4)]
    with keep(*sessions):
        pass
    assert all(session.asked[-1] == "/sleep?level=1" for session in sessions)


def test_each_server_goes_back_to_what_it_was(keep, connect, asleep):
    with JudgeServer(sleep=True) as up, JudgeServer() as plain:
        with keep(*map(connect, (asleep, up, plain))):
            assert not asleep.sleeping
        assert (asleep.sleeping, up.sleeping) == (True, False)


# Several users


def test_two_threads_share_the_time_awake(keep, connect, asleep):
    session = connect(asleep)
    both, done = threading.Barrier(2), threading.Event()

    def first():
        with keep(session):
            both.wait(30)
        done.set()

    def second():
        with keep(session):
            both.wait(30)
            assert done.wait(30)
            assert reply(session) == "REWARD: 1"

    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(first), threads.submit(second)]:
            future.result(60)
    assert asleep.sleeping
    assert counts(asleep) == (1, 1)


def test_nobody_is_put_to_sleep_in_use_however_many_come_and_go(keep, connect, asleep):
    session = connect(asleep)

    def come_and_go(_):
        for _ in range(10):
            with keep(session):
                assert not asleep.sleeping
                assert reply(session) == "REWARD: 1"
                assert not asleep.sleeping

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(come_and_go, range(6)))
    assert asleep.sleeping
    wakeups, sleeps = counts(asleep)
    assert wakeups == sleeps >= 1


def test_who_leaves_is_no_user_any_more_when_its_turn_ends(keep, connect, asleep, tmp_path, monkeypatch):
    with contextlib.closing(UseLock(asleep.url, str(tmp_path))) as other:
        turn, seen = UseLock.turn, []

        @contextlib.contextmanager
        def watched(self, until):
            with turn(self, until):
                yield
            seen.append(other.is_last())
            other.leave()

        monkeypatch.setattr(UseLock, "turn", watched)
        with keep(connect(asleep)):
            pass
    assert seen == [False, True]  # after coming, and after going


def test_of_two_processes_the_last_one_puts_it_to_sleep(users, asleep):
    first, second = users(asleep).come(), users(asleep).come()
    assert counts(asleep) == (1, 0)
    first.leave()
    assert not asleep.sleeping
    second.leave()
    assert asleep.sleeping
    assert counts(asleep) == (1, 1)


def test_what_a_killed_process_kept_awake_sleeps_when_the_next_one_leaves(users, keep, connect, asleep):
    users(asleep).come().kill()
    assert not asleep.sleeping
    with keep(connect(asleep)):
        assert not asleep.sleeping
    assert asleep.sleeping


def test_a_killed_process_is_not_waited_for(users, asleep):
    first, second = users(asleep).come(), users(asleep).come()
    first.kill()
    assert not asleep.sleeping
    second.leave()
    assert asleep.sleeping


def test_a_process_that_is_killed_while_it_wakes_a_server_blocks_nobody(users, keep, connect, asleep):
    gate, woken = threading.Event(), threading.Event()
    real = asleep._sleep_mode.wake_up

    def slow(*tags):
        woken.set()
        assert gate.wait(30)
        real(*tags)

    asleep._sleep_mode.wake_up = slow
    user = users(asleep)
    assert woken.wait(30)
    user.kill()
    gate.set()
    asleep._sleep_mode.wake_up = real
    with keep(connect(asleep)):
        assert not asleep.sleeping
    assert asleep.sleeping


def test_a_server_that_a_killed_process_was_putting_to_sleep_is_woken_in_any_case(keep, connect, tmp_path):
    with JudgeServer(sleep=True) as server:
        lock = UseLock(server.url, str(tmp_path))
        lock.mark = b"going"
        lock.close()
        with keep(connect(server)):
            assert server.stats.by_path["/wake_up"] == 1
        assert server.sleeping


def test_who_takes_too_long_with_its_turn_is_given_up_with_the_name_of_the_lock(keep, connect, asleep, tmp_path):
    lock, block = UseLock(asleep.url, str(tmp_path)), keep(connect(asleep), timeout=0.1)
    words = rf"{asleep.url}: another process .*{tmp_path}/\w+\.turn"
    with lock.turn(0), pytest.raises(errors.ServerUnavailableError, match=words), block:
        pytest.fail("entered")
    lock.close()
    assert counts(asleep) == (0, 0)


# Forks

FORKING = """
import os, sys
from llm_judge_remote.client.awake import awake
from llm_judge_remote.client.session import Session

session = Session(sys.argv[1], api_key=None, connect_timeout=5, max_connections=4, trust_env=False)
left, hold = os.pipe()
with awake([session], lock_folder=sys.argv[2], timeout=60):
    child = os.fork()
    if child:
        sys.stdin.readline()
if child:
    print("out", flush=True)
    sys.stdin.readline()
    os.close(hold)
    os.waitpid(child, 0)
else:
    os.close(hold)
    print("child out", flush=True)
    os.read(left, 1)
    os._exit(0)
"""


def test_a_forked_child_neither_ends_nor_prolongs_its_parents_use(users, asleep):
    user = users(asleep, FORKING)
    user.hears("child out")
    assert not asleep.sleeping
    user.say()
    user.hears("out")
    assert asleep.sleeping  # though the child still runs
    user.say()
    assert user.process.wait(30) == 0
