"""What processes note of the servers that they take for down."""

import logging
import os
import time

import pytest

from llm_judge_remote.client.breaker_notes import BreakerNotes, open_breakers

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
    left = file.rename(tmp_path / "breakers-1-0000.json")
    os.utime(left, (0, time.time() - 60))
    assert shown(tmp_path) == {}
    os.utime(left, (0, time.time() - 2 * 86_400))
    another = BreakerNotes(str(tmp_path))
    another.opened(OTHER, "refused")
    eventually(lambda: OTHER in shown(tmp_path))
    assert not left.exists()
    another.close()


@pytest.mark.parametrize("content", [b"", b"[", b"{}", b"[1]", b'[{"address": "x"}]'])
def test_a_file_that_holds_something_else_is_passed_over(tmp_path, content):
    (tmp_path / "breakers-1-1.json").write_bytes(content)
    assert shown(tmp_path) == {}


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


def test_without_a_folder_they_are_in_one_that_only_this_user_can_use(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    notes = BreakerNotes(None)
    notes.opened(URL, "refused")
    eventually(lambda: URL in open_breakers(None))
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    notes.close()
