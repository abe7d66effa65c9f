"""Replies kept for the next time: in memory, in a file that others share, and around a job."""

import contextlib
import logging
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from llm_judge_remote.client import cache_file
from llm_judge_remote.client.cache import MemoryCache, key_of, open_cache, remembering
from llm_judge_remote.client.cache_file import SqliteCache
from llm_judge_remote.client.chat import ChatReply, ChatRequest, Passage
from llm_judge_remote.client.constraint import Grammar
from llm_judge_remote.errors import ConfigError, OverloadedError


def request_of(text="q", **changes):
    fields = {"model": "m", "temperature": 0.7, "top_p": 0.8, "max_tokens": 10, "enable_thinking": False}
    return ChatRequest(messages=({"role": "user", "content": text},), **(fields | changes))


def reply_of(content="REWARD: 1", reasoning="", **changes):
    fields = {"finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 2, "server": "http://s"}
    return ChatReply(content=content, reasoning=reasoning, **(fields | changes))


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "replies.db")


@contextlib.contextmanager
def open_file(path, **options):
    cache = SqliteCache(path, **options)
    try:
        yield cache
    finally:
        cache.close()


@contextlib.contextmanager
def cache_of(kind, path):
    cache = open_cache("memory" if kind == "memory" else path)
    try:
        yield cache
    finally:
        cache.close()


KINDS = pytest.mark.parametrize("kind", ["memory", "file"])

# What both do


@KINDS
@pytest.mark.parametrize("text", ["", "REWARD: 1", "ünï 评分 🎯", "a\0b", "x" * 100_000])
def test_a_reply_comes_back_as_it_was(kind, path, text):
    with cache_of(kind, path) as cache:
        cache.put(b"k", reply_of(text, "why"))
        assert cache.get(b"k") == reply_of(text, "why")
        assert cache.get(b"other") is None


@KINDS
def test_what_was_found_is_counted(kind, path):
    with cache_of(kind, path) as cache:
        cache.get(b"k")
        cache.put(b"k", reply_of())
        cache.get(b"k")
        cache.get(b"k")
        assert cache.hits == 2


@KINDS
def test_how_a_reply_came_about_is_not_kept(kind, path):
    with cache_of(kind, path) as cache:
        cache.put(b"k", reply_of().after(Passage(attempts=3, hedged=True)))
        assert cache.get(b"k").passage == Passage()


@KINDS
def test_a_closed_cache_finds_nothing_and_does_not_mind(kind, path):
    with cache_of(kind, path) as cache:
        cache.put(b"k", reply_of())
        cache.close()
        cache.put(b"l", reply_of())
        assert cache.get(b"k") is None


@KINDS
def test_threads_may_use_one_cache_at_once(kind, path):
    wrong = []

    def work(number):
        for turn in range(100):
            key = str(turn % 10).encode()
            cache.put(key, reply_of(f"{turn % 10}"))
            found = cache.get(key)
            if found is None or found.content != f"{turn % 10}":
                wrong.append((number, turn, found))

    with cache_of(kind, path) as cache:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_without_the_setting_there_is_no_cache():
    assert open_cache("") is None


def test_a_python_without_sqlite_says_what_to_do(path, monkeypatch):
    monkeypatch.delitem(sys.modules, "llm_judge_remote.client.cache_file")
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    with pytest.raises(ConfigError, match=r"cache='.*replies.db'.*sqlite3.*set cache to `memory`"):
        open_cache(path)


# In memory


