"""JudgeRewardManager under verl's own reward worker, in this process."""

import asyncio
import copy
import itertools
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import stage
import torch
from verl import DataProto
from verl.experimental.reward_loop import RewardLoopWorker
from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls
from verl.trainer.ppo.reward import load_reward_manager, resolve_reward_manager_cls

from llm_judge_remote import ConfigError, JudgingFailedError
from llm_judge_remote.integrations import verl as integration
from llm_judge_remote.integrations.verl import JudgeRewardManager
from llm_judge_remote.testing import Fault, JudgeServer

WAYS = {
    "by importlib": (stage.JUDGE_MANAGER, None),
    "by importlib, beside the function": (stage.JUDGE_MANAGER, "pkg://llm_judge_remote"),
    "by its file": ([*stage.JUDGE_MANAGER[:2], f"reward.reward_manager.module.path={integration.__file__}"], None),
    "by its registered name": (["reward.reward_manager.name=llm_judge"], "pkg://llm_judge_remote.integrations.verl"),
}


def scored(config, data):
    async def run():
        return await RewardLoopWorker(config).compute_score_batch(data)

    return asyncio.run(run())


def manager_of(folder, tokenizer, *overrides, path=None, **reward_kwargs):
    config = stage.configuration(folder, *stage.JUDGE_MANAGER, *overrides, path=path, **reward_kwargs)
    return load_reward_manager(config, tokenizer)


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def config(request, folder, server):
    overrides, path = request.param
    return stage.configuration(folder, *overrides, path=path, server_url=server.url)


def test_it_judges_a_batch_however_it_is_loaded(config, tokenizer, server, only_loopback):
    rows = stage.rollouts(64)
    results = scored(config, stage.batch(tokenizer, rows))
    assert [result["reward_score"] for result in results] == [row["score"] for row in rows]
    assert len({tuple(result["reward_extra_info"]) for result in results}) == 1
    assert {len(result["reward_extra_info"]) for result in results} == {stage.KEYS}
    assert server.stats.conversations == 64
    assert resolve_reward_manager_cls(config) is JudgeRewardManager


def test_it_is_known_by_name_to_every_process_that_is_told_to_import_it():
    program = """
        import verl
        from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls
        print(get_reward_manager_cls("llm_judge").__module__)
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        env={"VERL_USE_EXTERNAL_MODULES": "llm_judge_remote.integrations.verl", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.strip() == "llm_judge_remote.integrations.verl_manager", done.stderr
    assert get_reward_manager_cls("llm_judge") is JudgeRewardManager


def test_the_judge_sees_the_prompt_and_the_shared_extra_info_is_not_written_to(folder, tokenizer, server):
    rows = stage.rollouts(8)
    shared = {"index": 0}
    for row in rows:
        row["extra_info"] = shared
    scored(
        stage.configuration(folder, *stage.JUDGE_MANAGER, path=None, server_url=server.url),
        stage.batch(tokenizer, rows),
    )
    texts = [messages[-1]["content"] for request in server.requests for messages in request.conversations]
    assert len(texts) == 8
    assert all(rows[0]["prompt"] in text for text in texts)
    assert shared == {"index": 0}


@pytest.mark.parametrize(
    ("extra_info", "seen"),
    [({"problem": "P?"}, "P?"), ({"question": "Q?"}, "Q?"), ({"prompt": "its own"}, "its own"), (None, "Ben has")],
)
def test_what_the_data_set_says_of_the_problem_comes_before_the_prompt(extra_info, seen, folder, tokenizer, server):
    data = stage.batch(tokenizer, stage.rollouts(1, extra_info=extra_info))
    (result,) = scored(stage.configuration(folder, *stage.JUDGE_MANAGER, path=None, server_url=server.url), data)
    assert result["reward_extra_info"]["judge_ok"] == 1
    text = server.requests[-1].conversations[-1][-1]["content"]
    assert seen in text
    assert ("Ben has" in text) is (seen == "Ben has")


def test_a_row_without_the_fields_that_other_managers_need_is_scored_too(folder, tokenizer, server):
    data = stage.batch(tokenizer, stage.rollouts(2))
    for name in ("reward_model", "extra_info", "uid", "__num_turns__", "raw_prompt", "data_source"):
        del data.non_tensor_batch[name]
    results = scored(stage.configuration(folder, *stage.JUDGE_MANAGER, path=None, server_url=server.url), data)
    assert [result["reward_extra_info"]["judge_outcome"] for result in results] == ["no_reference"] * 2


async def test_of_several_sequences_the_last_one_counts_and_only_its_own_tokens(folder, tokenizer, server):
    """As verl's agent loop makes it: prompt and answer padded together, so the mask's end is not the answer's."""
    turns = [("p", "a long first answer, score=0.25 " * 3), ("a much longer second prompt " * 9, "short, score=0.75")]
    prompts, answers, whole, masks = [], [], [], []
    for prompt, answer in turns:
        prompts.append(torch.tensor(tokenizer.encode(prompt)))
        answers.append(torch.tensor(tokenizer.encode(answer)))
        whole.append(torch.cat([prompts[-1], answers[-1]]))
        masks.append(torch.ones_like(whole[-1]))

    def padded(tensors):
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=0)

    row = stage.rollouts(1)[0]
    fields = {
        "data_source": stage.column([row["data_source"]] * 2),
        "reward_model": stage.column([{"ground_truth": row["ground_truth"]}] * 2),
        "response_len": np.array([len(answer) for answer in answers]),
        "tool_extra_fields": stage.column([{"problem": "the tool's"}, {"problem": "the tool's"}]),
        "extra_info": stage.column([{"problem": "the data set's"}] * 2),
    }
    tensors = {
        "prompts": padded(prompts),
        "responses": padded(answers),
        "input_ids": padded(whole),
        "attention_mask": padded(masks),
    }
    data = DataProto.from_dict(tensors=tensors, non_tensors=fields)
    manager = manager_of(folder, tokenizer, server_url=server.url)
    assert (await manager.run_single(data))["reward_score"] == 0.75
    text = server.requests[-1].conversations[-1][-1]["content"]
    assert "short" in text
    assert "first answer" not in text
    assert "\x00" not in text
    assert "the data set's" in text


