"""The script that users know."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "test_llm_judge_remote_reward.py"


def run(*arguments, **variables):
    command = [sys.executable, str(SCRIPT), *arguments]
    # From another folder, so that it is the installed package that is checked.
    return subprocess.run(
        command,
        cwd=Path(sys.prefix),
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_passes_without_a_server():
    done = run("--skip-server-tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed, 2 deselected" in done.stdout


def test_it_asks_the_server_that_the_environment_names(server):
    done = run(LLM_JUDGE_SERVER_URL=server.url, LLM_JUDGE_SERVER_API_KEY="a-key")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer a-key"}
    assert server.stats.conversations >= 4  # what is asked twice at the same time is sent once


@pytest.mark.parametrize("variables", [{"LLM_JUDGE_SERVER_URL": "http://127.0.0.1:9"}])
def test_it_fails_and_says_why_when_the_server_does_not_answer(variables):
    done = run(**variables, LLM_JUDGE_MAX_RETRIES="0", LLM_JUDGE_OUTAGE_GRACE="0")
    assert done.returncode == 1
    assert "cannot be reached" in done.stdout
