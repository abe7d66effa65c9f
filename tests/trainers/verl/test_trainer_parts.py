"""What verl's trainer does with rows before they are judged, and with judgements after."""

import asyncio
import json

import numpy as np
import pandas as pd
import pytest
import stage
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.experimental.reward_loop import RewardLoopWorker
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.trainer.ppo.ray_trainer import RayPPOTrainer
from verl.trainer.ppo.reward import extract_reward
from verl.utils import tensordict_utils
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from llm_judge_remote.testing import Fault

WAYS = {"function": ([], "pkg://llm_judge_remote"), "manager": (stage.JUDGE_MANAGER, None)}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def make_config(request, folder):
    overrides, path = request.param

    def make(**settings):
        if path:
            return stage.configuration(folder, *overrides, path=path, return_details=True, **settings)
        given = [f"+reward.reward_kwargs.{name}={value}" for name, value in settings.items()]
        return stage.configuration(folder, *overrides, *given, path=None)

    return make


def scored(config, data):
    async def run():
        return await RewardLoopWorker(config).compute_score_batch(data)

    return asyncio.run(run())


def as_batch(results):
    """As verl's agent loop and its reward loop collect what the workers give: keys from the first row."""
    infos = [result["reward_extra_info"] for result in results]
    return {key: np.array([info[key] for info in infos]) for key in infos[0]}


def test_rows_of_a_parquet_file_read_by_verl_s_own_data_set_are_scored(make_config, tokenizer, server, tmp_path):
    table = pd.DataFrame(
        {
            "data_source": ["openai/gsm8k"] * 4,
            "prompt": [
                [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
                for question, _, _ in stage.PROBLEMS
            ],
            "ability": ["math"] * 4,
            "reward_model": [{"style": "rule", "ground_truth": solution} for _, solution, _ in stage.PROBLEMS],
            "extra_info": [{"split": "train", "index": n, "question": q} for n, (q, _, _) in enumerate(stage.PROBLEMS)],
        }
    )
    table.to_parquet(tmp_path / "train.parquet")
    options = {"prompt_key": "prompt", "max_prompt_length": 256, "cache_dir": str(tmp_path / "cache")}
    data_set = RLHFDataset(str(tmp_path / "train.parquet"), tokenizer, OmegaConf.create(options))
    read = DataProto.from_single_dict(collate_fn([data_set[number] for number in range(len(data_set))]))
    rows = stage.rollouts(8, group=2)
    whole = read.repeat(2, interleave=True)
    data = stage.batch(tokenizer, rows, **{k: v for k, v in whole.non_tensor_batch.items() if k != "uid"})
    results = scored(make_config(server_url=server.url), data)
    assert [result["reward_score"] for result in results] == [row["score"] for row in rows]
    texts = [messages[-1]["content"] for request in server.requests for messages in request.conversations]
    for question, solution, _ in stage.PROBLEMS:
        assert sum(question in text and solution in text for text in texts) == 2


def test_validation_shows_the_judge_s_numbers_by_data_source(make_config, tokenizer, server):
    """`val-core/<data source>/acc/...` and `val-aux/<data source>/judge_.../...`; texts are left out."""
    server.inject(Fault("no_verdict", match=lambda c: "row=1," in c.text or "row=9," in c.text))
    rows = stage.rollouts(16)
    for row in rows[8:]:
        row["data_source"] = "openai/gsm8k-hard"
    results = scored(make_config(server_url=server.url), stage.batch(tokenizer, rows))
    infos = {"reward": [result["reward_score"] for result in results]}
    infos.update({key: values.tolist() for key, values in as_batch(results).items()})
    sources, uids = [row["data_source"] for row in rows], [row["uid"] for row in rows]
    assert process_validation_metrics(sources, uids, infos)["openai/gsm8k"]["judge_ok"]["mean@8"] == 7 / 8

    shown = RayPPOTrainer._val_metrics_update(None, np.array(sources), uids, infos, [np.array([2] * 16)])
    core = {name for name in shown if name.startswith("val-core")}
    assert {name.split("/")[3] for name in core} == {"acc"}
    numbers = {name.split("/")[3] for name in shown if name.startswith("val-aux/openai/gsm8k-hard")}
    assert {"reward", "score", "judge_ok", "judge_fallback", "judge_latency_s", "judge_attempts"} <= numbers
    assert {"judge_prompt_tokens", "judge_completion_tokens", "judge_mass"} <= numbers
    assert not {"judge_reason", "judge_outcome", "judge_server", "judge_fallback_by"} & numbers
    assert all(isinstance(value, float) or np.isscalar(value) for value in shown.values())


def test_a_batch_put_together_from_workers_keeps_every_key_and_its_texts(make_config, tokenizer, server, tmp_path):
    """Through concat and union, advantages and the dump of rollouts, as in a training step."""
    server.inject(Fault("no_verdict", match=lambda c: "row=5," in c.text))
    rows = stage.rollouts(8)
    data = stage.batch(tokenizer, rows)
    results = scored(make_config(server_url=server.url), data)
    halves = []
    for half in (slice(0, 4), slice(4, 8)):  # one without a failure, so that its texts are short
        rewards = torch.zeros(4, stage.ANSWER_TOKENS)
        rewards[:, -1] = torch.tensor([result["reward_score"] for result in results[half]])
        fields = as_batch(results[half])
        halves.append(
            DataProto.from_dict({"rm_scores": rewards}, fields, meta_info={"reward_extra_keys": list(fields)})
        )
    whole = data.union(DataProto.concat(halves))
    rewards, infos = extract_reward(whole)
    assert rewards.sum(-1).tolist() == pytest.approx([result["reward_score"] for result in results])
    for key in results[0]["reward_extra_info"]:
        assert infos[key].tolist() == [result["reward_extra_info"][key] for result in results]
    assert tensordict_utils.get_tensordict({key: values.tolist() for key, values in infos.items()}).batch_size[0] == 8

    texts = [row["answer"] for row in rows]
    shown = {key: values.tolist() for key, values in infos.items()}
    scores = rewards.sum(-1).tolist()
    RayPPOTrainer._write_generations(texts, texts, texts, scores, shown, str(tmp_path), 1)
    lines = [json.loads(line) for line in (tmp_path / "1.jsonl").read_text().splitlines()]
    assert [line["judge_fallback"] for line in lines] == [0, 0, 0, 0, 0, 1, 0, 0]
    assert lines[5]["judge_reason"]
