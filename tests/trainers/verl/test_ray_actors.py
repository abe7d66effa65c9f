"""Reward workers as Ray actors: real processes, verl's own manager of them."""

import contextlib
import ipaddress
import os
import subprocess
import sys
import time

import pytest
import ray
import stage
from verl.experimental.reward_loop import RewardLoopManager, RewardLoopWorker

from llm_judge_remote import verl_reward
from llm_judge_remote.testing import Fault, JudgeServer

TWO = "reward.num_workers=2"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def environment_server():
    """The judge that the workers' environment names."""
    with JudgeServer(judge=stage.verdict) as running:
        yield running


@pytest.fixture(scope="module")
def contacted_by_workers(tmp_path_factory):
    return tmp_path_factory.mktemp("contacted")


@pytest.fixture(scope="module", autouse=True)
def _cluster(environment_server, contacted_by_workers):
    ray.init(
        num_cpus=6,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        object_store_memory=200 * 2**20,
        runtime_env={
            "env_vars": {
                "LLM_JUDGE_SERVER_URL": environment_server.url,
                "LLM_JUDGE_STRUCTURED_OUTPUT": "off",
                "CONTACTED": str(contacted_by_workers),
                "PYTHONWARNINGS": "ignore",
            },
            "worker_process_setup_hook": "watch.note_connections",
        },
    )
    yield
    ray.shutdown()


def gone(name):
    try:
        ray.get_actor(name)
    except ValueError:
        return True
    return False


@contextlib.contextmanager
def workers(config):
    """verl's manager of reward workers; the actors, and their names, are gone when the block ends."""
    manager = RewardLoopManager(config)
    try:
        yield manager
    finally:
        for worker in manager.reward_loop_workers:
            ray.kill(worker)
        until = time.monotonic() + PATIENCE_S
        while not all(gone(f"reward_loop_worker_{number}") for number in range(len(manager.reward_loop_workers))):
            assert time.monotonic() < until
            time.sleep(0.05)


def scores(output):
    return output.batch["rm_scores"].sum(-1).tolist()


@pytest.mark.parametrize(
    ("manager", "path", "name"),
    [
        ("naive", "pkg://llm_judge_remote", "compute_score_async"),
        ("naive", verl_reward.__file__, "compute_score"),
        ("dapo", verl_reward.__file__, "compute_score_async"),
        ("gdpo", "pkg://llm_judge_remote", "compute_score"),
        ("rate_limited", "pkg://llm_judge_remote", "compute_score_async"),
        ("remote", verl_reward.__file__, "compute_score"),
        ("remote", "pkg://llm_judge_remote", "compute_score"),
    ],
)
def test_each_manager_scores_a_batch_in_actors_and_half_of_it_falls_back(
    manager, path, name, folder, tokenizer, environment_server
):
    """The judge's address comes from the environment that Ray hands its workers."""
    before = environment_server.stats.conversations
    environment_server.faults = [
        Fault("no_verdict", match=lambda c: int(c.text.split("row=")[1].split(",")[0]) % 2 == 0)
    ]
    rows = stage.rollouts(7, prompt=f"{manager} {path[:6]} {name}")
    overrides = [TWO, f"reward.reward_manager.name={manager}"]
    config = stage.configuration(folder, *overrides, path=path, name=name, return_details=True, max_retries=0)
    with workers(config) as running:
        output = running.compute_rm_score(stage.batch(tokenizer, rows))
    infos = output.non_tensor_batch
    assert output.meta_info["reward_extra_keys"] == list(infos)
    assert len(infos) == stage.KEYS
    assert infos["judge_fallback"].tolist() == [1, 0] * 3 + [1]
    assert scores(output) == pytest.approx(infos["score"].tolist())
    assert scores(output)[1::2] == [row["score"] for row in rows[1::2]]
    assert set(infos["judge_server"]) <= {environment_server.url, ""}
    assert environment_server.stats.conversations > before


def test_the_judge_s_manager_scores_a_batch_in_actors(folder, tokenizer, environment_server):
    environment_server.faults = []
    rows = stage.rollouts(33)
    config = stage.configuration(folder, TWO, *stage.JUDGE_MANAGER, path=None, temperature=0)
    with workers(config) as running:
        output = running.compute_rm_score(stage.batch(tokenizer, rows))
        again = running.compute_rm_score(stage.batch(tokenizer, rows[:2]))
    assert scores(output) == [row["score"] for row in rows]
    assert scores(again) == [row["score"] for row in rows[:2]]
    assert set(output.non_tensor_batch["judge_ok"]) == {1}


MANAGERS = {
    "function": ([], "pkg://llm_judge_remote"),
    "manager": (stage.JUDGE_MANAGER, None),
}


@pytest.mark.parametrize(("overrides", "path"), MANAGERS.values(), ids=MANAGERS)
@pytest.mark.parametrize("shared", [True, False], ids=["one limit for all", "a limit for each"])
def test_600_rows_on_two_actors_keep_no_more_in_flight_than_configured(
    shared, overrides, path, folder, tokenizer, tmp_path
):
    settings = {"max_in_flight": 12, "batch_size": 600, **({"shared_limit": tmp_path / "limit"} if shared else {})}
    if path is None:
        overrides = [*overrides, *(f"+reward.reward_kwargs.{name}={value}" for name, value in settings.items())]
        settings = {}
    rows = stage.rollouts(600)
    with JudgeServer(judge=stage.verdict, service_time=0.02) as server:
        where = "custom_reward_function" if path else "reward_kwargs"
        url = f"+reward.{where}.{'reward_kwargs.' if path else ''}server_url={server.url}"
        with workers(stage.configuration(folder, TWO, *overrides, url, path=path, **settings)) as running:
            output = running.compute_rm_score(stage.batch(tokenizer, rows))
        stats = server.stats
    assert scores(output) == [row["score"] for row in rows]
    assert stats.conversations >= 600
    most = 12 if shared else 24
    assert most // 3 <= stats.peak_concurrency <= most


