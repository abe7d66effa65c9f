"""`llm-judge-remote check` as a user runs it: options, output, exit codes, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from llm_judge_remote.cli.check import check
from llm_judge_remote.testing import Fault, JudgeServer, SimulatedJudge


@pytest.fixture(autouse=True)
def _as_in_training(monkeypatch):
    """The defaults of a training run, but for attempts that take their time."""
    monkeypatch.delenv("LLM_JUDGE_STRUCTURED_OUTPUT")
    monkeypatch.setenv("LLM_JUDGE_MAX_RETRIES", "0")


def command(*words, **variables):
    app = typer.Typer(rich_markup_mode=None)
    app.command()(check)
    return CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "80", "LLM_JUDGE_CONFIG": None, **variables})


def test_the_command_prints_a_table_and_a_summary_and_ends_with_0():
    with JudgeServer(judge=SimulatedJudge(1.0), batch_endpoint=False) as server:
        done = command("--server-url", server.url, "--max-concurrency", 2, "--seconds", 2)
    assert done.exit_code == 0, done.output
    assert "1 server: 1 warning, 12 ok." in done.stdout
    assert "fix: rows then go one by one" in done.stdout
    assert "at once" in done.stdout
    assert "\x1b" not in done.output


def test_the_command_ends_with_1_where_something_is_wrong_and_tells_what_to_do():
    with JudgeServer(model="own/model") as server:
        done = command("--server-url", server.url, "--no-load")
    assert done.exit_code == 1
    assert "fix: --model auto, or LLM_JUDGE_MODEL_NAME=own/model" in done.stdout


def test_the_command_ends_with_2_where_it_cannot_begin(tmp_path):
    for words in ([], ["--server-url", "ftp://x"], ["--seconds", "0"], ["--server-url", "h:1", "--template", "none"]):
        assert command(*words).exit_code == 2, words


def test_the_options_of_all_commands_count(tmp_path):
    (tmp_path / "judge.yaml").write_text("api_key: the-key\n")
    with JudgeServer(judge=SimulatedJudge(1.0), api_key="the-key", model="own/model") as server:
        words = ["--server-url", server.url, "--no-load", "--model", "auto", "--template", "yes_no"]
        done = command(*words, "--set", "batch_endpoint=off", "--config", tmp_path / "judge.yaml", "--json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["exit_code"], report["complete"]) == (0, 0, True)
    (section,) = report["sections"]
    by_name = {finding["name"]: finding for finding in section["findings"]}
    assert by_name["batch endpoint"]["level"] == by_name["load"]["level"] == "skipped"
    assert "the key is taken" in by_name["auth"]["message"]
    assert (section["load"], section["knee"]) == ([], None)


def test_json_holds_the_levels_of_load():
    with JudgeServer(judge=SimulatedJudge(1.0), service_time=0.01) as server:
        done = command("--server-url", server.url, "--max-concurrency", 2, "--seconds", 2, "--json")
    (section,) = json.loads(done.stdout)["sections"]
    assert [level["concurrency"] for level in section["load"]] == [1, 2]
    assert {"rate", "p50", "p99", "failures"} <= set(section["load"][0])


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_shows_what_was_found_so_far(as_json):
    program = (
        "import typer; from llm_judge_remote.cli.check import check; app = typer.Typer(); app.command()(check); app()"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLM_JUDGE_")}
    with (
        JudgeServer(faults=[Fault("hang", match="17 + 26")]) as server,
        subprocess.Popen(
            [sys.executable, "-c", program, "--server-url", server.url, *["--json"] * as_json],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        server.wait_until(lambda stats: stats.faults.get("hang", 0) == 1, 60)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    if as_json:
        report = json.loads(out)
        assert (report["complete"], report["exit_code"]) == (False, 130)
        assert [finding["name"] for finding in report["sections"][0]["findings"]][-1] == "structured output"
    else:
        assert "held by `structured_outputs`" in out
        assert "Stopped before all was looked at." in out