def test_the_reply_that_was_not_asked_for_longest_makes_room():
    cache = MemoryCache(capacity=2)
    cache.put(b"a", reply_of("a"))
    cache.put(b"b", reply_of("b"))
    cache.get(b"a")
    cache.put(b"c", reply_of("c"))
    assert [cache.get(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


def test_memory_is_bounded_in_bytes_too():
    cache = MemoryCache(capacity_bytes=100_000)
    for number in range(50):
        cache.put(str(number).encode(), reply_of("x" * 9_000, "y" * 1_000))
    kept = [number for number in range(50) if cache.get(str(number).encode())]
    assert kept == list(range(41, 50))


def test_a_reply_larger_than_the_memory_is_not_kept_and_one_put_twice_counts_once():
    cache = MemoryCache(capacity_bytes=100_000)
    cache.put(b"huge", reply_of("x" * 100_001))
    for _ in range(50):
        cache.put(b"k", reply_of("x" * 40_000))
    cache.put(b"l", reply_of("x" * 40_000))
    assert [cache.get(key) is not None for key in (b"huge", b"k", b"l")] == [False, True, True]


# In a file


def test_what_was_put_before_a_close_is_there_after_it(path):
    with open_file(path) as cache:
        for number in range(500):
            cache.put(str(number).encode(), reply_of(f"{number}"))
    with open_file(path) as cache:
        assert [cache.get(str(number).encode()).content for number in range(500)] == [f"{n}" for n in range(500)]


def test_what_was_put_while_the_last_batch_was_written_is_there_after_a_close(path, monkeypatch):
    entered, go = threading.Event(), threading.Event()
    write = cache_file._write

    def slow_write(*args):
        entered.set()
        go.wait(60)
        write(*args)

    monkeypatch.setattr(cache_file, "_write", slow_write)
    cache = SqliteCache(path)
    cache.put(b"first", reply_of("1"))
    assert entered.wait(60)
    cache.put(b"second", reply_of("2"))
    assert [cache.get(key) for key in (b"first", b"second")] == [reply_of("1"), reply_of("2")]
    closer = threading.Thread(target=cache.close)
    closer.start()
    assert cache._closing.wait(60)
    go.set()
    closer.join()
    with open_file(path) as cache:
        assert [cache.get(key) for key in (b"first", b"second")] == [reply_of("1"), reply_of("2")]


def test_caches_of_one_file_may_be_opened_and_written_at_once(path):
    start = threading.Barrier(6)
    failures = []

    def work(number):
        try:
            start.wait()
            with open_file(path) as cache:
                for turn in range(200):
                    cache.put(str(turn).encode(), reply_of(f"{turn}"))  # the same keys as all the others
                    cache.put(f"{number}-{turn}".encode(), reply_of("own"))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_file(path) as cache:
        assert all(cache.get(str(turn).encode()) == reply_of(f"{turn}") for turn in range(200))
        assert all(cache.get(f"{number}-199".encode()) == reply_of("own") for number in range(6))


def test_another_process_finds_what_this_one_has_written_and_the_other_way_round(path):
    code = (
        "import pickle, sys\n"
        "from llm_judge_remote.client.cache_file import SqliteCache\n"
        "cache = SqliteCache(sys.argv[1])\n"
        "reply = cache.get(b'here')\n"
        "cache.put(b'there', reply)\n"
        "cache.close()\n"
        "sys.stdout.buffer.write(pickle.dumps(reply))\n"
    )
    with open_file(path) as cache:
        cache.put(b"here", reply_of("ü"))
        with open_file(path) as other:
            while other.get(b"here") is None:  # until the writer's thread has written it
                threading.Event().wait(0.005)
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True, timeout=60)
        assert pickle.loads(done.stdout) == cache.get(b"there") == reply_of("ü")


def test_a_full_file_lets_its_oldest_replies_go(path):
    with open_file(path, capacity_bytes=1 << 20) as cache:
        for number in range(1000):
            cache.put(str(number).encode(), reply_of("x" * 4000))
            if number % 50 == 49:
                cache._flush()
        assert cache.get(b"999") is not None
        assert cache.get(b"0") is None
    assert Path(path).stat().st_size < 1.5 * (1 << 20)


@pytest.mark.parametrize(
    "content",
    [b"{}\n", b"settings: yes\n" * 1000, b"SQLite format 3\0" + b"x" * 5000],
    ids=["short", "text", "damaged"],
)
def test_a_file_that_is_no_database_is_left_alone(tmp_path, content):
    file = tmp_path / "judge.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cache='.*judge.yaml' cannot be used: .*give the path of a cache"):
        SqliteCache(str(file))
    assert file.read_bytes() == content
    assert [found.name for found in tmp_path.iterdir()] == ["judge.yaml"]


