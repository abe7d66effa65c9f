"""`llm-judge-remote inspect`: what is printed, for people and for programs, and how it ends."""

import io
import json
import os
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from llm_judge_remote.cli import inspect_report
from llm_judge_remote.cli.main import app
from llm_judge_remote.dataset.inspection import inspect_file
from llm_judge_remote.prompts.library import template_names

LONG_NAME = "llm_judge_remote_a_data_set_with_a_name_that_is_much_longer_than_a_line_of_the_terminal_is_wide"


def row(number=0, **changes):
    problem = f"What is {number} + {number}?"
    return {
        "data_source": "llm_judge_remote_sums",
        "prompt": [{"role": "user", "content": problem}],
        "ability": "math",
        "reward_model": {"style": "model", "ground_truth": f"It is {2 * number}."},
        "extra_info": {"index": number, "problem": problem, "temperature": None},
        **changes,
    }


@pytest.fixture
def write(tmp_path):
    def written(rows, name="rows.parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
        return tmp_path / name

    return written


def command(*words):
    result = CliRunner().invoke(app, ["inspect", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_sound_file_ends_with_0_and_one_with_a_row_that_can_never_be_scored_with_1(write):
    sound = command(write([row(1), row(2)]))
    assert (sound.exit_code, "No errors, no warnings." in sound.stdout) == (0, True)
    broken = row(2, reward_model={"style": "model", "ground_truth": " "})
    unsound = command(write([row(1), broken, row(3), broken]))
    assert unsound.exit_code == 1
    assert "1 error, 1 warning." in unsound.stdout
    said = " ".join(unsound.stdout.split())
    assert "error no reference, or a blank one: these rows can never be scored: 2 rows (1, 3). warning the same" in said


def test_warnings_alone_are_no_failure(write):
    result = command(write([row(1, data_source=""), row(2, data_source="")]))
    assert (result.exit_code, "No errors, 1 warning." in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.parquet"], "no such file"),
        (["FILE", "--template", "no such"], "prompt_template='no such' is no template"),
        (["FILE", "--candidate", "answers"], "no column 'answers' of candidates; its columns: data_source, prompt,"),
        (["FILE", "--tokenizer", "no-such-folder/at/all"], "the tokenizer no-such-folder/at/all"),
        (["FILE", "--row", "2"], "there is no row 2"),
        (["FILE", "--context", "0"], "--context"),
        (["FILE", "--no-such-option"], "--no-such-option"),
    ],
)
def test_what_is_of_no_use_ends_with_2_and_one_line_on_stderr(write, words, said, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = write([row(1), row(2)])
    result = command(*[path if word == "FILE" else word for word in words])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_without_the_extra_it_says_how_to_get_it(write, monkeypatch):
    path = write([row(1)])
    for name in [name for name in sys.modules if name.startswith("llm_judge_remote.dataset.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = command(path)
    assert result.exit_code == 2
    assert "pip install 'llm-judge-remote[data]'" in result.stderr


def test_the_judge_s_prompts_are_printed_to_the_byte(write):
    text = "  two  blanks\t\tand [red]markup[/red] :smile: 「全角」 " + "long " * 60
    path = write([row(1, extra_info={"problem": text}), row(2)])
    expected = inspect_file(path).examples
    printed = command(path).stdout
    assert len(expected) == 2
    for example in expected:
        for message in example.shown.conversations[0]:
            assert f"[{message['role']}]\n{message['content']}\n" in printed


@pytest.mark.parametrize("name", template_names())
def test_every_template_can_be_shown(write, name):
    path = write([row(1)])
    report = json.loads(command(path, "--template", name, "--json").stdout)
    assert report["judge"]["prompt_template"] == name
    assert report["examples"][0]["conversations"][0][-1]["content"] in command(path, "--template", name).stdout


def test_json_has_the_same_keys_whatever_the_file_holds(write):
    rows = [row(1), row(2, reward_model={"style": "model", "ground_truth": ""})]
    rows[0]["extra_info"]["temperature"] = 0.5
    result = command(write(rows), "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert list(report) == [
        "file", "format", "layout", "rows", "requests", "has_errors", "columns", "metadata", "data_sources", "lengths",
        "overrides", "judge", "findings", "examples",
    ]  # fmt: skip
    assert report["columns"][0] == {"name": "data_source", "type": "string"}
    assert report["lengths"]["prompt"] == {"median": 14, "p95": 14, "max": 14, "longest_row": 0}
    assert set(report["lengths"]) == {"prompt", "problem", "reference", "judge_prompt"}
    assert report["overrides"] == [
        {"setting": "temperature", "rows": 1, "distinct": 1, "values": [{"value": "0.5", "rows": 1}]}
    ]
    assert {tuple(each) for each in report["findings"]} == {("level", "code", "message", "rows", "first_rows")}
    assert {tuple(each) for each in report["examples"]} == {
        ("row", "data_source", "overrides", "model", "why_not", "conversations")
    }
    assert set(report["judge"]) == {"prompt_template", "model_name", "context", "counted_by"}
    assert list(json.loads(command(write([row(1)]), "--json").stdout)) == list(report)


def test_rows_and_the_number_of_examples_can_be_chosen(write):
    path = write([row(number) for number in range(9)])
    assert "row 0, " in command(path, "--examples", 1).stdout
    printed = command(path, "--row", 7, "--row", 5).stdout
    assert re.findall(r"^row (\d+), ", printed, re.MULTILINE) == ["5", "7"]
    assert "[user]" not in command(path, "--examples", 0).stdout


def test_a_row_that_is_not_judged_says_why_in_its_place(write):
    path = write([row(1, extra_info={"problem": "?", "temperature": 9.0})])
    printed = command(path, "--row", 0).stdout
    assert "The row's own settings: temperature." in printed
    assert "The judge is sent nothing: temperature=9.0" in printed


def test_the_first_of_several_conversations_is_shown_and_said(write):
    path = write([row(1, reward_model={"style": "model", "ground_truth": ["2", "two", "II"]})])
    said = " ".join(command(path).stdout.split())
    assert "is sent; the first of 3 conversations, one for each reference: [system]" in said
    [example] = json.loads(command(path, "--json").stdout)["examples"]
    assert len(example["conversations"]) == 3


def test_piped_it_is_plain_and_no_line_of_its_own_is_wider_than_80(write):
    rows = [row(number, data_source=LONG_NAME) for number in range(2000)]
    rows[3]["extra_info"]["temperature"] = 0.5
    rows[4]["data_source"] = "x"
    rows[5]["prompt"] = []
    words = [sys.executable, "-m", "llm_judge_remote", "inspect", write(rows), "--examples", "1"]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    before, _, after = done.stdout.partition("[system]")
    own = [*before.splitlines(), *after.partition("REWARD: <number>")[2].splitlines()]
    assert max(map(len, own)) <= 80
    assert LONG_NAME[-16:] in before  # folded, not cut


def test_a_terminal_gets_colours_and_none_of_a_row_s_control_codes(write, monkeypatch):
    evil = "\x1b]0;title\x07\x1b[31m"
    path = write([row(1, data_source=evil, extra_info={"problem": evil, evil: 1, "temperature": 0.5})])
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr(
        inspect_report, "Console", lambda **given: Console(file=screen, force_terminal=True, width=80, **given)
    )
    monkeypatch.setenv("LLM_JUDGE_DEFENCES", "false")
    inspect_report.show(inspect_file(path))
    printed = screen.getvalue()
    assert "\x1b[33m" in printed
    assert "title" in printed
    assert "\x1b]0" not in printed
    assert "\x07" not in printed


def test_progress_is_no_part_of_what_is_piped(write):
    path = write([row(number) for number in range(5000)])
    assert command(path, "--examples", 0).stderr == ""


def test_the_help_tells_the_exit_codes_and_every_option(write):
    said = command("--help").stdout
    for word in (
        "Exit code:",
        "--template",
        "--candidate",
        "--context",
        "--tokenizer",
        "--examples",
        "--row",
        "--json",
    ):
        assert word in said
