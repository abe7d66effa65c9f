import time

from llm_judge_remote.serving import follow
from llm_judge_remote.serving.follow import Follower


def test_lines_are_shown_as_they_come_and_the_rest_at_the_end(tmp_path):
    log, shown = tmp_path / "engine.log", []
    with Follower(log, shown.append), log.open("wb", buffering=0) as file:
        file.write(b"one\r\ntw")
        _wait_for(lambda: shown == ["one"])
        file.write("o \N{SNOWMAN}\nthree".encode())
        _wait_for(lambda: shown == ["one", "two \N{SNOWMAN}"])
    assert shown == ["one", "two \N{SNOWMAN}", "three"]


def test_a_line_without_an_end_is_shown_in_pieces_and_not_kept(tmp_path):
    log, shown = tmp_path / "engine.log", []
    log.write_bytes(b"x" * 200_000 + b"\nlast\n")
    with Follower(log, shown.append):
        pass
    assert "".join(shown[:-1]) == "x" * 200_000
    assert shown[-1] == "last"


def test_a_long_log_that_has_been_shown_is_cut_short_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "_MOST_KEPT", 1000)
    log, shown = tmp_path / "engine.log", []
    with Follower(log, shown.append), log.open("ab", buffering=0) as file:
        for number in range(100):
            file.write(b"%d %s\n" % (number, b"x" * 50))
        _wait_for(lambda: len(shown) == 100)
        _wait_for(lambda: log.stat().st_size == 0)
        file.write(b"after\n")
        _wait_for(lambda: shown[-1] == "after")
    assert log.stat().st_size == 6


def test_a_log_that_never_comes_is_no_error(tmp_path):
    with Follower(tmp_path / "none.log", print):
        pass


def _wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
