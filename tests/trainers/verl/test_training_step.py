"""The largest part of a GRPO step that runs without a GPU, around a tiny random policy.

verl's own data set, agent loops, reward workers, advantages and loss. Not here: its rollout servers (vLLM, SGLang) and
the workers that hold the GPUs.
"""

import collections
import itertools

import numpy as np
import pandas as pd
import pytest
import ray
import stage
import tiny_policy
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.experimental.agent_loop import AgentLoopManager
from verl.experimental.reward_loop import RewardLoopManager
from verl.trainer.ppo.core_algos import AdvantageEstimator, compute_policy_loss_vanilla
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.reward import extract_reward
from verl.utils import omega_conf_to_dataclass
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn
from verl.utils.torch_functional import logprobs_from_logits

from llm_judge_remote.testing import Fault, JudgeServer

WAYS = {"function": ([], "pkg://llm_judge_remote"), "manager": (stage.JUDGE_MANAGER, None)}


@pytest.fixture(autouse=True)
def _cluster():
    ray.init(
        num_cpus=6,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        object_store_memory=200 * 2**20,
        runtime_env={"env_vars": {"PYTHONWARNINGS": "ignore"}},
    )
    yield
    ray.shutdown()


def prompts(tokenizer, tmp_path, count):
    """Read by verl's data set, repeated for the group, with a `uid` each, as the trainer does it."""
    table = pd.DataFrame(
        {
            "data_source": ["openai/gsm8k"] * count,
            "prompt": [[{"role": "user", "content": question}] for question, _, _ in stage.PROBLEMS[:count]],
            "reward_model": [{"style": "rule", "ground_truth": s} for _, s, _ in stage.PROBLEMS[:count]],
            "extra_info": [{"split": "train", "index": number} for number in range(count)],
        }
    )
    table.to_parquet(tmp_path / "train.parquet")
    options = {"prompt_key": "prompt", "max_prompt_length": 256, "cache_dir": str(tmp_path / "cache")}
    data_set = RLHFDataset(str(tmp_path / "train.parquet"), tokenizer, OmegaConf.create(options))
    read = DataProto.from_single_dict(collate_fn([data_set[number] for number in range(count)]))
    read.non_tensor_batch["uid"] = stage.column([f"uid-{number}" for number in range(count)])
    return read.repeat(8, interleave=True)


@pytest.mark.parametrize(("overrides", "path"), WAYS.values(), ids=WAYS)
def test_a_step_of_grpo_learns_from_the_judge(overrides, path, tokenizer, folder, tmp_path):
    policy = tiny_policy.make_policy(folder, tokenizer)
    settings = ["return_details=True"] if path else []
    where = "custom_reward_function.reward_kwargs" if path else "reward_kwargs"

    # By turn, not by text: the answers are random, and each group needs two scores that differ, whatever was drawn.
    turn = collections.defaultdict(itertools.count().__next__)

    def judge(conversation):
        return f"REWARD: {turn[conversation.text] / 100}"

    with JudgeServer(judge=judge, faults=[Fault("no_verdict", match=lambda c: turn[c.text] % 3 == 0)]) as server:
        settings += [f"server_url={server.url}", "fallback=group_mean", "group_wait=5"]
        config = stage.configuration(
            folder,
            *overrides,
            *(f"+reward.{where}.{setting}" for setting in settings if path is None or "group_wait" not in setting),
            "actor_rollout_ref.rollout.name=vllm",
            "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=16",
            "actor_rollout_ref.rollout.agent.num_workers=2",
            "actor_rollout_ref.rollout.prompt_length=256",
            "actor_rollout_ref.rollout.response_length=24",
            path=path,
        )
        rewards = RewardLoopManager(config)
        agents = AgentLoopManager.create(
            config, tiny_policy.PolicyServer(folder, 24), reward_loop_worker_handles=rewards.reward_loop_worker_handles
        )
        batch = prompts(tokenizer, tmp_path, 2)
        made = agents.generate_sequences(batch.select(batch_keys=[], deepcopy=True))
        assert server.stats.conversations >= 16
        texts = [messages[-1]["content"] for request in server.requests for messages in request.conversations]

    batch = batch.union(made)
    reward_tensor, infos = extract_reward(batch)
    assert len(infos) == stage.KEYS
    assert reward_tensor.sum(-1).tolist() == pytest.approx(infos["score"].tolist())
    assert "judged" in infos["judge_outcome"]  # some of the random answers fall back
    assert set(infos["judge_outcome"]) <= {"judged", "fallback"}
    if path is None:
        assert sum(stage.PROBLEMS[0][0] in text for text in texts) >= 8  # the manager shows the judge the prompt
        assert set(infos["judge_fallback_by"]) <= {"", "group_mean"}

    batch.batch["token_level_scores"] = batch.batch["token_level_rewards"] = reward_tensor
    batch.non_tensor_batch.update({key: np.array(values) for key, values in infos.items()})
    batch = compute_advantage(batch, adv_estimator=AdvantageEstimator.GRPO, num_repeat=8, config=config.algorithm)
    advantages, mask = batch.batch["advantages"], batch.batch["response_mask"]
    per_row = (advantages * mask).sum(-1) / mask.sum(-1)
    for group in (per_row[:8], per_row[8:]):
        assert group.mean().item() == pytest.approx(0, abs=1e-4)
        assert group.std().item() > 0.5

    def log_probs():
        inputs, answers = batch.batch["input_ids"], batch.batch["responses"]
        fields = {name: batch.batch[name] for name in ("attention_mask", "position_ids")}
        logits = policy(inputs, **fields).logits[:, -answers.shape[1] - 1 : -1]
        return logprobs_from_logits(logits, answers)

    before = log_probs().detach()
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    loss, _ = compute_policy_loss_vanilla(before, log_probs(), advantages, mask, config=actor)
    loss.backward()
    optimizer.step()
    change = ((log_probs().detach() - before) * mask).sum(-1)
    assert torch.corrcoef(torch.stack([change, per_row]))[0, 1].item() > 0  # what was judged well became likelier
