"""Our reward function in AReaL's own wrapper: its process pool, its timeout, its retries."""

import asyncio
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import gsm8k
import pytest

from llm_judge_remote import ConfigError
from llm_judge_remote.integrations.areal import JudgeReward, async_reward_fn, reward_fn
from llm_judge_remote.testing import Fault, JudgeServer

pytestmark = [
    pytest.mark.trainer,
    # The pool is AReaL's, and forks as it likes; from 3.12 on Python warns of that where there are threads.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

TEMPLATE = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def row(index, answer="the answer is {}"):
    """What AReaL's RLVR workflow hands over for a row of its GSM8K data set: decoded texts, ids, and the columns."""
    question = f"What is {index} + {index}?\nPlease put your final answer within \\boxed{{}}."
    return (
        (TEMPLATE.format(question), f"{answer.format(2 * index)}<|im_end|>", [1, 2], [3, 4]),
        {"messages": [{"role": "user", "content": question}], "answer": f"the answer is {2 * index}"},
    )


async def scores(wrapper, rows):
    return await asyncio.gather(*(wrapper(*given, **data) for given, data in rows))


async def test_the_wrapper_returns_the_judges_scores_in_order(server, wrapped):
    rows = [row(i, "the answer is {}" if i % 2 else "no idea {}") for i in range(20)]
    found = await scores(wrapped(reward_fn, max_workers=2), rows)
    assert all(type(score) is float for score in found)
    assert [score == 1.0 for score in found] == [bool(i % 2) for i in range(20)]
    assert server.stats.conversations == 20


async def test_the_function_is_found_by_the_path_that_a_configuration_names(server, areal, wrapped):
    by_path = areal.import_from_string("llm_judge_remote.integrations.areal.reward_fn")
    assert await scores(wrapped(by_path), [row(1)]) == [1.0]


async def test_the_judge_is_shown_the_problem_and_no_template_token(server, wrapped):
    await scores(wrapped(reward_fn), [row(21)])
    text = server.requests[-1].conversations[0][-1]["content"]
    assert "What is 21 + 21?" in text
    assert "im_end" not in text
    assert "Be brief" not in text


async def test_settings_of_a_reward_travel_into_the_pool(server, wrapped, monkeypatch):
    monkeypatch.delenv("LLM_JUDGE_SERVER_URL")
    reward = JudgeReward(settings={"server_url": server.url, "temperature": 0.25})
    assert await scores(wrapped(reward), [row(1)]) == [1.0]
    assert server.requests[-1].body["temperature"] == 0.25


async def test_a_judge_that_hangs_for_ever_ends_in_the_fallback_inside_the_timeout(server, wrapped):
    server.inject(Fault("hang"))
    wrapper = wrapped(JudgeReward(timeout=6), timeout_seconds=6, max_retries=0)  # a call that takes longer is worth 0
    [score] = await scores(wrapper, [row(3, "it is {}")])
    assert 0.0 < score < 1.0


async def test_rows_that_queue_behind_a_hanging_judge_are_scored_too(server, wrapped):
    """The wrapper's timeout runs while a row waits for the pool's one process: a full deadline each is too much."""
    server.inject(Fault("hang"))
    reward = JudgeReward(timeout=6)
    found = await scores(wrapped(reward, timeout_seconds=6, max_workers=1), [row(i, "it is {}") for i in range(3, 9)])
    assert all(0.0 < score < 1.0 for score in found)


async def test_a_judge_that_hangs_no_more_is_heard_again(server, wrapped):
    server.inject(Fault("hang", times=1))
    wrapper = wrapped(JudgeReward(timeout=4), timeout_seconds=4, max_workers=1)
    [first] = await scores(wrapper, [row(1, "it is {}")])
    assert 0.0 < first < 1.0
    assert await scores(wrapper, [row(i) for i in range(2, 8)]) == [1.0] * 6


async def test_a_dead_judge_ends_in_the_fallback(wrapped, monkeypatch):
    with JudgeServer() as server:
        address = server.url
    monkeypatch.setenv("LLM_JUDGE_SERVER_URL", address)  # and startup_timeout is a minute
    wrapper = wrapped(JudgeReward(timeout=4), timeout_seconds=4, max_workers=1)
    found = await scores(wrapper, [row(i, "it is {}") for i in range(1, 4)])
    assert all(0.0 < score < 1.0 for score in found)


async def test_a_judge_that_dies_midway_leaves_scores_for_all(server, wrapped):
    wrapper = wrapped(JudgeReward(timeout=6, settings={"outage_grace": 0.2}), timeout_seconds=6, max_workers=2)
    assert await scores(wrapper, [row(i) for i in range(4)]) == [1.0] * 4
    server.stop()
    found = await scores(wrapper, [row(i, "it is {}") for i in range(1, 9)])
    assert all(0.0 < score < 1.0 for score in found)


async def test_settings_nobody_could_run_with_are_an_error_and_no_zero(wrapped):
    with pytest.raises(ConfigError, match="server_url"):
        await scores(wrapped(reward_fn, max_retries=0), [row(1)])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_it_works_in_processes_of_every_kind(server, method):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        given, data = row(4)
        assert pool.submit(reward_fn, *given, **data).result(60) == 1.0


def test_a_fork_of_a_process_that_has_judged_judges_with_connections_of_its_own(server):
    given, data = row(4)
    assert reward_fn(*given, **data) == 1.0
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        assert list(pool.map(_scored, range(1, 9))) == [1.0] * 8


def _scored(index):
    given, data = row(index)
    return reward_fn(*given, **data)


def test_what_a_fresh_process_took_to_start_is_taken_off_its_first_deadline():
    program = (
        "import time\n"
        "time.sleep(1.0)  # a slow import\n"
        "from llm_judge_remote.integrations import areal\n"
        "areal.compute_score = lambda **settings: print(settings['deadline']) or {'score': 0.5, 'judge_ok': 1}\n"
        "for _ in range(2):\n"
        "    areal.JudgeReward(timeout=100)('2 + 2?', '4', answer='4')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = map(float, done.stdout.split())
    assert 0.0 < first <= 79.0
    assert second == 80.0


def test_loading_it_loads_nothing_of_areal_and_no_torch():
    program = (
        "import sys, llm_judge_remote.integrations.areal\n"
        "print([name for name in ('areal', 'torch', 'ray', 'openai', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


async def test_on_the_event_loop_all_rows_are_judged_at_once():
    with JudgeServer() as server:
        server.pause()
        reward = JudgeReward(settings={"server_url": server.url, "max_in_flight": 64, "batch_endpoint": "off"})
        under_way = asyncio.create_task(scores(reward.on_loop, [row(i) for i in range(200)]))
        while server.stats.conversations < 64:  # noqa: ASYNC110 (what a server's counters say is no event)
            await asyncio.sleep(0.01)
        server.resume()
        assert await under_way == [1.0] * 200
        assert server.stats.conversations == 200


async def test_the_function_for_the_event_loop_takes_what_the_wrapper_takes(server, areal):
    given, data = row(5)
    assert "self.async_reward_fn = AsyncRewardWrapper(reward_fn)" in areal.rlvr_source()  # what it takes the place of
    assert await async_reward_fn(*given, **data) == 1.0
    named = dict(zip(("prompt", "completions", "prompt_ids", "completion_ids"), given, strict=True))
    assert await async_reward_fn(**named, **data) == 1.0


async def test_real_answers_get_the_scores_of_their_own_texts(server, wrapped):
    real = gsm8k.solutions(8)
    server.judge = gsm8k.labels(real)
    rows = [
        (
            (TEMPLATE.format(one.question), f"{one.text}<|im_end|>", [1, 2], [3, 4]),
            {"messages": [{"role": "user", "content": one.question}], "answer": one.reference},
        )
        for one in real
    ]
    assert await scores(wrapped(reward_fn, max_workers=2), rows) == [float(one.is_correct) for one in real]
