import sys
import time
import types

import pytest

from llm_judge_remote import (
    ConfigError,
    JudgeSettings,
    JudgingFailedError,
    compute_score,
    compute_score_async,
    compute_score_batched,
)
from llm_judge_remote.routing import Router
from llm_judge_remote.testing import Fault, JudgeServer


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_STRUCTURED_OUTPUT", "off")
    monkeypatch.setenv("LLM_JUDGE_STARTUP_TIMEOUT", "0")


@pytest.fixture
def scorers(monkeypatch):
    """A module with scorers; what they were asked is in its `asked`."""
    module = types.ModuleType("my_scorers")
    module.asked = []

    def exact(data_source, solution_str, ground_truth, extra_info=None):
        module.asked.append((data_source, solution_str, ground_truth, extra_info))
        return {"score": float(solution_str == ground_truth), "acc": 1, "pred": solution_str}

    def broken(**row):
        raise ZeroDivisionError("division by zero")

    def choosy(data_source, **row):
        raise NotImplementedError(f"Reward function is not implemented for {data_source=}")

    module.exact, module.broken, module.choosy, module.wide = exact, broken, choosy, lambda **row: -1.0
    module.constant = 3
    monkeypatch.setitem(sys.modules, "my_scorers", module)
    return module


def test_without_routes_all_rows_are_judged():
    assert Router(JudgeSettings()).is_off
    with JudgeServer(judge="REWARD: 0.5") as server:
        assert compute_score("openai/gsm8k", "4", "4", server_url=server.url) == 0.5


def test_the_longest_prefix_wins():
    settings = JudgeSettings(routes={"code": {"seed": 1}, "code_hard": {"seed": 2}, "llm_judge_remote_x": {"seed": 3}})
    router = Router(settings)
    assert router.route("code_easy").settings.seed == 1
    assert router.route("code_hard_12").settings.seed == 2
    assert router.route("llm_judge_remote_x1").settings.seed == 3
    assert router.route("llm_judge_remote_y").settings is settings


def test_a_mixed_batch_keeps_its_order_and_each_task_its_own_server_model_and_prompt(scorers):
    with (
        JudgeServer(judge="REWARD: 0.25", model="maths-judge") as maths,
        JudgeServer(judge="REWARD: 0.75", model="code-judge") as code,
    ):
        found = compute_score_batched(
            ["llm_judge_remote_code", "rules", "llm_judge_remote_maths", "rules", "llm_judge_remote_code"],
            ["a", "b", "c", "d", "e"],
            ["r", "b", "r", "x", "r"],
            server_url=maths.url,
            model_name="maths-judge",
            scorer="my_scorers:exact",
            routes={
                "llm_judge_remote_code": {
                    "server_url": code.url,
                    "model_name": "code-judge",
                    "prompt_template": "Code: {CANDIDATE_SOLUTION} {REFERENCE_SOLUTION} {PROBLEM}",
                }
            },
            return_details=True,
        )
        assert all(r.body["messages"][-1]["content"].startswith("Code: ") for r in code.requests)
    assert [row["score"] for row in found] == [0.75, 1.0, 0.25, 0.0, 0.75]
    assert [row["judge_outcome"] for row in found] == ["judged", "scored", "judged", "scored", "judged"]
    assert len({tuple(row) for row in found}) == 1  # the same keys on every path
    assert [asked[:3] for asked in scorers.asked] == [("rules", "b", "b"), ("rules", "d", "x")]


async def test_the_async_call_routes_as_well(scorers):
    with JudgeServer(judge="REWARD: 0.5") as server:
        settings = {"server_url": server.url, "routes": {}, "scorer": "my_scorers:exact"}
        assert await compute_score_async("rules", "b", "b", {"k": 1}, **settings) == 1.0
        assert await compute_score_async("llm_judge_remote_maths", "b", "b", **settings) == 0.5
    assert scorers.asked == [("rules", "b", "b", {"k": 1})]


def test_routes_are_read_from_the_yaml_file(tmp_path, monkeypatch):
    (tmp_path / "judge.yaml").write_text("routes:\n  llm_judge_remote_code: {prompt_template: concise, votes: 3}\n")
    monkeypatch.setenv("LLM_JUDGE_CONFIG", str(tmp_path / "judge.yaml"))
    assert Router(JudgeSettings()).route("llm_judge_remote_code_1").settings.votes == 3


def test_what_goes_nowhere_is_an_error_that_names_it():
    with pytest.raises(ConfigError, match=r"data_source='gsm8k' cannot be scored: no route of llm_judge_remote"):
        compute_score("gsm8k", "4", "4", server_url="http://127.0.0.1:9", routes={})


def test_what_the_scorer_does_not_know_is_an_error_that_names_it(scorers):
    with pytest.raises(ConfigError, match=r"data_source='gsm8k' cannot be scored: the scorer does not know it"):
        compute_score("gsm8k", "4", "4", routes={}, scorer="my_scorers:choosy", server_url="http://127.0.0.1:9")


