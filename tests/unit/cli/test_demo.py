import io
import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from rich.console import Console

from llm_judge_remote.cli.demo_report import score_table, summary_lines
from llm_judge_remote.cli.demo_rows import read_rollouts, verl_rows, write_parquet
from llm_judge_remote.serving.launch import free_port
from llm_judge_remote.serving.vllm import is_installed
from llm_judge_remote.testing import JudgeServer, SimulatedJudge

ROW = {
    "problem": "How many?",
    "candidate": "Two.",
    "label": 1,
    "score": 0.5,
    "judge_outcome": "judged",
    "judge_reason": "",
    "judge_latency_s": 0.25,
    "judge_server": "http://judge:8000",
}


def demo(tmp_path, *arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLM_JUDGE_")}
    return subprocess.run(
        [sys.executable, "-m", "llm_judge_remote.cli.demo", "--output", str(tmp_path / "out"), *arguments],
        env={**environment, **variables},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def printed(*things):
    console = Console(file=io.StringIO(), width=140)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


def test_the_rollouts_are_many_right_and_wrong_and_several_for_each_problem():
    rows = verl_rows()
    groups = pd.DataFrame(
        {"problem": [row["extra_info"]["problem"] for row in rows], "label": [r["label"] for r in rows]}
    )
    assert len(rows) >= 24
    assert groups["problem"].nunique() >= 6
    assert set(groups.groupby("problem").size()) == {4}
    assert all({0, 1} == set(labels) for _, labels in groups.groupby("problem")["label"])
    assert sum(not row["candidate"] for row in rows) == 1
    assert [row["label"] for row in rows if "REWARD: 1.0" in row["candidate"]] == [0]


def test_the_parquet_gives_back_the_rows_as_a_trainer_sees_them(tmp_path):
    write_parquet(pd.DataFrame(verl_rows()), tmp_path / "new" / "rollouts.parquet")
    frame = read_rollouts(tmp_path / "new" / "rollouts.parquet")
    assert list(frame.columns[:4]) == ["data_source", "prompt", "ability", "reward_model"]
    assert [info["problem"] for info in frame["extra_info"]] == [row["extra_info"]["problem"] for row in verl_rows()]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["rollouts.parquet"]


def test_a_parquet_that_cannot_be_written_leaves_the_old_one_as_it_was(tmp_path):
    path = tmp_path / "rows.parquet"
    write_parquet(pd.DataFrame({"a": [1]}), path)
    with pytest.raises(Exception, match=r"mixed|convert|expected|object"):
        write_parquet(pd.DataFrame({"a": [1, "x", object()]}), path)
    assert list(pd.read_parquet(path)["a"]) == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_row_s_text_is_no_markup_in_the_table():
    text = printed(score_table([ROW | {"candidate": "[red]x[/blue]", "problem": "[/]"}]))
    assert "[red]x[/blue]" in text
    assert "[/]" in text


def test_the_table_shows_score_outcome_latency_and_server():
    text = printed(score_table([ROW, ROW | {"candidate": "", "label": 0, "judge_server": ""}]))
    for shown in ("0.50", "judged", "0.25 s", "judge:8000", "(empty)", "right", "wrong"):
        assert shown in text


def test_the_summary_counts_outcomes_with_reasons_and_pairs_in_the_right_order():
    rows = [
        ROW | {"score": 0.9},
        ROW | {"score": 0.9, "label": 0},
        ROW | {"score": 0.1, "label": 0, "judge_outcome": "fallback", "judge_reason": "no verdict"},
        ROW | {"score": 0.0, "label": 0, "problem": "another, whose candidates make no pair"},
    ]
    text = "\n".join(summary_lines(rows, 2.0))
    assert "4 rollouts in 2.0 s (2.0 a second): 3 judged, 1 fallback." in text
    assert "1 x fallback: no verdict" in text
    assert "Mean score of the 1 right candidates: 0.90" in text
    assert "Mean score of the 3 wrong candidates: 0.33" in text
    assert "Of 2 pairs" in text
    assert "50% have the right one above, and 50% have both level" in text


def test_with_a_server_s_address_it_starts_none_and_scores_every_rollout(tmp_path):
    with JudgeServer(judge=SimulatedJudge(accuracy=0.5), api_key="secret") as server:
        done = demo(tmp_path, LLM_JUDGE_SERVER_URL=server.url, LLM_JUDGE_SERVER_API_KEY="secret")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "28 rollouts in" in done.stdout
    assert "gate and judge, as above: 1.00" in done.stdout
    assert re.search(r"judge alone: 0\.\d\d$", done.stdout, re.MULTILINE)
    assert "Starting vLLM" not in done.stdout
    assert "secret" not in done.stdout + done.stderr
    scored = pd.read_parquet(tmp_path / "out" / "scored.parquet")
    assert len(scored) == len(verl_rows())
    assert scored["score"].between(0, 1).all()
    assert set(scored["judge_outcome"]) == {"gated", "judged", "empty_candidate"}
    assert list(scored["candidate"]) == [row["candidate"] for row in verl_rows()]


def test_a_server_that_is_not_there_ends_in_a_plain_message_and_exit_code_1(tmp_path):
    done = demo(
        tmp_path,
        "--server-url",
        f"http://127.0.0.1:{free_port()}",
        LLM_JUDGE_MAX_RETRIES="0",
        LLM_JUDGE_OUTAGE_GRACE="0",
    )
    assert done.returncode == 1
    assert "27 rollouts were not judged: " in done.stdout
    assert "no rollout was judged" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.skipif(is_installed(), reason="vLLM is installed here")
def test_without_vllm_and_without_a_server_it_says_what_to_do(tmp_path):
    done = demo(tmp_path, "--model", "some/model", "--start-timeout", "5")
    assert done.returncode == 1
    assert "make demo" in done.stderr
    assert "LLM_JUDGE_SERVER_URL" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
