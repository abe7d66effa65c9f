"""The locks of those who use a server that may be put to sleep."""

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
import tempfile
import time

import pytest

from llm_judge_remote.client.use_lock import UseLock
from llm_judge_remote.errors import ConfigError, ServerUnavailableError

LATER = time.monotonic() + 1000
URL = "http://judge:8000"


@pytest.fixture
def locks(tmp_path):
    with contextlib.ExitStack() as stack:
        yield lambda server=URL, folder=str(tmp_path): stack.enter_context(contextlib.closing(UseLock(server, folder)))


def test_only_one_has_the_turn(locks):
    a, b = locks(), locks()
    with a.turn(LATER), pytest.raises(ServerUnavailableError, match=r"\.turn\)$") as caught, b.turn(0):
        pytest.fail("both")
    assert caught.value.server == URL
    with b.turn(0):
        pass


def test_the_turn_ends_with_an_error(locks):
    a, b = locks(), locks()
    with contextlib.suppress(KeyError), a.turn(LATER):
        raise KeyError
    with b.turn(0):
        pass


def test_the_last_one_is_who_uses_it_alone(locks):
    a, b, c = locks(), locks(), locks()
    for each in (a, b, c):
        each.join(0)
    assert not a.is_last()
    a.leave()
    b.close()
    assert c.is_last()
    c.leave()
    a.join(0)


def test_servers_have_nothing_to_do_with_each_other(locks):
    a, b = locks(), locks("http://judge:8001")
    a.join(0)
    b.join(0)
    assert a.is_last()
    with a.turn(0), b.turn(0):
        a.mark = b"slept"
        assert b.mark == b""


def test_the_mark_is_seen_by_all_and_outlives_them(locks):
    a, b = locks(), locks()
    for value in (b"slept", b"going", b"slept", b"", b"going"):
        a.mark = value
        assert b.mark == value
    a.close()
    b.close()
    assert locks().mark == b"going"


def test_half_a_mark_counts_as_one(locks, tmp_path):
    a = locks()
    (tmp_path / a._use.name).write_bytes(b"sl")
    assert a.mark == b"going"


def test_the_turn_of_a_process_that_is_killed_is_free_at_once(locks, tmp_path):
    code = (
        "import sys, time\n"
        "from llm_judge_remote.client.use_lock import UseLock\n"
        f"lock = UseLock({URL!r}, sys.argv[1])\n"
        "with lock.turn(time.monotonic() + 60):\n"
        "    lock.join(time.monotonic() + 60)\n"
        "    print('in', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "in\n"
            mine = locks()
            with pytest.raises(ServerUnavailableError), mine.turn(0):
                pytest.fail("both")
        finally:
            other.kill()
            other.wait(30)
    with mine.turn(0):
        mine.join(0)
        assert mine.is_last()


# Folders


def test_by_default_they_are_in_a_folder_that_is_this_users_alone(locks, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    a, b = locks(folder=None), locks(folder=None)
    (folder,) = tmp_path.iterdir()
    assert folder.name == f"llm-judge-remote-{os.geteuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    a.mark = b"slept"
    assert b.mark == b"slept"


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file", "somebody else's"])
def test_a_folder_that_others_may_have_laid_there_is_not_used(locks, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"llm-judge-remote-{os.geteuid()}"
    if kind == "open to others":
        folder.mkdir()
        folder.chmod(0o770)
    elif kind == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif kind == "a file":
        folder.touch(mode=0o600)
    else:
        folder.mkdir(mode=0o700)
        mine = os.geteuid()
        folder.rename(tmp_path / f"llm-judge-remote-{mine + 1}")
        monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(ConfigError, match=r"lock_folder='.*' cannot be used: .*give a folder"):
        locks(folder=None)


def test_a_link_in_the_place_of_a_lock_is_not_followed(locks, tmp_path):
    a = locks()
    a.close()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (use,) = tmp_path.glob("*.use")
    use.unlink()
    use.symlink_to(victim)
    with pytest.raises(ConfigError, match="lock_folder="):
        locks()
    assert victim.read_text() == "precious"


def test_a_file_system_without_locks_names_the_folder(locks, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    lock = locks()
    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(ConfigError, match=r"lock_folder='.*No locks available.*file system with locks"),
        lock.turn(LATER),
    ):
        pytest.fail("without a lock")
    assert lock.closed


def test_a_full_disk_is_an_error_before_anybody_is_woken(locks, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lock = locks()
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(ConfigError, match="No space left"):
        lock.mark = b"slept"


# Processes


def test_a_forks_child_has_closed_what_it_inherited(locks):
    lock = locks()
    lock.join(0)
    child = os.fork()
    if child == 0:
        os._exit(0 if lock.closed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    other = locks()
    other.join(0)
    assert not other.is_last()  # the parent's lock is as it was