def test_rows_of_one_prompt_travel_together_whatever_lies_between_them(folder, tokenizer, server):
    rows = stage.rollouts(32, group=4)
    shuffled = [rows[(number * 13) % 32] for number in range(32)]
    config = stage.configuration(
        folder, *stage.JUDGE_MANAGER, path=None, server_url=server.url, max_in_flight=1, batch_endpoint="off"
    )
    results = scored(config, stage.batch(tokenizer, shuffled))
    assert [result["reward_score"] for result in results] == [row["score"] for row in shuffled]
    problems = [request.conversations[0][-1]["content"].split("(No. ")[1].split(")")[0] for request in server.requests]
    assert len(problems) == 32
    assert sum(one != other for one, other in itertools.pairwise(problems)) == 7


def test_the_first_rows_are_judged_before_the_last_one_s_task_has_begun(folder, tokenizer):
    asked = threading.Event()

    def judge(conversation):
        asked.set()
        return stage.verdict(conversation)

    class Worker(RewardLoopWorker):
        async def compute_score(self, data):
            if data.non_tensor_batch["data_source"][0] == "last":
                assert asked.wait(20)  # the event loop does not turn meanwhile
            return await super().compute_score(data)

    rows = stage.rollouts(80)
    rows[-1]["data_source"] = "last"
    with JudgeServer(judge=judge) as server:
        config = stage.configuration(folder, *stage.JUDGE_MANAGER, path=None, server_url=server.url)
        results = asyncio.run(Worker(config).compute_score_batch(stage.batch(tokenizer, rows)))
    assert [result["reward_score"] for result in results] == [row["score"] for row in rows]


def failing(*numbers):
    return Fault("no_verdict", match=lambda c: int(c.text.split("row=")[1].split(",")[0]) in numbers)


async def test_with_group_mean_a_row_takes_its_group_s_mean_though_rows_come_one_by_one(folder, tokenizer, server):
    rows = stage.rollouts(16)
    server.inject(failing(3, 4, 8))
    data = stage.batch(tokenizer, rows)
    manager = manager_of(folder, tokenizer, server_url=server.url, fallback="group_mean", group_wait=60, linger=0)

    tasks = []
    for number in range(16):
        tasks.append(asyncio.create_task(manager.run_single(data[number : number + 1])))
        await asyncio.wait(tasks[-1:], timeout=0.05)
    results = await asyncio.gather(*tasks)
    judged = [row["score"] for number, row in enumerate(rows[:8]) if number not in (3, 4)]
    for number in (3, 4):
        assert results[number]["reward_score"] == pytest.approx(sum(judged) / 6)
        info = results[number]["reward_extra_info"]
        assert (info["judge_fallback"], info["judge_fallback_by"]) == (1, "group_mean")
        assert info["score"] == info["acc"] == results[number]["reward_score"]
    others = [row["score"] for row in rows[9:]]
    assert results[8]["reward_score"] == pytest.approx(sum(others) / 7)
    assert len({tuple(result["reward_extra_info"]) for result in results}) == 1


