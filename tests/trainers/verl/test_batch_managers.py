"""The managers of 0.5 to 0.7.0, which see whole batches; they are still in newer releases."""

import copy
import json
import subprocess
import sys

import pytest
import stage
from omegaconf import OmegaConf
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.workers.reward_manager import get_reward_manager_cls

from llm_judge_remote import verl_reward
from llm_judge_remote.testing import Fault, JudgeServer

DAPO = {"overlong_buffer_cfg": OmegaConf.create({"enable": False, "len": 16}), "max_resp_len": 160}  # 0.7.0 needs them
PATHS = {"package": "pkg://llm_judge_remote", "file": verl_reward.__file__}


def function_of(path, name, **reward_kwargs):
    """The reward function as the trainer loads it."""
    function = {"path": path, "name": name, "reward_kwargs": reward_kwargs}
    return get_custom_reward_fn(
        OmegaConf.create({"custom_reward_function": function, "reward": {"custom_reward_function": function}})
    )


def scored(manager, tokenizer, data, path=PATHS["package"], name="compute_score", **reward_kwargs):
    function = function_of(path, name, **reward_kwargs)
    options = DAPO if manager == "dapo" else {}
    made = get_reward_manager_cls(manager)(tokenizer=tokenizer, num_examine=0, compute_score=function, **options)
    return made(data, return_dict=True)


def rewards(result):
    return result["reward_tensor"].sum(-1).tolist()


CALLS = [
    ("naive", "compute_score"),
    ("dapo", "compute_score"),
    ("batch", "compute_score_batched"),
    ("batch", "compute_score"),
]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize(("manager", "name"), CALLS)
def test_each_row_gets_the_judge_s_score(manager, name, path, tokenizer, server, only_loopback):
    rows = stage.rollouts(16)
    result = scored(manager, tokenizer, stage.batch(tokenizer, rows), path, name, server_url=server.url)
    assert rewards(result) == [row["score"] for row in rows]
    assert server.stats.conversations == 16


@pytest.mark.parametrize(("manager", "name"), CALLS)
def test_the_keys_are_the_same_when_half_of_the_rows_fall_back(manager, name, tokenizer, server):
    server.inject(Fault("no_verdict", match=lambda c: int(c.text.split("row=")[1][:1]) % 2 == 0))
    data = stage.batch(tokenizer, stage.rollouts(8))
    result = scored(manager, tokenizer, data, name=name, server_url=server.url, return_details=True)
    infos = result["reward_extra_info"]
    assert {len(values) for values in infos.values()} == {8}
    assert len(infos) >= stage.KEYS
    assert infos["judge_fallback"] == [1, 0] * 4
    assert rewards(result) == pytest.approx(infos["score"])


@pytest.mark.parametrize(("manager", "name"), CALLS)
def test_nothing_is_raised_when_the_judge_is_gone(manager, name, tokenizer, server):
    server.stop()
    data = stage.batch(tokenizer, stage.rollouts(8))
    settings = {"server_url": server.url, "return_details": True, "outage_grace": 0.1}
    result = scored(manager, tokenizer, data, name=name, **settings)
    assert result["reward_extra_info"]["judge_fallback"] == [1] * 8


def test_group_mean_works_in_the_batch_manager(tokenizer, server):
    server.inject(Fault("no_verdict", match="row=0,"))
    rows = stage.rollouts(8)
    for row in rows:  # this manager does not show the prompt
        row["extra_info"] = {"problem": row["prompt"]}
    settings = {"server_url": server.url, "fallback": "group_mean"}
    result = scored("batch", tokenizer, stage.batch(tokenizer, rows), name="compute_score_batched", **settings)
    assert rewards(result)[0] == pytest.approx(sum(row["score"] for row in rows[1:]) / 7)


PRIME = """
import sys, json
sys.path.insert(0, sys.argv[1])
import stage
from omegaconf import OmegaConf
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.workers.reward_manager import get_reward_manager_cls
if __name__ == "__main__":
    folder, path, url = sys.argv[2:]
    tokenizer = stage.make_tokenizer(folder)
    function = {"path": path, "name": "compute_score", "reward_kwargs": {"server_url": url, "outage_grace": 0.1}}
    function = {"custom_reward_function": function, "reward": {"custom_reward_function": function}}
    manager = get_reward_manager_cls("prime")(tokenizer, 0, get_custom_reward_fn(OmegaConf.create(function)))
    result = manager(stage.batch(tokenizer, stage.rollouts(24)), return_dict=True)
    print("rewards", json.dumps(result["reward_tensor"].sum(-1).tolist()))
"""


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_prime_gets_floats_in_its_forked_processes(path, folder):
    """In a process of its own: it forks 64 times, and ends its children with SIGTERM."""
    here = str(stage.__file__).rpartition("/")[0]
    with JudgeServer(judge=stage.verdict) as server:
        command = [sys.executable, "-W", "ignore", "-c", PRIME, here, str(folder), path, server.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
        assert "rewards" in done.stdout, done.stderr
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("rewards")]
        assert json.loads(line.removeprefix("rewards")) == [row["score"] for row in stage.rollouts(24)]
        assert "[Error]" not in done.stdout
        assert server.stats.conversations == 24


def test_the_same_rows_get_the_same_scores_from_every_manager(tokenizer):
    with JudgeServer() as server:  # a function of the prompt
        data = stage.batch(tokenizer, stage.rollouts(12))
        found = [
            rewards(scored(manager, tokenizer, copy.deepcopy(data), name=name, server_url=server.url, temperature=0))
            for manager, name in CALLS
        ]
    assert found[0] == found[1] == found[2] == found[3]
