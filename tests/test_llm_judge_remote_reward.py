"""A short check of the reward function, as a script or under pytest.

    python tests/test_llm_judge_remote_reward.py [--skip-server-tests]

The server tests ask the judge at LLM_JUDGE_SERVER_URL, or, where that is not set, a JudgeServer of their own.
"""

import asyncio
import os
import sys

import pytest

pytest.importorskip("llm_judge_remote", reason="the package is not installed: run `pip install .` or `make test`")

from llm_judge_remote import ConfigError, compute_score, compute_score_async, compute_score_batched
from llm_judge_remote.testing import JudgeServer

ROW = ("check", "2 + 2 is 4, so the answer is 4.", "The answer is 4.", {"problem": "What is 2 + 2?"})


@pytest.fixture(scope="module")
def server_url():
    configured = os.environ.get("LLM_JUDGE_SERVER_URL")
    if configured:
        yield configured
        return
    with JudgeServer() as server:
        yield server.url


def options(server_url):
    return {"server_url": server_url, "model_name": "auto", "temperature": 0, "return_details": True}


def test_rows_with_nothing_to_judge_need_no_server():
    rows = compute_score_batched(
        ["check"] * 2, ["", "text"], ["ref", None], server_url="127.0.0.1:9", return_details=True
    )
    assert [row["judge_outcome"] for row in rows] == ["empty_candidate", "no_reference"]


def test_a_judge_that_is_not_there_falls_back_and_says_so():
    row = compute_score(*ROW, server_url="127.0.0.1:9", max_retries=0, outage_grace=0, return_details=True)
    assert (row["judge_ok"], row["judge_outcome"]) == (0, "fallback")
    assert 0 < row["score"] < 1


def test_a_setting_of_no_use_is_said_at_once():
    with pytest.raises(ConfigError, match="temperature"):
        compute_score(*ROW, server_url="127.0.0.1:9", temperature="hot")


@pytest.mark.server
def test_one_row_is_judged(server_url):
    row = compute_score(*ROW, **options(server_url))
    print(row)
    assert row["judge_ok"] == 1, row["judge_reason"]


@pytest.mark.server
def test_many_rows_are_judged_in_order_and_alike_on_every_path(server_url):
    columns = [[value] * 8 for value in ROW]
    batch = compute_score_batched(*columns, **options(server_url))
    assert [row["judge_ok"] for row in batch] == [1] * 8
    assert compute_score(*ROW, **options(server_url))["score"] == batch[0]["score"]
    assert asyncio.run(compute_score_async(*ROW, **options(server_url)))["score"] == batch[0]["score"]


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--skip-server-tests"]
    if len(arguments) < len(sys.argv) - 1:
        arguments += ["-m", "not server"]
    sys.exit(pytest.main([__file__, "-q", *arguments]))
