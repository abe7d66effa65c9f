"""What processes note of the servers that they take for down."""

import logging
import os
import shutil
import socket
import subprocess
import sys
import time

import orjson
import pytest

from llm_judge_remote.client.breaker_folder import open_breakers
from llm_judge_remote.client.breaker_notes import BreakerNotes

URL, OTHER = "http://judge:8000", "http://other:8000"


@pytest.fixture
def notes(tmp_path):
    made = BreakerNotes(str(tmp_path))
    yield made
    made.close()


def eventually(true):
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.005)


def shown(folder):
    return {address: [each.error for each in own] for address, own in open_breakers(str(folder)).items()}


def test_an_open_breaker_is_noted_and_taken_back_when_it_closes(notes, tmp_path):
    notes.opened(URL, "refused")
    notes.opened(OTHER, "503")
    eventually(lambda: shown(tmp_path) == {URL: ["refused"], OTHER: ["503"]})
    (noted,) = open_breakers(str(tmp_path))[URL]
    assert noted.pid == os.getpid()
    assert abs(noted.since - time.time()) < 30
    notes.closed(URL)
    eventually(lambda: shown(tmp_path) == {OTHER: ["503"]})
    notes.closed(OTHER)
    eventually(lambda: not list(tmp_path.iterdir()))


def test_a_process_that_ends_takes_its_file_away(notes, tmp_path):
    notes.opened(URL, "refused")
    eventually(lambda: shown(tmp_path))
    notes.close()
    assert not list(tmp_path.iterdir())
    notes.opened(URL, "too late")
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_and_no_thread_started_while_all_is_well(notes, tmp_path):
    notes.closed(URL)
    assert notes._thread is None
    assert not list(tmp_path.iterdir())


def test_of_several_clients_the_one_comes_first_that_has_waited_longest(notes, tmp_path):
    notes.opened(URL, "first")
    eventually(lambda: shown(tmp_path))
    later = BreakerNotes(str(tmp_path))
    later.opened(URL, "second")
    eventually(lambda: shown(tmp_path) == {URL: ["first", "second"]})
    later.close()
    assert shown(tmp_path) == {URL: ["first"]}


def test_what_a_killed_process_left_grows_old_and_is_removed_after_a_day(notes, tmp_path):
    notes.opened(URL, "refused")
    eventually(lambda: shown(tmp_path))
    (file,) = tmp_path.iterdir()
    left = file.rename(tmp_path / "breakers-1-00000000.json")
    mine = tmp_path / "breakers-2024.json"
    mine.write_text("{}")
    os.utime(mine, (0, 0))
    os.utime(left, (0, time.time() - 60))
    assert shown(tmp_path) == {}
    os.utime(left, (0, time.time() - 2 * 86_400))
    another = BreakerNotes(str(tmp_path))
    another.opened(OTHER, "refused")
    eventually(lambda: OTHER in shown(tmp_path))
    assert not left.exists()
    assert mine.exists()  # whatever it is, it is nobody's notes
    another.close()


NOTE = {"address": URL, "host": "h", "pid": 1, "since": 1.0, "error": "e"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"{}",
        b"[1]",
        b'[{"address": "x"}]',
        *(
            orjson.dumps([{**NOTE, name: value}])
            for name, value in [
                ("since", "x"),
                ("since", 1e300),
                ("pid", -1),
                ("pid", "1"),
                ("address", ["x"]),
                ("error", None),
            ]
        ),
    ],
)
def test_a_file_that_holds_something_else_is_passed_over(tmp_path, content):
    (tmp_path / "breakers-1-00000000.json").write_bytes(content)
    (tmp_path / "breakers-2-00000000.json").write_bytes(orjson.dumps([NOTE]))
    assert shown(tmp_path) == {URL: ["e"]}


def test_what_is_no_file_or_too_large_for_notes_is_passed_over(tmp_path):
    os.mkfifo(tmp_path / "breakers-1-00000000.json")
    (tmp_path / "breakers-2-00000000.json").mkdir()
    (tmp_path / "breakers-3-00000000.json").symlink_to("nowhere")
    large = orjson.dumps([{**NOTE, "error": "e" * (2 << 20)}])
    (tmp_path / "breakers-4-00000000.json").write_bytes(large)
    assert shown(tmp_path) == {}


def test_long_errors_are_cut_and_those_that_no_utf_8_holds_are_noted_all_the_same(notes, tmp_path):
    notes.opened(URL, "x" * 100_000)
    notes.opened(OTHER, "a \ud800")
    eventually(lambda: shown(tmp_path) == {URL: ["x" * 500], OTHER: ["a ?"]})


def test_the_folder_s_name_keeps_its_meaning_when_the_process_goes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    notes = BreakerNotes("here")
    monkeypatch.chdir("/")
    notes.opened(URL, "refused")
    eventually(lambda: shown(tmp_path / "here"))
    notes.close()
    assert not list((tmp_path / "here").iterdir())


def test_a_folder_that_was_taken_away_meanwhile_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    notes = BreakerNotes("auto")
    notes.opened(URL, "refused")
    eventually(lambda: URL in open_breakers("auto"))
    shutil.rmtree(next(tmp_path.iterdir()))
    notes.opened(OTHER, "refused")
    eventually(lambda: list(tmp_path.glob("*/*.json")))
    notes.close()


def test_a_process_of_this_machine_that_is_gone_has_no_open_breaker(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert open_breakers("auto") == {}
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    file = next(tmp_path.iterdir()) / "breakers-1-00000000.json"
    here = {**NOTE, "host": socket.gethostname()}
    file.write_bytes(orjson.dumps([{**here, "pid": ended.pid}, {**here, "pid": os.getpid()}]))
    assert [each.pid for each in open_breakers("auto")[URL]] == [os.getpid()]


def test_a_note_that_cannot_be_kept_true_is_taken_away(notes, tmp_path, monkeypatch, caplog):
    notes.opened(URL, "refused")
    notes.opened(OTHER, "refused")
    eventually(lambda: len(shown(tmp_path)) == 2)

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with caplog.at_level(logging.WARNING, "llm_judge_remote"):
        notes.closed(URL)
        eventually(lambda: not list(tmp_path.iterdir()))
        notes.opened(URL, "refused")
        eventually(lambda: not notes._is_changed)
    assert len(caplog.records) == 1  # and not every few seconds


def test_a_folder_that_is_not_there_is_said_to_who_looks_and_logged_by_who_writes(tmp_path, caplog):
    gone = str(tmp_path / "gone")
    with pytest.raises(NotADirectoryError, match="gone"):
        open_breakers(gone)
    with caplog.at_level(logging.WARNING, "llm_judge_remote"):
        notes = BreakerNotes(gone)
        notes.opened(URL, "refused")
        eventually(lambda: caplog.records)
        notes.close()
    assert f"breaker_folder={gone!r}" in caplog.text


def test_by_default_they_are_in_one_that_only_this_user_can_use(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    notes = BreakerNotes("auto")
    notes.opened(URL, "refused")
    eventually(lambda: URL in open_breakers("auto"))
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    notes.close()
