"""Load on a server, several servers and registries, as `ServerCheck` looks at them."""

import json
import socket

import pytest
from check_findings import findings, levels, looked, wrong

from llm_judge_remote import ConfigError, JudgeSettings
from llm_judge_remote.diagnosis.server import Load, ServerCheck
from llm_judge_remote.servers.registry import register
from llm_judge_remote.testing import Fault, JudgeServer, SimulatedJudge


@pytest.fixture(autouse=True)
def _as_in_training(monkeypatch):
    """The defaults of a training run, but for attempts that take their time."""
    monkeypatch.delenv("LLM_JUDGE_STRUCTURED_OUTPUT")
    monkeypatch.setenv("LLM_JUDGE_MAX_RETRIES", "0")


def test_load_is_measured_and_its_failures_are_counted():
    with JudgeServer(judge=SimulatedJudge(1.0), service_time=0.02, slots=2) as server:
        (section,) = looked(server, load=Load(most=8, seconds=4)).sections
        assert [level.concurrency for level in section.levels][:3] == [1, 2, 4]
        assert all(level.failures == 0 and 0 < level.p50 <= level.p99 for level in section.levels)
        assert server.stats.conversations < 400
    broken = [Fault("status", status=500, match="I add the numbers")]
    with JudgeServer(judge=SimulatedJudge(1.0), faults=broken) as server:
        found = findings(server, load=Load(most=8, seconds=4))
    assert found["load"].level == "error"
    assert "A scripted fault" in found["load"].message
    assert found["reward function"].level == "ok"


def test_a_time_too_short_for_a_single_row_is_no_failure_of_the_server():
    slow = Fault("hang", match="I add the numbers")
    with JudgeServer(judge=SimulatedJudge(1.0), faults=[slow]) as server:
        found = findings(server, load=Load(most=2, seconds=1))
    assert wrong(found) == {"load": "warning"}
    assert "--seconds" in found["load"].fix


def test_a_list_is_looked_at_one_by_one_and_as_one():
    with JudgeServer(judge=SimulatedJudge(1.0)) as one, JudgeServer(judge=SimulatedJudge(1.0), model="b") as other:
        report = looked(one, f"{other.url}#weight=2", model_name="auto")
    assert [(section.kind, section.title) for section in report.sections] == [
        ("server", one.url),
        ("server", other.url),
        ("together", "all 2 servers as one"),
    ]
    together = {finding.name: finding for finding in report.sections[-1].findings}
    assert list(together) == ["servers", "many samples", "load", "reward function"]
    assert together["servers"].level == "warning"
    assert f"b at {other.url}" in together["servers"].message
    assert (together["reward function"].level, report.has_errors) == ("ok", False)


def test_one_dead_server_of_two_is_an_error_of_its_own_and_the_rows_go_to_the_other():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with JudgeServer(judge=SimulatedJudge(1.0)) as server:
        report = looked(dead, server)
    together = {finding.name: finding for finding in report.sections[-1].findings}
    assert report.has_errors
    assert "1 of 2 servers judge" in together["servers"].message
    assert together["reward function"].level == "ok"


def test_servers_that_are_all_dead_are_not_asked_once_more_as_one():
    faults = [Fault("status", status=500)]
    with JudgeServer(faults=faults) as one, JudgeServer(faults=faults) as other:
        report = looked(one, other)
    assert levels({finding.name: finding for finding in report.sections[-1].findings}) == {
        "servers": "error",
        "many samples": "skipped",
        "load": "skipped",
        "reward function": "skipped",
    }


def test_the_servers_of_a_registry_are_found_named_and_looked_at(tmp_path):
    url = f"file://{tmp_path}/judges"
    with (
        JudgeServer(judge=SimulatedJudge(1.0)) as one,
        JudgeServer(judge=SimulatedJudge(1.0)) as other,
        register(url, one.url),
        register(url, other.url),
    ):
        report = looked(url)
    assert [section.kind for section in report.sections] == ["registry", "server", "server", "together"]
    (listed,) = report.sections[0].findings
    assert (listed.level, one.url in listed.message, other.url in listed.message) == ("ok", True, True)
    assert not report.has_errors
    assert levels({finding.name: finding for finding in report.sections[-1].findings})["reward function"] == "ok"


def test_a_registry_without_servers_and_one_that_cannot_be_asked_are_errors(tmp_path):
    empty = looked(f"file://{tmp_path}/nobody")
    assert [section.kind for section in empty.sections] == ["registry"]
    assert "lists no server" in empty.sections[0].findings[0].message
    (tmp_path / "file").write_text("no folder")
    broken = looked(f"file://{tmp_path}/file/judges")
    assert broken.has_errors


def test_a_key_is_nowhere_in_what_is_reported():
    with JudgeServer(judge=SimulatedJudge(1.0), api_key="s3cret-of-the-judge") as server:
        report = looked(server, api_key="s3cret-of-the-judge")
        refused = looked(server, api_key="s3cret-of-another")
    assert "s3cret" not in json.dumps([report.to_dict(), refused.to_dict()])


def test_without_an_address_or_with_a_template_that_is_none_nothing_is_looked_at():
    with pytest.raises(ConfigError, match="server_url is not set"):
        ServerCheck(JudgeSettings())
    with pytest.raises(ConfigError, match="prompt_template"):
        ServerCheck(JudgeSettings(server_url="127.0.0.1:9", prompt_template="none"))
