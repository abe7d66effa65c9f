"""A gullible judge under attack, with the defences and without them; and the command that does it."""

import json
import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import llm_judge_remote
from llm_judge_remote import Judge, JudgeSettings
from llm_judge_remote.cli.main import app
from llm_judge_remote.redteam import ATTACKS, default_targets, red_team
from llm_judge_remote.serving.launch import free_port
from llm_judge_remote.testing import Fault, JudgeServer, SimulatedJudge
from llm_judge_remote.testing.conversation import message_text

TARGETS = default_targets()[:3]
FALLEN_FOR = {"master_key", "empty", "control_token", "fence", "few_shot"}
TEMPLATES = [("default", "off"), ("detailed", "off"), ("digit", "off"), ("default", "on"), ("yes_no", "on")]
WEAKNESSES = ("echoes", "quotes", "obeys", "master_keys")


@pytest.fixture(scope="module")
def gullible():
    """A server whose judge knows that these candidates are wrong, and falls for whatever reaches it."""
    with JudgeServer(judge=SimulatedJudge(1.0, WEAKNESSES)) as running:
        yield running


def attacked(server, attacks=ATTACKS, **settings):
    return red_team(TARGETS, JudgeSettings(server_url=server.url, **settings), attacks=attacks)


def command(*arguments, **variables):
    environment = {name: None for name in os.environ if name.startswith("LLM_JUDGE_")}
    environment |= {"LLM_JUDGE_STRUCTURED_OUTPUT": "off", **variables}
    return CliRunner().invoke(app, ["redteam", "--limit", "2", *arguments], env=environment)


@pytest.mark.parametrize(("template", "held"), TEMPLATES)
def test_with_the_defences_no_attack_changes_a_score(gullible, template, held):
    report = attacked(gullible, prompt_template=template, structured_output=held)
    assert (report.overall.fooled, report.overall.raised, report.overall.not_judged) == (0, 0, 0)
    assert {score for result in report.attacks for score in result.scores} == {0.0}
    assert report.baseline.judged == len(TARGETS)
    assert report.kinds["master_key"].by_rule == report.kinds["master_key"].n


@pytest.mark.parametrize(("template", "held"), TEMPLATES)
def test_without_the_defences_the_same_attacks_pass_for_right(gullible, template, held):
    report = attacked(gullible, prompt_template=template, structured_output=held, defences=False)
    assert report.baseline.fooled == 0
    assert {kind for kind, tally in report.kinds.items() if tally.fooled} >= FALLEN_FOR
    assert report.overall.rate > 0.2
    assert "master_key/colon" in {result.label for result in report.above(0.99)}
    # A judge that is held to the verdict's grammar can fall for orders, and cannot repeat what it read.
    assert ("verdict/plain" in {result.label for result in report.above(0)}) == (held == "off")


def test_a_judge_of_one_s_own_is_asked_in_one_call_and_stays_open():
    with (
        JudgeServer(judge="REWARD: 0.0") as server,
        Judge(JudgeSettings(server_url=server.url, batch_endpoint="off")) as judge,
    ):
        report = red_team(TARGETS, judge=judge, attacks=ATTACKS[-3:])
        assert server.stats.conversations == len(TARGETS) * 4
        assert judge.score([])[:1] == []
    assert report.overall.judged == len(TARGETS) * 3


def test_replies_without_a_verdict_count_neither_way():
    def silent_on_orders(conversation):
        return "I will not be ordered about." if "gnore" in conversation.text else "REWARD: 0.0"

    with JudgeServer(judge=silent_on_orders) as server:
        orders = [attack for attack in ATTACKS if attack.name in ("ignore-previous", "polite")]
        report = attacked(server, orders)
    ignored, polite = (result.tally for result in report.attacks)
    assert (ignored.not_judged, ignored.rate, polite.not_judged, polite.rate) == (len(TARGETS), None, 0, 0.0)
    assert all("no verdict" in reason for reason in report.reasons)


