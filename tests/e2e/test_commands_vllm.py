"""The commands, against a real vLLM server: what a user's first hour looks like."""

import json
import os
import subprocess
import sys

import gsm8k
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_judge_remote.serving.vllm import is_installed

pytestmark = [
    pytest.mark.real_vllm,
    pytest.mark.skipif(not is_installed(), reason="vLLM is not installed here: `make test-real` installs it"),
]


@pytest.fixture
def run(tmp_path, vllm, settings):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLM_JUDGE_")}
    environment |= {
        "LLM_JUDGE_SERVER_URL": vllm.url,
        "LLM_JUDGE_SERVER_API_KEY": settings["api_key"],
        "LLM_JUDGE_MODEL_NAME": "auto",
        "LLM_JUDGE_TIMEOUT": "600",
    }

    def run(*words, code=0, **variables):
        done = subprocess.run(
            [sys.executable, "-m", "llm_judge_remote", *map(str, words)],
            env={**environment, **variables},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert settings["api_key"] not in done.stdout + done.stderr
        return done.stdout

    return run


def test_check_finds_nothing_wrong_with_a_sound_server_and_says_how_much_it_takes(run):
    (section,) = json.loads(run("check", "--json", "--seconds", 20, "--max-concurrency", 8))["sections"]
    levels = {finding["name"]: finding["level"] for finding in section["findings"]}
    # A model of this size is taken in by hostile rows, which is a warning.
    assert {name for name, level in levels.items() if level != "ok"} <= {"reward function"}
    assert section["load"][0]["rate"] > 0


def test_check_says_which_model_is_served_where_another_is_asked_for(run):
    (section,) = json.loads(run("check", "--json", "--no-load", "--model", "no/such", code=1))["sections"]
    (wrong,) = (finding for finding in section["findings"] if finding["level"] == "error")
    assert wrong["name"] == "models"
    assert "SmolLM2-135M-Instruct" in wrong["fix"]


def test_doctor_follows_the_way_to_the_server_and_back(run):
    told = json.loads(run("doctor", "--json"))
    assert "error" not in {finding["level"] for finding in told["findings"]}, told
    found = {finding["name"]: finding["level"] for finding in told["findings"]}
    assert {"HTTP", "key", "model", "reply", "context"} <= {name for name, level in found.items() if level == "ok"}


def test_status_reads_what_the_server_tells_of_itself(run):
    (server,) = json.loads(run("status", "--json"))["servers"]
    assert server["state"] == "well"
    assert server["running"] == 0


def test_a_file_is_scored_and_reported(run, tmp_path):
    rows = [
        {"problem": row.question, "reference": row.reference, "candidate": row.text, "label": row.is_correct}
        for row in gsm8k.solutions(6)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rollouts.parquet")
    run("score", "rollouts.parquet", "scored.parquet", "--set", "temperature=0", "--set", "max_new_tokens=64")
    scored = pq.read_table(tmp_path / "scored.parquet").to_pylist()
    assert [row["candidate"] for row in scored] == [row["candidate"] for row in rows]
    assert {row["judge_outcome"] for row in scored} == {"judged"}
    assert all("REWARD" in row["judge_reply"] for row in scored)
    run("report", "scored.parquet", "--label", "label", "--output", "report.html")
    assert "AUC" in (tmp_path / "report.html").read_text(encoding="utf-8")
