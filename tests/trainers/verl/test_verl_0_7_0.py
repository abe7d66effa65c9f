"""The reward loop of verl 0.7.0, and how its trainer loads managers."""

import asyncio

import pandas as pd
import pytest
import ray
import stage
from omegaconf import OmegaConf
from verl import DataProto
from verl.experimental.reward_loop import RewardLoopManager, RewardLoopWorker
from verl.trainer.ppo.reward import load_reward_manager
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from llm_judge_remote import verl_reward
from llm_judge_remote.testing import Fault, JudgeServer

PATHS = {"package": "pkg://llm_judge_remote", "file": verl_reward.__file__}


def scored(config, data):
    """The worker is an actor's class here; this is the class itself."""
    worker = RewardLoopWorker.__ray_metadata__.modified_class

    async def run():
        return await worker(config).compute_score_batch(data)

    return asyncio.run(run())


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("name", ["compute_score", "compute_score_async"])
@pytest.mark.parametrize("manager", stage.MANAGERS)
def test_each_row_gets_the_judge_s_score(manager, name, path, folder, tokenizer, server, only_loopback):
    rows = stage.rollouts(16)
    config = stage.configuration(folder, *stage.MANAGERS[manager], path=path, name=name, server_url=server.url)
    results = scored(config, stage.batch(tokenizer, rows))
    assert [result["reward_score"] for result in results] == [row["score"] for row in rows]


def test_the_judge_s_manager_works_in_its_reward_loop_too(folder, tokenizer, server):
    server.inject(Fault("no_verdict", match="row=0,"))
    rows = stage.rollouts(8)
    settings = {"server_url": server.url, "fallback": "group_mean"}
    config = stage.configuration(folder, *stage.JUDGE_MANAGER, **settings)
    results = scored(config, stage.batch(tokenizer, rows))
    assert results[0]["reward_score"] == pytest.approx(sum(row["score"] for row in rows[1:]) / 7)
    assert [result["reward_score"] for result in results[1:]] == [row["score"] for row in rows[1:]]
    assert {len(result["reward_extra_info"]) for result in results} == {stage.KEYS}


@pytest.mark.parametrize(("manager", "name"), [("naive", "compute_score"), ("batch", "compute_score_batched")])
def test_the_trainer_s_own_loading_of_managers_is_as_documented(manager, name, folder, tokenizer, server):
    rows = stage.rollouts(8)
    config = stage.configuration(folder, f"reward_model.reward_manager={manager}", name=name, server_url=server.url)
    made = load_reward_manager(config, tokenizer, num_examine=0)
    result = made(stage.batch(tokenizer, rows), return_dict=True)
    assert result["reward_tensor"].sum(-1).tolist() == [row["score"] for row in rows]


def test_rows_of_a_parquet_file_read_by_verl_s_own_data_set_are_scored(folder, tokenizer, server, tmp_path):
    table = pd.DataFrame(
        {
            "data_source": ["openai/gsm8k"] * 4,
            "prompt": [[{"role": "user", "content": question}] for question, _, _ in stage.PROBLEMS],
            "reward_model": [{"style": "rule", "ground_truth": solution} for _, solution, _ in stage.PROBLEMS],
            "extra_info": [{"split": "train", "index": n, "question": q} for n, (q, _, _) in enumerate(stage.PROBLEMS)],
        }
    )
    table.to_parquet(tmp_path / "train.parquet")
    options = {"prompt_key": "prompt", "max_prompt_length": 256, "cache_dir": str(tmp_path / "cache")}
    data_set = RLHFDataset(str(tmp_path / "train.parquet"), tokenizer, OmegaConf.create(options))
    read = DataProto.from_single_dict(collate_fn([data_set[number] for number in range(len(data_set))]))
    rows = stage.rollouts(4)
    data = stage.batch(tokenizer, rows, **{k: v for k, v in read.non_tensor_batch.items() if k != "uid"})
    results = scored(stage.configuration(folder, server_url=server.url), data)
    assert [result["reward_score"] for result in results] == [row["score"] for row in rows]


@pytest.mark.parametrize("overrides", [[], stage.JUDGE_MANAGER], ids=["function", "manager"])
def test_600_rows_on_two_actors_keep_no_more_in_flight_than_configured(overrides, folder, tokenizer, tmp_path):
    rows = stage.rollouts(600)
    environment = {"LLM_JUDGE_MAX_IN_FLIGHT": "12", "LLM_JUDGE_SHARED_LIMIT": str(tmp_path / "limit")}
    with JudgeServer(judge=stage.verdict, service_time=0.02) as server:
        environment["LLM_JUDGE_SERVER_URL"] = server.url
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=200 * 2**20,
            runtime_env={"env_vars": environment},
        )
        try:
            config = stage.configuration(folder, "reward_model.num_workers=2", *overrides, return_details=True)
            output = RewardLoopManager(config).compute_rm_score(stage.batch(tokenizer, rows))
        finally:
            ray.shutdown()
        stats = server.stats
    assert output.batch["rm_scores"].sum(-1).tolist() == [row["score"] for row in rows]
    assert len(output.non_tensor_batch) == stage.KEYS
    assert 4 <= stats.peak_concurrency <= 12
