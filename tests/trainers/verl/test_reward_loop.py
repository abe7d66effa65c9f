"""verl's own reward managers with the custom reward function, in this process."""

import asyncio
import threading

import pytest
import stage
from verl.experimental.reward_loop import RewardLoopWorker
from verl.experimental.reward_loop.reward_manager.limited import RateLimitedRewardManager

from llm_judge_remote import verl_reward
from llm_judge_remote.testing import Fault, JudgeServer

PATHS = {"package": "pkg://llm_judge_remote", "file": verl_reward.__file__}
FUNCTIONS = ["compute_score", "compute_score_async"]


@pytest.fixture(autouse=True)
def _rate_limits_of_its_own(monkeypatch):
    monkeypatch.setattr(RateLimitedRewardManager, "_class_initialized", False)


def scored(config, data):
    """What a reward worker makes of a batch."""

    async def run():
        return await RewardLoopWorker(config).compute_score_batch(data)

    return asyncio.run(run())


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("manager", stage.MANAGERS)
def test_each_row_gets_the_judge_s_score(manager, name, path, folder, tokenizer, server, only_loopback):
    rows = stage.rollouts(16)
    config = stage.configuration(folder, *stage.MANAGERS[manager], path=path, name=name, server_url=server.url)
    results = scored(config, stage.batch(tokenizer, rows))
    assert [result["reward_score"] for result in results] == [row["score"] for row in rows]
    assert [result["reward_extra_info"] for result in results] == [{"acc": row["score"]} for row in rows]
    assert server.stats.conversations == len(rows)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("manager", stage.MANAGERS)
def test_the_keys_are_the_same_when_half_of_the_rows_fall_back(manager, name, folder, tokenizer, server):
    server.inject(Fault("no_verdict", match=lambda conversation: int(conversation.text.split("row=")[1][:1]) % 2 == 0))
    settings = {"server_url": server.url, "return_details": True}
    config = stage.configuration(folder, *stage.MANAGERS[manager], name=name, **settings)
    results = scored(config, stage.batch(tokenizer, stage.rollouts(8)))
    infos = [result["reward_extra_info"] for result in results]
    assert [info["judge_fallback"] for info in infos] == [1, 0] * 4
    assert [info["judge_ok"] for info in infos] == [0, 1] * 4
    assert len({tuple(info) for info in infos}) == 1
    assert all(type(value) in (int, float, str) for info in infos for value in info.values())
    assert all(result["reward_score"] == result["reward_extra_info"]["score"] for result in results)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("manager", stage.MANAGERS)
def test_nothing_is_raised_when_the_judge_dies_midway(manager, name, folder, tokenizer):
    asked = threading.Semaphore(0)

    def judge(conversation):
        asked.release()
        return stage.verdict(conversation)

    with JudgeServer(judge=judge, service_time=0.05, slots=4) as server:

        def kill():
            for _ in range(12):
                asked.acquire()
            server.stop()

        killer = threading.Thread(target=kill)
        killer.start()
        settings = {"return_details": True, "outage_grace": 0.2, "max_in_flight": 8}
        config = stage.configuration(folder, *stage.MANAGERS[manager], name=name, server_url=server.url, **settings)
        results = scored(config, stage.batch(tokenizer, stage.rollouts(48)))
        killer.join(30)
        assert not killer.is_alive()
    outcomes = [result["reward_extra_info"]["judge_outcome"] for result in results]
    assert set(outcomes) == {"judged", "fallback"}
    assert len({tuple(result["reward_extra_info"]) for result in results}) == 1


def test_settings_arrive_as_omegaconf_has_them(folder, tokenizer, server):
    """Numbers, lists, interpolations, and what is no setting."""
    config = stage.configuration(
        folder,
        "+reward.custom_reward_function.reward_kwargs.server_url=[" + server.url + "]",
        "+reward.custom_reward_function.reward_kwargs.seed=${data.train_batch_size}",
        "+reward.custom_reward_function.reward_kwargs.nonsense=[1,2]",
        temperature=0,
    )
    assert [result["reward_score"] for result in scored(config, stage.batch(tokenizer, stage.rollouts(2)))] == [0, 0.25]
    asked = server.requests[-1].body
    assert (asked["temperature"], asked["seed"]) == (0, config.data.train_batch_size)


def test_references_that_are_arrays_or_missing_are_read_as_they_are(folder, tokenizer, server):
    rows = stage.rollouts(3)
    rows[0]["ground_truth"] = stage.column(["one", "two"])
    rows[1]["ground_truth"] = None
    config = stage.configuration(folder, server_url=server.url, return_details=True)
    results = scored(config, stage.batch(tokenizer, rows))
    assert [r["reward_extra_info"]["judge_outcome"] for r in results] == ["judged", "no_reference", "judged"]
    assert server.stats.conversations == 3
