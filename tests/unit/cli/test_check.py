"""What `llm-judge-remote check` shows: tables for eighty columns, and nothing in them that a server could forge."""

import io
import re

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from llm_judge_remote.cli.check import check
from llm_judge_remote.cli.check_table import section_table, summary
from llm_judge_remote.diagnosis.server import LoadLevel, Report, Section
from llm_judge_remote.finding import Finding

LEVELS = (
    LoadLevel(1, rows=10, failures=0, rate=1.5, p50=0.5, p99=0.75),
    LoadLevel(2, rows=20, failures=1, rate=1.5, p50=1.25, p99=2.0, reason="busy"),
    LoadLevel(4, rows=0, failures=8, rate=0.0, p50=0.0, p99=0.0, reason="busy"),
)


def printed(renderable, width=80):
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


def section(*findings, levels=()):
    return Section("server", "http://judge:8000", findings, levels)


def test_a_finding_is_shown_with_what_to_do_below_it():
    shown = printed(section_table(section(Finding("auth", "error", "it wants a key", "give it one"))))
    assert shown.splitlines()[0].strip() == "http://judge:8000"
    assert re.search(r"^error  auth  it wants a key *\n *fix: give it one", shown, re.MULTILINE)


def test_what_was_skipped_for_the_same_reason_is_one_line():
    reason = "not looked at, because of the error above: auth"
    found = [Finding("auth", "error", "no"), Finding("models", "skipped", reason), Finding("chat", "skipped", reason)]
    shown = printed(section_table(section(*found, Finding("load", "skipped", "not asked for"))))
    assert re.search(
        r"^skipped +2 others +not looked at, because of the error above: auth: models, chat", shown, re.MULTILINE
    )
    assert re.search(r"^skipped +load +not asked for", shown, re.MULTILINE)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_lost(width):
    words = "http://a-server-with-a-very-long-name.of-a-cluster.example.org:8000 answered 500: " + "word " * 40
    shown = printed(section_table(section(Finding("reward function", "warning", words), levels=LEVELS)), width)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("word") == 40


def test_a_server_s_words_can_neither_move_the_cursor_nor_colour_nor_break_a_line():
    words = "\x1b[2J\x1b[31mall is well\r\nok  auth  fine [bold]no[/bold] \x9b1m"
    shown = printed(section_table(section(Finding("chat", "error", words, words))))
    assert not set("\x1b\r\x9b") & set(shown)
    assert "[bold]no[/bold]" in shown
    assert not re.search(r"^ok  auth", shown, re.MULTILINE)


def test_the_table_of_load_marks_the_knee_and_leaves_out_times_that_are_none():
    shown = printed(section_table(section(Finding("load", "warning", "busy"), levels=LEVELS))).splitlines()
    rows = [line.split() for line in shown if re.match(r" +\d", line)]
    assert rows == [
        ["1", "1.5", "0.50", "0.75", "10", "0", "<-", "knee"],
        ["2", "1.5", "1.25", "2.00", "20", "1"],
        ["4", "0.0", "-", "-", "0", "8"],
    ]


def test_the_summary_begins_with_what_is_worst():
    ok, bad = Finding("a", "ok", ""), Finding("b", "error", "")
    report = Report((section(ok, bad, bad), section(Finding("c", "skipped", ""), ok)))
    assert summary(report).plain == "2 servers: 2 errors, 2 ok, 1 skipped."
    one = Report((section(Finding("a", "warning", "")),), is_complete=False)
    assert summary(one).plain == "1 server: 1 warning. Stopped before all was looked at."
    assert summary(Report(())).plain == "0 servers: nothing was looked at."


def test_the_help_teaches_the_exit_codes_and_every_option():
    app = typer.Typer(rich_markup_mode=None)
    app.command()(check)
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).stdout
    for words in ("--server-url", "--model", "--template", "--set", "--config", "--no-load", "--max-concurrency"):
        assert words in shown
    assert re.search(r"--seconds.*--json.*Exit code:|Exit code:.*--seconds.*--json", shown, re.DOTALL)
    assert "  1  something is wrong" in shown