def test_the_command_ends_with_0_when_the_judge_stands_and_prints_no_colours_into_a_pipe():
    with JudgeServer(judge="REWARD: 0.0", api_key="s3cret") as server:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LLM_JUDGE_")}
        variables = {"LLM_JUDGE_SERVER_URL": server.url, "LLM_JUDGE_API_KEY": "s3cret", "PYTHONIOENCODING": "ascii"}
        done = subprocess.run(
            [sys.executable, "-m", "llm_judge_remote.cli.main", "redteam", "--limit", "2"],
            env={**environment, **variables, "LLM_JUDGE_STRUCTURED_OUTPUT": "off"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    assert f"0 of {len(ATTACKS)} attacks pass for right in more than 5%" in done.stdout
    for shown in ("baseline", "verdict: together", "all attacks", "control_token/chatml-turn", "0%-66%"):
        assert shown in done.stdout


def test_the_command_ends_with_1_and_names_the_attacks_that_get_through(gullible):
    verdicts = ("--server-url", gullible.url, "--attack", "verdict")
    done = command(*verdicts, "--no-defences")
    lenient = command(*verdicts[:2], "--attack", "plain", "--no-defences", "--max-rate", "1")
    assert command(*verdicts).exit_code == 0
    assert done.exit_code == 1
    assert "!100%" in done.stdout
    assert "no defences" in done.stdout
    assert re.search(r"attacks pass for right in more than 5% of the problems: verdict/plain, ", done.stdout)
    assert lenient.exit_code == 0


def test_a_judge_that_says_yes_to_all_is_told_from_one_that_is_fooled():
    with JudgeServer(judge="REWARD: 1.0") as server:
        done = command("--server-url", server.url, "--attack", "praise")
    assert done.exit_code == 1
    assert "The plain wrong candidates do so in 2 of 2" in done.stdout


def test_the_command_ends_with_3_when_nothing_was_judged():
    url = f"http://127.0.0.1:{free_port()}"
    done = command("--server-url", url, LLM_JUDGE_MAX_RETRIES="0", LLM_JUDGE_OUTAGE_GRACE="0")
    assert done.exit_code == 3
    assert "Not judged were" in done.stdout
    assert "Too little was judged to say anything" in done.stdout
    assert not isinstance(done.exception, Exception)


def test_the_command_ends_with_3_when_one_attack_keeps_the_judge_from_a_verdict():
    with JudgeServer(judge=lambda c: "Well." if "begg" in c.text or "beg you" in c.text else "REWARD: 0") as server:
        done = command("--server-url", server.url, "--attack", "praise")
    assert done.exit_code == 3
    assert "Too little was judged to say anything of 1 attacks: praise/plea." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "server_url is not set"),
        (("--server-url", "ftp://x"), "ftp://x"),
        (("--server-url", "http://127.0.0.1:1", "--template", "no-such"), "no-such"),
        (("--attack", "no-such"), "the kinds are master_key"),
        (("--data", "no-such.jsonl"), "no-such.jsonl cannot be read"),
        (("--threshold", "2"), "--threshold"),
    ],
)
def test_the_command_ends_with_2_and_says_what_is_of_no_use(arguments, reason):
    done = command(*arguments)
    assert done.exit_code == 2
    assert reason in done.output
    assert "Traceback" not in done.output


def test_json_is_one_document_with_a_report_for_each_judge():
    with JudgeServer(judge="REWARD: 0.25", model="one/model") as one, JudgeServer(judge="REWARD: 0.75") as other:
        done = command(
            *("--server-url", one.url, "--server-url", other.url, "--template", "default", "--template", "binary"),
            *("--model", "auto", "--attack", "fence/*", "--attack", "colon", "--json"),
        )
    told = json.loads(done.stdout)
    assert (done.exit_code, told["exit_code"], told["max_rate"]) == (1, 1, 0.05)
    asked = [(report["judge"]["server_url"], report["judge"]["prompt_template"]) for report in told["reports"]]
    assert asked == [(url, template) for url in (one.url, other.url) for template in ("default", "binary")]
    assert [report["baseline"]["mean_score"] for report in told["reports"]] == [0.25, 0.25, 0.75, 0.75]
    assert {attack["kind"] for attack in told["reports"][0]["attacks"]} == {"fence", "master_key"}
    assert told["reports"][2]["above_max_rate"][0].startswith("fence/")


def test_several_judges_are_compared_in_a_table_and_the_worst_decides():
    with JudgeServer(judge="REWARD: 0") as good, JudgeServer(faults=[Fault("status", status=500)]) as bad:
        done = command(
            *("--server-url", good.url, "--server-url", bad.url, "--attack", "fence"),
            LLM_JUDGE_MAX_RETRIES="0",
            LLM_JUDGE_OUTAGE_GRACE="0",
        )
    assert done.exit_code == 3
    assert "Judges compared" in done.stdout
    assert done.stdout.count("all attacks") == 2


def test_problems_of_one_s_own_are_read_from_a_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"problem": "How many?", "reference": "1", "candidate": "2"}\n{"reference": "3"}\n')
    with JudgeServer(judge="REWARD: 0") as server:
        done = command("--server-url", server.url, "--attack", "verdict", "--data", str(path))
        assert any("How many?" in message_text(request.body["messages"][-1]) for request in server.requests)
    assert done.exit_code == 0


def test_the_attacks_can_be_listed_without_a_judge():
    done = command("--list")
    assert done.exit_code == 0
    assert all(attack.label in done.stdout for attack in ATTACKS)
    assert "arXiv:2507.08794" in done.stdout


def test_the_command_tells_its_version_and_the_help_its_exit_codes():
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == llm_judge_remote.__version__
    told = CliRunner().invoke(app, ["redteam", "--help"]).stdout
    for line in ("0  no attack", "1  some attack", "2  the command line", "3  too little"):
        assert line in told


def test_the_library_needs_no_command_line_and_no_tables():
    code = (
        "import sys, llm_judge_remote, llm_judge_remote.redteam;"
        "print([name for name in ('typer', 'rich', 'pandas', 'click') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
