"""The example script, as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_judge_remote.testing import JudgeServer

pytestmark = pytest.mark.trainer

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "deploy" / "skyrl_gsm8k_judge.py"
RECIPE = ROOT / "data_prep" / "prepare_gsm8k.py"
GSM8K = [{"question": f"What is {i} + {i}?", "answer": f"{i} + {i} = {2 * i}\n#### {2 * i}"} for i in range(3)]


def run(*arguments, script=SCRIPT, **environment):
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "LLM_JUDGE_STRUCTURED_OUTPUT": "off", "COLUMNS": "160", **environment},
    )


@pytest.fixture
def gsm8k(tmp_path):
    file = tmp_path / "gsm8k.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in GSM8K))
    return file


def test_it_explains_itself():
    done = run("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("play", "train"))


def test_it_plays_made_up_episodes_without_any_data():
    with JudgeServer() as server:
        done = run("play", "--server-url", server.url)
        assert server.stats.conversations == 8
    assert done.returncode == 0, done.stderr
    assert "8 episodes" in done.stdout


def test_it_plays_given_turns_over_given_rows_and_keeps_what_was_said(gsm8k, tmp_path):
    turns = tmp_path / "turns.jsonl"
    turns.write_text("".join(f"{json.dumps(['no idea', row['answer']])}\n" for row in GSM8K))
    out = tmp_path / "out.jsonl"
    with JudgeServer() as server:
        done = run(
            *("play", "--data", gsm8k, "--candidates", turns, "--max-turns", 2, "--output", out),
            LLM_JUDGE_SERVER_URL=server.url,
        )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["turn"] for line in said] == [0, 1] * 3
    assert [line["score"] for line in said if line["turn"] == 1] == [1.0] * 3


def test_it_plays_the_data_set_that_the_recipe_makes_for_skyrl(gsm8k, tmp_path):
    target = tmp_path / "train.parquet"
    made = run("--input", gsm8k, "--layout", "skyrl", "--output", target, script=RECIPE)
    assert made.returncode == 0, made.stderr
    with JudgeServer() as server:
        done = run("play", "--data", target, "--server-url", server.url)
        assert server.stats.conversations == 6
        assert any(
            "What is 2 + 2?" in request.conversations[0][-1]["content"]
            for request in server.requests
            if request.conversations
        )
    assert done.returncode == 0, done.stderr


def test_without_a_judge_it_says_what_is_missing():
    done = run("play")
    assert done.returncode == 1
    assert "server_url" in done.stderr
    assert "Traceback" not in done.stderr