@pytest.mark.parametrize("statement", ["CREATE TABLE t (c)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"])
def test_a_database_of_something_else_is_left_alone(tmp_path, path, statement):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(statement)
    before = (tmp_path / "replies.db").read_bytes()
    with pytest.raises(ConfigError, match=r"cache='.*replies.db' is a database of something else; give another path"):
        SqliteCache(path)
    assert (tmp_path / "replies.db").read_bytes() == before


@pytest.mark.parametrize("version", [1, 3])
def test_a_cache_of_another_version_is_left_alone(path, version):
    with open_file(path) as cache:
        cache.put(b"k", reply_of())
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(ConfigError, match=f"is a cache of version {version}, and this is version 2; give another path"):
        SqliteCache(path)


def test_a_file_that_cannot_be_made_names_the_setting(tmp_path):
    with pytest.raises(ConfigError, match=r"cache='.*' cannot be used: unable to open .*a folder that exists"):
        SqliteCache(str(tmp_path / "missing" / "replies.db"))
    with pytest.raises(ConfigError, match=r"cache='.*' cannot be used: unable to open"):
        SqliteCache(str(tmp_path))


def test_a_name_that_means_something_to_sqlite_is_a_file_like_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_file(":memory:") as cache:
        cache.put(b"k", reply_of())
    assert (tmp_path / ":memory:").exists()


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def damage(path):
    with open_file(path) as cache:
        cache.put(b"k", reply_of())
    with Path(path).open("r+b") as file:
        file.seek(4096)  # all pages but the first
        file.write(b"\xff" * (Path(path).stat().st_size - 4096))


def test_a_file_that_is_damaged_later_is_logged_once_and_costs_nothing(path, caplog):
    damage(path)
    with open_file(path) as cache:
        for number in range(3):
            assert cache.get(b"k") is None
            cache.put(str(number).encode(), reply_of())
    assert len(warnings_in(caplog)) == 1
    assert "is not used any more: database disk image is malformed" in warnings_in(caplog)[0]


def test_who_cannot_write_any_more_does_not_keep_the_file_locked(path, caplog):
    damage(path)
    with open_file(path) as cache:
        cache.put(b"k", reply_of())
        cache._flush()
        assert cache.get(b"k") is None
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
    assert len(warnings_in(caplog)) == 1


def test_a_full_disk_is_logged_once_and_costs_nothing(path, caplog):
    with open_file(path) as cache:
        cache._connections[0].execute("PRAGMA max_page_count = 5")
        for number in range(50):
            cache.put(str(number).encode(), reply_of("x" * 4000))
        cache._flush()
        assert cache.get(b"0") is None
        cache.put(b"later", reply_of())
    assert [message.rpartition(": ")[2] for message in warnings_in(caplog)] == ["database or disk is full"]


def test_an_entry_that_cannot_be_read_is_logged_once_and_costs_nothing(path, caplog):
    with open_file(path) as cache:
        cache.put(b"k", reply_of())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE reply SET reply = '[]'")
    with open_file(path) as cache:
        assert cache.get(b"k") is None
        assert cache.get(b"k") is None
    assert len(warnings_in(caplog)) == 1