def test_an_actor_that_is_killed_starts_again_and_judges_on(folder, tokenizer, tmp_path):
    rows = stage.rollouts(24)
    data = stage.batch(tokenizer, rows)
    with JudgeServer(judge=stage.verdict, service_time=0.02) as server:
        config = stage.configuration(
            folder, server_url=server.url, max_in_flight=4, shared_limit=tmp_path / "limit", return_details=True
        )
        actor = ray.remote(RewardLoopWorker).options(max_restarts=1, max_task_retries=0).remote(config)
        try:
            first = ray.get(actor.compute_score_batch.remote(data), timeout=PATIENCE_S)
            slow = actor.compute_score_batch.remote(data)
            server.wait_until(lambda stats: stats.conversations > len(rows) + 4, timeout=PATIENCE_S)
            ray.kill(actor, no_restart=False)  # in the middle of a batch, while it holds the limit
            with pytest.raises(ray.exceptions.RayActorError):
                ray.get(slow, timeout=PATIENCE_S)
            until = time.monotonic() + PATIENCE_S
            while True:
                try:
                    second = ray.get(actor.compute_score_batch.remote(data), timeout=PATIENCE_S)
                    break
                except ray.exceptions.ActorUnavailableError:
                    assert time.monotonic() < until
                    time.sleep(0.1)
        finally:
            ray.kill(actor)
        assert server.stats.peak_concurrency <= 8  # what the dead one had asked may still have been in service
    for results in (first, second):
        assert [result["reward_score"] for result in results] == [row["score"] for row in rows]
        assert {result["reward_extra_info"]["judge_ok"] for result in results} == {1}


def test_nothing_is_raised_when_the_judge_dies_under_two_actors(folder, tokenizer):
    with JudgeServer(judge=stage.verdict, service_time=0.05, slots=8) as server:
        overrides = [
            f"+reward.reward_kwargs.{name}"
            for name in (f"server_url={server.url}", "outage_grace=0.2", "batch_endpoint=off")
        ]
        with workers(stage.configuration(folder, TWO, *stage.JUDGE_MANAGER, *overrides, path=None)) as running:
            warm = running.compute_rm_score(stage.batch(tokenizer, stage.rollouts(2)))
            data = stage.batch(tokenizer, stage.rollouts(120))
            halves = [
                worker.compute_score_batch.remote(half)
                for worker, half in zip(running.reward_loop_workers, data.chunk(2), strict=True)
            ]
            server.wait_until(lambda stats: sum(stats.finished.values()) > 20, timeout=PATIENCE_S)
            server.stop()
            results = [result for half in ray.get(halves, timeout=PATIENCE_S) for result in half]
    assert set(warm.non_tensor_batch["judge_ok"]) == {1}
    assert {result["reward_extra_info"]["judge_outcome"] for result in results} == {"judged", "fallback"}
    assert len({tuple(result["reward_extra_info"]) for result in results}) == 1


def test_with_group_mean_siblings_that_come_as_single_calls_are_put_together(folder, tokenizer):
    """As verl's agent loops call it: one row at a time, whenever a rollout ends."""
    rows = stage.rollouts(8)
    data = stage.batch(tokenizer, rows)
    with JudgeServer(judge=stage.verdict, faults=[Fault("no_verdict", match="row=0,")]) as server:
        settings = {"server_url": server.url, "fallback": "group_mean", "group_wait": 60}
        overrides = [f"+reward.reward_kwargs.{name}={value}" for name, value in settings.items()]
        with workers(stage.configuration(folder, *stage.JUDGE_MANAGER, *overrides, path=None)) as running:
            (worker,) = running.reward_loop_worker_handles
            results = ray.get([worker.compute_score.remote(data[n : n + 1]) for n in range(8)], timeout=PATIENCE_S)
    assert results[0]["reward_score"] == pytest.approx(sum(row["score"] for row in rows[1:]) / 7)
    assert results[0]["reward_extra_info"]["judge_fallback_by"] == "group_mean"


def test_the_manager_is_known_by_name_where_the_environment_says_so(folder):
    """`VERL_USE_EXTERNAL_MODULES` reaches driver and workers alike."""
    program = f"""
import sys
sys.path.insert(0, {str(stage.__file__).rpartition("/")[0]!r})
import ray, stage
from verl.experimental.reward_loop import RewardLoopManager
from llm_judge_remote.testing import JudgeServer
if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False,
             object_store_memory=100 * 2**20)
    with JudgeServer(judge=stage.verdict) as server:
        url = f"+reward.reward_kwargs.server_url={{server.url}}"
        config = stage.configuration(sys.argv[1], "reward.reward_manager.name=llm_judge", url, path=None)
        tokenizer = stage.make_tokenizer(sys.argv[1])
        output = RewardLoopManager(config).compute_rm_score(stage.batch(tokenizer, stage.rollouts(3)))
        print("scores", output.batch["rm_scores"].sum(-1).tolist())
    ray.shutdown()
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["VERL_USE_EXTERNAL_MODULES"] = "llm_judge_remote.integrations.verl"
    command = [sys.executable, "-W", "ignore", "-c", program, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=180)
    assert "scores [0.0, 0.25, 0.5]" in done.stdout, done.stderr


def test_no_worker_contacted_anything_but_this_machine(contacted_by_workers):
    """The last test: it looks at what all the others did."""
    hosts = {host for file in contacted_by_workers.iterdir() for host in file.read_text().split()}
    assert hosts
    assert all(ipaddress.ip_address(host).is_loopback for host in hosts)
