"""`llm-judge-remote doctor`: what is printed, for people and for programs, and how it ends."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
import yaml
from typer.testing import CliRunner

from llm_judge_remote.cli.doctor import doctor
from llm_judge_remote.testing import JudgeServer, Reply

FAULTS = {"model", "proxy", "thinking", "keys", "longest row"}

app = typer.Typer(rich_markup_mode=None)
app.command()(doctor)


@pytest.fixture(autouse=True)
def _no_proxies_from_outside(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def judge():
    with JudgeServer(judge="REWARD: 1.0") as running:
        yield running


def command(*words):
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def document(*words):
    result = command(*words, "--json")
    return result.exit_code, json.loads(result.stdout)


def levels(told):
    return {each["name"]: each["level"] for each in told["findings"]}


def write_config(folder, **settings):
    path = folder / "judge.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_a_setup_without_fault_ends_with_0_and_is_read_in_sections(judge):
    result = command("--server-url", judge.url)
    assert result.exit_code == 0
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert [line for line in lines if line in ("Settings", "this machine", judge.url)] == [
        "Settings",
        "this machine",
        judge.url,
    ]
    assert "0 errors, 0 warnings" in result.stdout
    assert "fix:" not in result.stdout


def test_without_a_judge_it_ends_with_1_and_says_how_to_name_one():
    result = command()
    assert result.exit_code == 1
    assert "fix: export LLM_JUDGE_SERVER_URL=http://HOST:PORT" in result.stdout
    assert "Begin with the first error: server_url, settings." in result.stdout


def test_each_setting_is_shown_with_its_layer_and_no_key_in_any_form(judge, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_API_KEY", "open-sesame")
    config = write_config(tmp_path, timeout=7)
    words = ("--server-url", judge.url, "--config", config, "--set", "temperature=0", "--template", "concise")
    words += ("--model", "auto")
    exit_code, told = document(*words)
    assert exit_code == 0
    assert {each["name"]: (each["value"], each["layer"], each["source"]) for each in told["settings"]} == {
        "server_url": (judge.url, "command line", ""),
        "api_key": ("(not shown)", "environment", "LLM_JUDGE_API_KEY"),
        "timeout": ("7.0", "config file", str(config)),
        "temperature": ("0.0", "command line", ""),
        "prompt_template": ("concise", "command line", ""),
        "model_name": ("auto", "command line", ""),
    }
    printed = command(*words)
    assert "environment LLM_JUDGE_API_KEY" in printed.stdout
    assert "have their default" in printed.stdout
    assert "sesame" not in printed.output + json.dumps(told)


def test_all_settings_are_shown_when_asked_for(judge):
    _, told = document("--server-url", judge.url, "--all-settings")
    assert {each["layer"] for each in told["settings"]} == {"default", "command line"}
    assert "max_in_flight" in command("--all-settings").stdout


def test_what_is_wrong_on_the_command_line_ends_with_2_and_looks_at_nothing():
    for words in (
        ("--set", "temprature=0"),
        ("--set", "temperature=-1"),
        ("--server-url", "ftp://judge"),
        ("--verl-version", "newest"),
        ("--timeout", "0"),
    ):
        result = command(*words)
        assert (result.exit_code, result.stdout) == (2, ""), words


def test_what_is_wrong_in_the_environment_or_a_file_is_a_finding_and_hides_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_TEMPERATURE", "hot")
    missing = tmp_path / "verl.yaml"
    exit_code, told = document("--server-url", "http://h", "--verl-config", missing)
    assert exit_code == 1
    found = {each["name"]: each for each in told["findings"]}
    assert "LLM_JUDGE_TEMPERATURE" in found["settings"]["message"]
    assert found["file"]["where"] == f"verl: {missing}"
    assert {"python", "trainer"} <= set(found)
    monkeypatch.delenv("LLM_JUDGE_TEMPERATURE")
    config = write_config(tmp_path, temprature=1)
    exit_code, told = document("--config", config)
    assert (exit_code, "did you mean 'temperature'?" in told["findings"][0]["message"]) == (1, True)


def test_the_reward_kwargs_that_verl_reads_are_settings_below_the_command_line(judge, tmp_path):
    function = {
        "path": "pkg://llm_judge_remote",
        "name": "compute_score_async",
        "reward_kwargs": {"server_url": judge.url, "temperature": 0, "seed": 1},
    }
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({"reward": {"custom_reward_function": function}}))
    exit_code, told = document("--verl-config", path, "--verl-version", "0.9.1", "--set", "seed=2")
    assert exit_code == 0
    assert {each["name"]: (each["layer"], each["source"]) for each in told["settings"]} == {
        "server_url": ("verl configuration", str(path)),
        "temperature": ("verl configuration", str(path)),
        "seed": ("command line", ""),
    }
    exit_code, told = document("--verl-config", path, "--verl-version", "0.7.0")
    assert exit_code == 1
    assert [each["layer"] for each in told["settings"]] == []


def test_settings_of_verl_that_are_of_no_use_do_not_keep_the_servers_from_being_looked_at(judge, tmp_path):
    function = {"path": "pkg://llm_judge_remote", "reward_kwargs": {"temperature": "hot"}}
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({"reward": {"custom_reward_function": function}}))
    exit_code, told = document("--verl-config", path, "--server-url", judge.url, "--verl-version", "0.9.1")
    assert exit_code == 1
    assert (levels(told)["reward_kwargs"], levels(told)["settings"], levels(told)["reply"]) == ("error", "error", "ok")


def test_the_first_server_is_told_in_full_and_of_the_others_what_is_not_well(judge):
    with JudgeServer(judge="REWARD: 1.0") as second, JudgeServer(model="another") as third:
        printed = command("--server-url", f"{judge.url},{second.url},{third.url}").stdout
    after_second, after_third = (printed.split(f"\n{each.url}\n")[1] for each in (second, third))
    assert " ".join(after_second.split("\n\n")[0].split()) == (
        "ok proxy, DNS, TCP, HTTP, clock, key, model, sleep, reply, thinking, context"
    )
    assert "'Qwen/Qwen3-32B' is not served" in after_third


def test_looks_that_are_skipped_for_one_reason_are_one_line():
    with JudgeServer(api_key="k") as server:
        printed = " ".join(command("--server-url", server.url).stdout.split())
    assert (
        "skipped model, sleep, reply, thinking, context, longest row: not looked at, because of the error above: key"
    ) in printed
    assert "8 were not looked at" in printed  # and neither TLS nor the prefix cache


def test_a_timeout_bounds_each_look(judge):
    judge.pause()
    _, told = document("--server-url", judge.url, "--timeout", "0.2")
    (found,) = (each for each in told["findings"] if each["name"] == "HTTP")
    assert "had not answered after 0.2 s" in found["message"]
    judge.resume()


@pytest.fixture
def five_faults(tmp_path, monkeypatch):
    """A judge that thinks, a proxy that is not there, a key that verl 0.9 ignores, a row that is too long."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    verl = tmp_path / "train.yaml"
    function = {"path": "pkg://llm_judge_remote", "name": "compute_score_async"}
    verl.write_text(yaml.safe_dump({"custom_reward_function": function}))
    rows = [
        {"data_source": "llm_judge_remote", "reward_model": {"ground_truth": "4"}, "extra_info": {"problem": problem}}
        for problem in ("What is 2 + 2?", "What is two and two? " * 1000)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    with JudgeServer(judge=Reply("REWARD: 1.0", "Let me see."), max_model_len=4096) as server:
        words = ["--server-url", server.url, "--model", "Qwen/Qwen3-23B", "--set", "trust_env=true"]
        yield [*words, "--verl-config", verl, "--verl-version", "0.9.1", "--data", tmp_path / "train.parquet"]


def test_five_faults_at_once_are_all_found_each_with_its_fix(five_faults):
    exit_code, told = document(*five_faults)
    assert exit_code == told["exit_code"] == 1
    found = {each["name"]: each for each in told["findings"] if each["level"] in ("warning", "error")}
    assert set(found) == FAULTS | {"function"}  # as verl does not see the one that it ignores
    assert all(each["fix"] for each in found.values())
    assert found["thinking"]["level"] == "warning"
    assert told["counts"]["error"] == 5
    printed = command(*five_faults).stdout
    assert printed.count("fix: ") == 6
    assert "5 errors, 1 warning" in printed


def test_the_help_says_what_it_does_and_how_it_ends():
    printed = command("--help").stdout
    assert "Exit code:" in printed
    for option in (
        "--server-url",
        "--data",
        "--verl-config",
        "--verl-version",
        "--all-settings",
        "--timeout",
        "--json",
    ):
        assert option in printed


def test_nothing_heavy_is_loaded_with_the_command():
    code = (
        "import sys, llm_judge_remote.cli.doctor; print([m for m in ('pandas', 'pyarrow', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
