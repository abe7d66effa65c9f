"""A fork, a thread, an event loop, a pickle: the public functions work from all of them."""

import asyncio
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings

import pytest

from llm_judge_remote import Judge, JudgeSettings, Outcome, Sample, compute_score, compute_score_async
from llm_judge_remote.testing import Fault, JudgeServer

HEAVY = ["torch", "ray", "pandas", "vllm", "typer", "rich"]


@pytest.fixture
def server():
    with JudgeServer(judge="REWARD: 0.5") as running:
        yield running


def score(url):
    return compute_score("d", "c", "r", server_url=url)


def score_with(judge):
    return judge.score([Sample("c", ("r",))])[0].score


def test_importing_the_package_loads_nothing_heavy():
    command = [sys.executable, "-X", "importtime", "-c", "import llm_judge_remote"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    modules = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in loaded.splitlines() if "|" in line}
    assert "llm_judge_remote" in modules
    assert modules.isdisjoint(HEAVY)


def test_a_fork_opens_connections_of_its_own(server):
    assert score(server.url) == 0.5
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is the point
        child = os.fork()
    if child == 0:
        try:
            os.write(write, str(score(server.url)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "0.5"
    os.waitpid(child, 0)
    assert score(server.url) == 0.5
    assert server.stats.connections == 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_can_score(server, method):
    assert score(server.url) == 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context(method).Pool(2) as pool:
            # The function itself: what a trainer pickles, and what a spawned child can import.
            tasks = [pool.apply_async(compute_score, ("d", "c", "r"), {"server_url": server.url}) for _ in range(8)]
            assert [task.get(60) for task in tasks] == [0.5] * 8


def test_a_judge_can_be_sent_to_another_process(server):
    with Judge(JudgeSettings(server_url=server.url)) as judge:
        assert score_with(judge) == 0.5
        with pickle.loads(pickle.dumps(judge)) as copy:
            assert copy.settings == judge.settings
            assert score_with(copy) == 0.5


def test_many_threads_share_one_judge(server):
    scores = []
    threads = [threading.Thread(target=lambda: scores.append(score(server.url))) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert scores == [0.5] * 64
    assert server.stats.connections <= 64


def test_several_event_loops_at_once_share_one_judge(server):
    async def many():
        return await asyncio.gather(*(compute_score_async("d", f"c{n}", "r", server_url=server.url) for n in range(50)))

    results = []
    threads = [threading.Thread(target=lambda: results.append(asyncio.run(many()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[0.5] * 50] * 3


async def test_the_event_loop_goes_on_while_a_sample_is_judged():
    with JudgeServer(judge="REWARD: 0.5", service_time=0.5) as server:
        task = asyncio.create_task(compute_score_async("d", "c", "r", server_url=server.url))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert task.result() == 0.5
        assert ticks > 5


async def test_a_cancelled_call_drops_what_has_not_begun():
    with (
        JudgeServer(judge="REWARD: 0.5", service_time=0.2) as server,
        Judge(JudgeSettings(server_url=server.url, batch_size=1)) as judge,
    ):
        task = asyncio.create_task(judge.score_async([Sample(f"c{n}", ("r",)) for n in range(50)]))
        await asyncio.to_thread(server.wait_until, lambda stats: stats.conversations >= 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert judge.score([Sample("after", ("r",))])[0].outcome is Outcome.JUDGED
        assert server.stats.conversations <= 4


async def test_an_async_call_keeps_its_deadline():
    with JudgeServer(faults=[Fault("hang")]) as server:
        began = time.monotonic()
        value = await compute_score_async("d", "same", "same", server_url=server.url, deadline=0.5, return_details=True)
        assert time.monotonic() - began < 5
        assert value["judge_reason"] == "the call's deadline passed"


def test_a_closed_judge_opens_again(server):
    judge = Judge(JudgeSettings(server_url=server.url))
    for _ in range(2):
        assert score_with(judge) == 0.5
        judge.close()
    assert server.stats.connections == 2


def test_closing_ends_a_call_that_is_under_way():
    with JudgeServer(faults=[Fault("hang")]) as server:
        judge = Judge(JudgeSettings(server_url=server.url, batch_size=2, max_retries=0))
        results = []
        caller = threading.Thread(
            target=lambda: results.extend(judge.score([Sample(f"c{n}", ("r",)) for n in range(6)]))
        )
        caller.start()
        server.wait_until(lambda stats: stats.in_service == 2)
        judge.close()
        caller.join(timeout=20)
        assert not caller.is_alive()
    assert [judgement.outcome for judgement in results] == [Outcome.FALLBACK] * 6


def test_a_process_ends_at_once_though_a_judge_still_hangs():
    with JudgeServer(faults=[Fault("hang")]) as server:
        code = (
            "import threading, time, llm_judge_remote as judge\n"
            f"options = {{'server_url': {server.url!r}}}\n"
            "threading.Thread(target=judge.compute_score, args=('d', 'c', 'r'), kwargs=options, daemon=True).start()\n"
            "time.sleep(1)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], timeout=30, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_child_of_a_fork_that_exits_in_the_ordinary_way_does_not_hang_on_the_parent_s_locks():
    with JudgeServer(judge="REWARD: 0.5") as server:
        code = (
            "import os, llm_judge_remote as judge\n"
            f"assert judge.compute_score('d', 'c', 'r', server_url={server.url!r}) == 0.5\n"
            "process = next(iter(judge.reward._PROCESS._judges['one']._processes.values()))\n"
            "with process.runtime.dispatcher._condition:\n"  # as a worker thread may at the moment of the fork
            "    child = os.fork()\n"
            "    if child == 0:\n"
            "        raise SystemExit(7)\n"
            "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        )
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
        done = subprocess.run(command, timeout=30, capture_output=True, text=True, check=True)
    assert done.stdout == "7\n"


def test_a_judge_that_goes_while_its_lock_is_held_is_closed_when_the_lock_is_free(server):
    judge = Judge(JudgeSettings(server_url=server.url))
    assert judge.score([Sample("4", ("4",))])[0].outcome is Outcome.JUDGED
    dispatcher = judge._process().runtime.dispatcher
    with (
        dispatcher._condition
    ):  # as if the garbage collector had found the judge in the middle of the dispatcher's work
        del judge
    until = time.monotonic() + 30
    while not dispatcher.is_closed:
        assert time.monotonic() < until
        time.sleep(0.01)