@pytest.mark.parametrize("reply", ["{}", '{"content": "old"}'])
def test_an_entry_that_lacks_a_field_is_a_miss_until_its_question_is_answered_again(path, caplog, reply):
    with open_file(path) as cache:
        cache.put(b"k", reply_of("old"))
        cache.put(b"l", reply_of("other"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE reply SET reply = ? WHERE key = ?", (reply, b"k"))
    with open_file(path) as cache:
        assert (cache.get(b"k"), cache.get(b"l"), cache.hits) == (None, reply_of("other"), 1)
        cache.put(b"k", reply_of("new"))
    with open_file(path) as cache:
        assert cache.get(b"k") == reply_of("new")
    assert warnings_in(caplog) == []


def test_a_file_that_another_program_keeps_locked_costs_nothing(path, caplog, monkeypatch):
    monkeypatch.setattr(cache_file, "_WRITER_WAIT_S", 0.05)
    with open_file(path) as cache, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        cache.put(b"before", reply_of())
        cache._flush()
        other.execute("BEGIN IMMEDIATE")
        assert cache.get(b"before") == reply_of()
        with open_file(path) as late:  # cannot even begin
            late.put(b"k", reply_of())
            assert late.get(b"before") is None
        cache.put(b"k", reply_of())
        cache._flush()
        assert cache.get(b"before") is None
    assert [message.rpartition(": ")[2] for message in warnings_in(caplog)] == ["database is locked"] * 2


def test_what_cannot_be_stored_is_left_out_and_costs_its_neighbours_nothing(path, caplog):
    with open_file(path) as cache:
        cache.put(b"surrogate", reply_of("\ud800"))
        cache.put(b"count", reply_of(prompt_tokens=10**30))
        cache.put(b"k", reply_of())
        cache._flush()
        assert [cache.get(key) is not None for key in (b"surrogate", b"count", b"k")] == [False, False, True]
    assert warnings_in(caplog) == []


def test_a_fork_s_child_leaves_its_parent_s_file_alone(path):
    with open_file(path) as cache:
        cache.put(b"k", reply_of())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is the point
            with cache._condition:  # as a thread may hold it at that moment
                child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                found = cache.get(b"k")
                cache.put(b"l", reply_of())
                cache.close()
                with open_file(path) as own:
                    own.put(b"child", reply_of())
                status = 0 if found is None else 2
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        cache.put(b"parent", reply_of())
        cache._flush()
        assert [cache.get(key) is not None for key in (b"k", b"l", b"child", b"parent")] == [True, False, True, True]


def test_a_child_that_ends_in_the_ordinary_way_does_not_close_its_parent_s_connection(path):
    code = (
        "import gc, os, sqlite3, sys\n"
        "from llm_judge_remote.client.cache_file import SqliteCache\n"
        "cache = SqliteCache(sys.argv[1])\n"
        "connections = len([each for each in gc.get_objects() if isinstance(each, sqlite3.Connection)])\n"
        "if os.fork() == 0:\n"
        "    del cache\n"
        "    gc.collect()\n"
        "    left = len([each for each in gc.get_objects() if isinstance(each, sqlite3.Connection)])\n"
        "    raise SystemExit(0 if left == connections == 2 else 3)\n"
        "code = os.waitstatus_to_exitcode(os.wait()[1])\n"
        "cache.close()\n"
        "raise SystemExit(code)\n"
    )
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# Keys

DIFFERENT = {
    "text": {"text": "other"},
    "model": {"model": "n"},
    "temperature": {"temperature": 0.0},
    "top_p": {"top_p": 0.9},
    "max_tokens": {"max_tokens": 11},
    "thinking": {"enable_thinking": True},
    "seed": {"seed": 0},
    "grammar": {"grammar": Grammar("x", "x")},
    "verdict": {"grammar": Grammar("y", "x")},
    "the need of a grammar": {"grammar": Grammar("x", "x"), "needs_grammar": True},
    "probabilities": {"top_logprobs": 5},
    "draws": {"draws": 2},
}


@pytest.mark.parametrize("changes", DIFFERENT.values(), ids=DIFFERENT)
def test_whatever_shapes_the_reply_changes_the_key(changes):
    assert key_of(request_of(**changes), ["http://s"]) != key_of(request_of(), ["http://s"])


def test_equal_requests_have_one_key_wherever_a_named_model_is_served():
    assert key_of(request_of(), ["http://s"]) == key_of(request_of(), ["http://t", "http://u"])


def test_the_servers_belong_to_the_key_when_the_model_is_whatever_they_serve():
    request = request_of(model="auto")
    assert key_of(request, ["http://s", "http://t"]) == key_of(request, ["http://t", "http://s"])
    assert key_of(request, ["http://s"]) != key_of(request, ["http://t"])
    assert key_of(request, ["http://s", "http://t"]) != key_of(request, ["http://s"])


# Around a job


def asking(*texts):
    """A job that asks these in turn, and returns the contents of the replies."""
    contents = []
    for text in texts:
        reply = yield request_of(text)
        contents.append(reply.content)
    return contents


def play(job, replies):
    """Answer a job in order; what it asked, and what it returned."""
    asked = []
    try:
        request = next(job)
        while True:
            asked.append(request.messages[0]["content"])
            request = job.send(replies[len(asked) - 1])
    except StopIteration as end:
        return asked, end.value


def around(job, cache, succeeded=lambda _: True):
    return remembering(job, cache, ["http://s"], succeeded)


def test_what_was_answered_well_is_not_asked_again():
    cache = MemoryCache()
    assert play(around(asking("q"), cache), [reply_of("a")]) == (["q"], ["a"])
    assert play(around(asking("q"), cache), []) == ([], ["a"])


def test_a_reply_before_another_question_is_not_kept():
    cache = MemoryCache()
    play(around(asking("first", "second"), cache), [reply_of("bad"), reply_of("good")])
    assert play(around(asking("first", "second"), cache), [reply_of("bad")]) == (["first"], ["bad", "good"])


def test_nothing_of_a_job_that_fails_is_kept():
    cache = MemoryCache()
    play(around(asking("q"), cache, lambda contents: contents == ["good"]), [reply_of("bad")])
    assert play(around(asking("q"), cache), [reply_of("b")]) == (["q"], ["b"])


def test_a_reply_from_the_cache_says_so_and_is_not_put_back():
    cache = MemoryCache()
    play(around(asking("q"), cache), [reply_of("a")])
    seen = []
    cache.put = lambda key, reply: seen.append("put")

    def job():
        seen.append((yield request_of("q")))

    play(around(job(), cache), [])
    assert seen == [reply_of("a").after(Passage(attempts=0, cached=True))]


def requesting(*requests):
    """A job that asks all of this, and returns the contents of the replies."""
    contents = []
    for request in requests:
        reply = yield request
        contents.append(reply.content)
    return contents


DRAWS = (request_of(draws=3), request_of(draws=2, seed=1), request_of(draws=1, seed=2))
ABC = [reply_of(text) for text in "abc"]


def known(cache, *requests):
    """What is kept of these, by content."""
    found = [cache.get(key_of(request, ["http://s"])) for request in requests]
    return [reply and reply.content for reply in found]


def test_draws_that_came_one_by_one_are_all_known_the_next_time():
    cache = MemoryCache()
    assert play(around(requesting(*DRAWS), cache), ABC) == (["q"] * 3, ["a", "b", "c"])
    assert play(around(requesting(*DRAWS), cache), []) == ([], ["a", "b", "c"])


def test_draws_that_are_known_already_do_not_keep_the_others_from_being_kept():
    cache = MemoryCache()
    cache.put(key_of(DRAWS[1], ["http://s"]), reply_of("known"))
    assert play(around(requesting(*DRAWS), cache), ABC) == (["q"] * 2, ["a", "known", "b"])
    assert known(cache, *DRAWS) == ["a", "known", "b"]


def test_nothing_of_draws_that_end_in_failure_is_kept():
    cache = MemoryCache()
    play(around(requesting(*DRAWS), cache, lambda _: False), ABC)
    assert known(cache, *DRAWS) == [None] * 3


AGAIN = {
    "for the missing verdict": request_of("again", draws=2),
    "with more room": request_of(max_tokens=20, draws=2),
    "with thinking closed": request_of(enable_thinking=True, draws=2),
    "held to a grammar": request_of(grammar=Grammar("x", "x"), draws=2),
    "after an empty reply": request_of(draws=2),
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_draws_that_had_to_be_asked_again_are_not_kept(again):
    cache = MemoryCache()
    play(around(requesting(*DRAWS, again), cache), [*ABC, reply_of("good")])
    assert known(cache, *DRAWS, again) == [None, None, None, "good"]


def test_of_an_equal_request_that_was_asked_again_the_last_reply_is_kept():
    cache = MemoryCache()
    play(around(requesting(request_of(), request_of()), cache), [reply_of(""), reply_of("good")])
    assert known(cache, request_of()) == ["good"]


def test_what_was_cut_before_the_draws_is_not_kept_with_them():
    cache = MemoryCache()
    play(around(requesting(request_of("long", draws=3), *DRAWS), cache), [reply_of("cut"), *ABC])
    assert known(cache, request_of("long", draws=3), *DRAWS) == [None, "a", "b", "c"]


def test_draws_of_a_seed_of_their_own_belong_together_too():
    cache = MemoryCache()
    draws = [request_of(draws=2, seed=7), request_of(draws=1, seed=8)]
    play(around(requesting(*draws), cache), ABC)
    assert known(cache, *draws) == ["a", "b"]


def test_a_request_that_cannot_be_keyed_is_left_to_those_who_send_it():
    cache = MemoryCache()
    for _ in range(2):
        assert play(around(asking("\ud800"), cache), [reply_of("a")]) == (["\ud800"], ["a"])


def test_an_error_goes_into_the_job_and_what_it_asks_next_comes_out():
    def job():
        try:
            yield request_of("q")
        except OverloadedError:
            reply = yield request_of("again")
        return reply.content

    cache = MemoryCache()
    wrapped = around(job(), cache)
    next(wrapped)
    request = wrapped.throw(OverloadedError("busy", status=503))
    assert request.messages[0]["content"] == "again"
    with pytest.raises(StopIteration) as end:
        wrapped.send(reply_of("a"))
    assert end.value.value == "a"
    assert cache.get(key_of(request_of("again"), [])) == reply_of("a")
    assert cache.get(key_of(request_of("q"), [])) is None


def test_a_job_that_returns_after_an_error_puts_nothing():
    def job():
        yield request_of("q")
        with contextlib.suppress(OverloadedError):
            yield request_of("r")
        return "done"

    cache = MemoryCache()
    wrapped = around(job(), cache)
    next(wrapped)
    wrapped.send(reply_of())
    with pytest.raises(StopIteration, match="done"):
        wrapped.throw(OverloadedError("busy", status=503))
    assert all(cache.get(key_of(request_of(text), [])) is None for text in "qr")


def test_what_the_job_raises_comes_out_as_it_is():
    error = OverloadedError("busy", status=503)
    wrapped = around(asking("q"), MemoryCache())
    next(wrapped)
    with pytest.raises(OverloadedError) as raised:
        wrapped.throw(error)
    assert raised.value is error

    def broken():
        raise KeyError("at once")
        yield

    with pytest.raises(KeyError, match="at once"):
        next(around(broken(), MemoryCache()))


def test_closing_closes_the_job():
    ended = []

    def job():
        try:
            yield request_of("q")
        finally:
            ended.append(True)

    inner = job()
    wrapped = around(inner, MemoryCache())
    next(wrapped)
    wrapped.close()
    assert ended == [True]


def test_a_job_that_was_not_begun_can_be_closed():
    with contextlib.closing(around(asking("q"), MemoryCache())):
        pass
