"""Real verl without a GPU and without a model hub: a tokenizer, rollouts as verl hands them over, configurations."""

import os
import re
from importlib.metadata import version
from pathlib import Path

# Before they are imported: none of them looks for a hub.
os.environ.update(
    HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", RAY_USAGE_STATS_ENABLED="0"
)

import numpy as np
import torch
import verl
from hydra import compose, initialize_config_dir
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from verl import DataProto

IS_OLD = tuple(map(int, version("verl").split(".")[:3])) < (0, 7, 1)
"""Whether this is 0.7.0 or older: other keys, and the managers that see whole batches."""

PROMPT_TOKENS, ANSWER_TOKENS = 256, 160
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"

# In the manner of GSM8K: a question, the worked solution that ends in `####`, its number.
PROBLEMS = [
    ("Ben has 3 boxes of 12 pens and gives away 5. How many are left?", "3 * 12 = 36, and 36 - 5 = 31.\n#### 31", 31),
    ("A train goes 60 km an hour for 2.5 hours. How far?", "60 * 2.5 = 150 km.\n#### 150", 150),
    ("Ana reads 14 pages a day. How many in 3 weeks?", "3 weeks are 21 days; 14 * 21 = 294.\n#### 294", 294),
    ("A $80 coat is sold at 25% off. What does it cost?", "25% of 80 is 20; 80 - 20 = 60.\n#### 60", 60),
]
KEYS = 24
"""In the flat dict of a judgement."""


def make_tokenizer(folder):
    """Of bytes: 258 ids, without loss."""
    vocabulary = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(vocabulary)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(str(folder))
    return fast


def rollouts(count, group=8, **changes):
    """Rows, `group` for each problem. The judge of these tests gives what the answer says of itself: `score=0.5`."""
    rows = []
    for number in range(count):
        step, member = divmod(number, group)
        question, solution, result = PROBLEMS[step % len(PROBLEMS)]
        rows.append(
            {
                "prompt": f"{question} (No. {step})",
                "answer": f"I get {result + number % 3}, row={number}, score={number % 5 / 4}",
                "ground_truth": f"{solution} (No. {step})",
                "data_source": "openai/gsm8k",
                "extra_info": {"index": step, "split": "train"},
                "uid": f"uid-{step}",
                "score": number % 5 / 4,
                "member": member,
                **changes,
            }
        )
    return rows


def verdict(conversation):
    """What the last `score=` in the conversation says."""
    return f"REWARD: {re.findall(r'score=([0-9.]+)', conversation.messages[-1]['content'])[-1]}"


def column(items):
    """An array of objects, whatever they are."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def batch(tokenizer, rows, prompt_tokens=PROMPT_TOKENS, answer_tokens=ANSWER_TOKENS, **more):
    """As verl's rollout leaves it: prompts padded on the left, answers on the right."""
    prompts, answers, masks = [], [], []
    for row in rows:
        prompt = tokenizer.encode(row["prompt"])[-prompt_tokens:]
        answer = [*tokenizer.encode(row["answer"]), tokenizer.eos_token_id][:answer_tokens]
        before, after = prompt_tokens - len(prompt), answer_tokens - len(answer)
        prompts.append([0] * before + prompt)
        answers.append(answer + [0] * after)
        masks.append([0] * before + [1] * (len(prompt) + len(answer)) + [0] * after)
    prompts, answers, masks = map(torch.tensor, (prompts, answers, masks))
    fields = {
        "data_source": column([row["data_source"] for row in rows]),
        "extra_info": column([row["extra_info"] for row in rows]),
        "reward_model": column([{"style": "rule", "ground_truth": row["ground_truth"]} for row in rows]),
        "raw_prompt": column([[{"role": "user", "content": row["prompt"]}] for row in rows]),
        "uid": column([row["uid"] for row in rows]),
        "__num_turns__": np.array([2] * len(rows)),
        **more,
    }
    tensors = {
        "prompts": prompts,
        "responses": answers,
        "input_ids": torch.cat([prompts, answers], 1),
        "attention_mask": masks,
    }
    return DataProto.from_dict(tensors=tensors, non_tensors=fields)


def configuration(folder, *overrides, path="pkg://llm_judge_remote", name="compute_score_async", **reward_kwargs):
    """verl's whole configuration for PPO, as its command line makes it."""
    where = "custom_reward_function" if IS_OLD else "reward.custom_reward_function"
    workers = "reward_model.num_workers=1" if IS_OLD else "reward.num_workers=1"
    function = [f"{where}.path={path}", f"{where}.name={name}"] if path else []
    settings = [f"+{where}.reward_kwargs.{key}={value}" for key, value in reward_kwargs.items()]
    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer" / "config"), version_base=None):
        model = f"actor_rollout_ref.model.path={folder}"
        group = "actor_rollout_ref.rollout.n=8"
        return compose("ppo_trainer", [model, group, workers, *function, *settings, *overrides])


if IS_OLD:
    MANAGERS = {name: [f"reward_model.reward_manager={name}"] for name in ("naive", "dapo")}
    JUDGE_MANAGER = [
        "reward_model.reward_loop_source=importlib",
        "reward_model.reward_loop_module_path=pkg://llm_judge_remote.integrations.verl",
        "reward_model.reward_loop_class_name=JudgeRewardManager",
    ]
else:
    MANAGERS = {
        "naive": ["reward.reward_manager.name=naive"],
        "dapo": ["reward.reward_manager.name=dapo", "+reward.reward_kwargs.overlong_buffer_cfg.enable=False"],
        "gdpo": ["reward.reward_manager.name=gdpo"],
        "rate_limited": ["reward.reward_manager.name=rate_limited", "+reward.max_concurrent=16"],
    }
    JUDGE_MANAGER = [
        "reward.reward_manager.source=importlib",
        "reward.reward_manager.name=JudgeRewardManager",
        "reward.reward_manager.module.path=pkg://llm_judge_remote.integrations.verl",
    ]
