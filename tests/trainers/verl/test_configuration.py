"""The configurations of the README, as they are written there, under the verl that is installed."""

import asyncio
import re
from pathlib import Path

import pytest
import stage
import yaml
from omegaconf import OmegaConf, open_dict
from verl.experimental.reward_loop import RewardLoopWorker
from verl.trainer.ppo.reward import get_custom_reward_fn

from llm_judge_remote import verl_reward

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)]


def merged(block, folder, server):
    """verl's whole configuration with a block of the README in it, for the server of the test."""
    text = yaml.safe_dump(block).replace("http://HOST:8000", server.url)
    text = re.sub(r"/path/to/site-packages/\S+", verl_reward.__file__, text)
    config = stage.configuration(folder, path=None)
    with open_dict(config):
        return OmegaConf.merge(config, OmegaConf.create(yaml.safe_load(text)))


@pytest.mark.skipif(stage.IS_OLD, reason="the block is for 0.7.1 and newer")
@pytest.mark.parametrize("part", ["custom_reward_function", "reward_manager"])
def test_the_blocks_for_newer_releases_judge(part, folder, tokenizer, server):
    (block,) = (block for block in BLOCKS if part in block.get("reward", {}))
    rows = stage.rollouts(16)
    config = merged(block, folder, server)

    async def run():
        return await RewardLoopWorker(config).compute_score_batch(stage.batch(tokenizer, rows))

    results = asyncio.run(run())
    assert [result["reward_score"] for result in results] == [row["score"] for row in rows]


@pytest.mark.skipif(not stage.IS_OLD, reason="the block is for 0.7.0 and older")
def test_the_block_for_older_releases_judges(folder, server, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_SERVER_URL", server.url)  # the block names none
    (block,) = (block for block in BLOCKS if "custom_reward_function" in block)
    function = get_custom_reward_fn(merged(block, folder, server))
    (row,) = stage.rollouts(1)
    assert function("openai/gsm8k", row["answer"], row["ground_truth"], {"question": row["prompt"]}) == row["score"]
