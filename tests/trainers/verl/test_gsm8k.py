"""Real questions, read by verl's own data set, and real answers to them, scored by each way that there is."""

import asyncio

import gsm8k
import pandas as pd
import pytest
import stage
from omegaconf import OmegaConf
from verl import DataProto
from verl.experimental.reward_loop import RewardLoopWorker
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from llm_judge_remote.testing import JudgeServer

QUESTIONS, ANSWERS = 8, len(gsm8k.AUTHORS)
BYTES = 1024  # a token each; nothing is cut
WAYS = {name: (overrides, "pkg://llm_judge_remote") for name, overrides in stage.MANAGERS.items()}
WAYS["JudgeRewardManager"] = (stage.JUDGE_MANAGER, None)


@pytest.fixture(scope="module")
def solutions():
    return gsm8k.solutions(QUESTIONS)


@pytest.fixture(scope="module")
def data(solutions, tokenizer, tmp_path_factory):
    """A training step's rollouts, four of each question."""
    folder = tmp_path_factory.mktemp("gsm8k")
    first = solutions[::ANSWERS]
    table = pd.DataFrame(
        {
            "data_source": ["openai/gsm8k"] * QUESTIONS,
            "prompt": [[{"role": "user", "content": row.question}] for row in first],
            "ability": ["math"] * QUESTIONS,
            "reward_model": [{"style": "rule", "ground_truth": row.reference} for row in first],
            # As verl's own recipe for this data set has it.
            "extra_info": [
                {"split": "test", "index": index, "answer": row.reference, "question": row.question}
                for index, row in enumerate(first)
            ],
        }
    )
    table.to_parquet(folder / "test.parquet")
    options = {"prompt_key": "prompt", "max_prompt_length": BYTES, "cache_dir": str(folder / "cache")}
    data_set = RLHFDataset(str(folder / "test.parquet"), tokenizer, OmegaConf.create(options))
    read = DataProto.from_single_dict(collate_fn([data_set[number] for number in range(len(data_set))]))
    whole = read.repeat(ANSWERS, interleave=True)
    rows = stage.rollouts(len(solutions), group=ANSWERS)
    for row, solution in zip(rows, solutions, strict=True):
        row.update(prompt=solution.question, answer=solution.text)
    own = {name: values for name, values in whole.non_tensor_batch.items() if name != "uid"}
    return stage.batch(tokenizer, rows, BYTES, BYTES, **own)


@pytest.mark.parametrize(("overrides", "path"), WAYS.values(), ids=WAYS)
def test_each_real_answer_gets_the_score_of_its_own_text(overrides, path, solutions, data, folder, monkeypatch):
    with JudgeServer(judge=gsm8k.labels(solutions)) as server:
        monkeypatch.setenv("LLM_JUDGE_SERVER_URL", server.url)
        config = stage.configuration(folder, *overrides, path=path)
        results = asyncio.run(_scored(config, data))
        shown = {messages[-1]["content"] for request in server.requests for messages in request.conversations}
    assert [result["reward_score"] for result in results] == [float(row.is_correct) for row in solutions]
    assert 0 < sum(row.is_correct for row in solutions) < len(solutions)
    for row in solutions:
        assert any(all(text in whole for text in row[:3]) for whole in shown)


async def _scored(config, data):
    worker = RewardLoopWorker
    if stage.IS_OLD:
        worker = worker.__ray_metadata__.modified_class  # it is an actor's class there
    return await worker(config).compute_score_batch(data)