def test_with_group_mean_and_nobody_judged_it_is_the_similarity(folder, tokenizer, server):
    server.inject(Fault("no_verdict"))
    config = stage.configuration(
        folder, *stage.JUDGE_MANAGER, path=None, server_url=server.url, fallback="group_mean", group_wait=60
    )
    results = scored(config, stage.batch(tokenizer, stage.rollouts(8)))
    assert {result["reward_extra_info"]["judge_fallback_by"] for result in results} == {"lexical"}


@pytest.mark.parametrize("log", [True, False])
def test_the_overlong_penalty_is_that_of_verl_s_own_dapo_manager(log, folder, tokenizer, server):
    cfg = "+reward.reward_kwargs.overlong_buffer_cfg"
    overrides = [f"{cfg}.enable=True", f"{cfg}.len=40", f"{cfg}.penalty_factor=0.5", f"{cfg}.log={log}"]
    overrides.append("+reward.reward_kwargs.max_resp_len=80")
    rows = stage.rollouts(4)
    for row, words in zip(rows, (0, 3, 5, 9), strict=True):
        row["answer"] = "well, " * words + row["answer"]
    data = stage.batch(tokenizer, rows)
    dapo = ["reward.reward_manager.name=dapo", *overrides]
    theirs = scored(stage.configuration(folder, *dapo, server_url=server.url, return_details=True), copy.deepcopy(data))
    ours = scored(stage.configuration(folder, *stage.JUDGE_MANAGER, *overrides, path=None, server_url=server.url), data)
    assert [r["reward_score"] for r in ours] == pytest.approx([float(r["reward_score"]) for r in theirs])
    assert len({r["reward_score"] - r["reward_extra_info"]["score"] for r in ours}) > 1
    assert [tuple(r["reward_extra_info"]) for r in ours] == [tuple(r["reward_extra_info"]) for r in theirs]
    assert all(type(value) in (int, float, str) for r in ours for value in r["reward_extra_info"].values())


CUSTOM = """
async def compute_score_async(data_source, solution_str, ground_truth, extra_info, bonus=0.0):
    return {"score": len(extra_info["prompt"]) + bonus, "asked": solution_str[:1]}

def compute_score(data_source, solution_str, ground_truth, extra_info, bonus=0.0):
    return 0.5 + bonus
"""


@pytest.mark.parametrize("name", ["compute_score", "compute_score_async"])
def test_somebody_else_s_reward_function_is_called_in_place_of_the_judge(name, folder, tokenizer, server, tmp_path):
    (tmp_path / "custom.py").write_text(CUSTOM)
    config = stage.configuration(folder, *stage.JUDGE_MANAGER, path=tmp_path / "custom.py", name=name, bonus=0.25)
    results = scored(config, stage.batch(tokenizer, stage.rollouts(2)))
    expected = {
        "compute_score": {"reward_score": 0.75, "reward_extra_info": {"acc": 0.75}},
        "compute_score_async": {"reward_score": 1.25, "reward_extra_info": {"score": 1.25, "asked": "I"}},
    }
    assert results == [expected[name]] * 2
    assert server.stats.requests == 0


async def test_settings_nobody_could_run_with_are_said_when_the_manager_is_made(folder, tokenizer):
    with pytest.raises(ConfigError, match="temperature='hot'"):
        manager_of(folder, tokenizer, temperature="hot")


def test_fallback_raise_stops_the_run(folder, tokenizer, server):
    server.inject(Fault("no_verdict"))
    config = stage.configuration(folder, *stage.JUDGE_MANAGER, path=None, server_url=server.url, fallback="raise")
    with pytest.raises(JudgingFailedError):
        scored(config, stage.batch(tokenizer, stage.rollouts(2)))


async def test_verl_s_own_reward_model_is_the_judge_when_no_other_is_named(folder, tokenizer, server):
    """verl names its router without a scheme, and hands over the model's tokenizer."""
    config = stage.configuration(folder, *stage.JUDGE_MANAGER, path=None)
    address = server.url.removeprefix("http://")
    manager = load_reward_manager(config, tokenizer, reward_router_address=address, reward_model_tokenizer=tokenizer)
    data = stage.batch(tokenizer, stage.rollouts(2))
    assert (await manager.run_single(data))["reward_score"] == 0.25