def test_verl_s_own_rules_score_the_rest_where_verl_is_installed(monkeypatch):
    module = types.ModuleType("verl.utils.reward_score")
    module.default_compute_score = lambda data_source, solution_str, ground_truth, extra_info: (1.0, "more")
    monkeypatch.setitem(sys.modules, "verl", types.ModuleType("verl"))
    monkeypatch.setitem(sys.modules, "verl.utils", types.ModuleType("verl.utils"))
    monkeypatch.setitem(sys.modules, "verl.utils.reward_score", module)
    assert compute_score("openai/gsm8k", "4", "4", routes={}, server_url="http://127.0.0.1:9") == 1.0


def test_a_scorer_that_fails_is_no_zero_in_silence_and_touches_no_other_row(scorers):
    with JudgeServer(judge="REWARD: 0.5") as server:
        failed, judged = compute_score_batched(
            ["rules", "llm_judge_remote"],
            ["a", "b"],
            ["a", "b"],
            server_url=server.url,
            routes={},
            scorer="my_scorers:broken",
            return_details=True,
        )
    assert (failed["judge_outcome"], judged["judge_outcome"]) == ("failed", "judged")
    assert "ZeroDivisionError" in failed["judge_reason"]


def test_a_scorer_s_number_is_brought_into_the_range_of_rewards_and_told(scorers):
    row = compute_score(
        "rules", "a", "a", routes={}, scorer="my_scorers:wide", server_url="http://127.0.0.1:9", return_details=True
    )
    assert (row["score"], row["judge_outcome"], row["judge_reason"]) == (0.0, "scored", "the scorer gave -1.0")


@pytest.mark.parametrize("name", ["no_such_module:f", "my_scorers:none", "my_scorers", "my_scorers:constant", ":f"])
def test_a_scorer_that_cannot_be_is_an_error_that_names_it(name, scorers):
    with pytest.raises(ConfigError, match=f"scorer='{name}'"):
        compute_score("rules", "a", "a", routes={}, scorer=name, server_url="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("routes", "words"),
    [
        ({"code": {"temprature": 0}}, "routes: code: unknown setting 'temprature'; did you mean 'temperature'"),
        ({"code": {"routes": {}}}, "routes: code: unknown setting 'routes'"),
        ({"code": ["x"]}, "is no prefix"),
        ({"": {}}, "is no prefix"),
        ("[1]", "is no mapping"),
    ],
)
def test_routes_of_no_use_are_errors_before_anything_is_asked(routes, words):
    with pytest.raises(ConfigError, match=words.replace("'", ".")):
        JudgeSettings(routes=routes)


def test_a_value_of_no_use_in_a_route_is_told_with_its_place():
    with pytest.raises(ConfigError, match="in routes: code"):
        compute_score("code", "a", "a", routes={"code": {"temperature": 9}}, server_url="http://127.0.0.1:9")


def test_the_key_stays_with_the_server_that_it_was_given_for():
    with JudgeServer(judge="REWARD: 0.5") as other:
        routes = {"code": {"server_url": other.url}}
        compute_score("code", "a", "b", routes=routes, server_url="http://127.0.0.1:9", api_key="secret")
        assert all("authorization" not in request.headers for request in other.requests)
    assert "secret" not in repr(JudgeSettings(routes={"code": {"api_key": "secret"}}))


def test_an_error_that_carries_the_rows_carries_all_of_them(scorers):
    with JudgeServer(faults=[Fault("status", status=400)]) as server, pytest.raises(JudgingFailedError) as caught:
        compute_score_batched(
            ["rules", "llm_judge_remote"],
            ["a", "b"],
            ["a", "b"],
            server_url=server.url,
            routes={},
            scorer="my_scorers:exact",
            fallback="raise",
        )
    assert [judgement.outcome.value for judgement in caught.value.judgements] == ["scored", "failed"]


def test_verl_s_reward_model_is_the_judge_where_no_other_is_named():
    with JudgeServer(judge="REWARD: 0.5") as server:
        address = server.url.removeprefix("http://")
        assert compute_score("d", "a", "b", reward_router_address=address, reward_model_tokenizer=None) == 0.5


def test_a_slow_scorer_keeps_neither_the_judge_waiting_nor_the_call_beyond_its_deadline(scorers):
    began = time.monotonic()
    scorers.slow = lambda **row: time.sleep(0.4) or 1.0
    with JudgeServer(judge="REWARD: 0.5") as server:
        found = compute_score_batched(
            ["rules"] * 20 + ["llm_judge_remote"],
            ["a"] * 21,
            ["b"] * 21,
            server_url=server.url,
            routes={},
            scorer="my_scorers:slow",
            deadline=1.0,
            return_details=True,
        )
    outcomes = [row["judge_outcome"] for row in found]
    assert (outcomes[0], outcomes[-2], outcomes[-1]) == ("scored", "failed", "judged")
    assert "deadline" in found[-2]["judge_reason"]
    assert time.monotonic() - began < 6.0


def test_a_scorer_s_nan_is_no_score(scorers):
    scorers.nan = lambda **row: float("nan")
    row = compute_score(
        "rules", "a", "a", routes={}, scorer="my_scorers:nan", server_url="http://127.0.0.1:9", return_details=True
    )
    assert (row["score"], row["judge_outcome"]) == (0.0, "failed")


def test_an_empty_chat_beside_one_reference_is_a_row():
    row = compute_score("d", [], "reference", server_url="http://127.0.0.1:9", return_details=True)
    assert row["judge_outcome"] == "empty_candidate"
    assert compute_score(None, [], [], server_url="http://127.0.0.1:9") == []
