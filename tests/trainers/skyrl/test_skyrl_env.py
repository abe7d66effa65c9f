"""The environment as skyrl_gym makes it and SkyRL's generator uses it, against a server that speaks vLLM's API."""

import threading
from concurrent.futures import ThreadPoolExecutor

import gsm8k
import pytest
import skyrl_gym
from skyrl_episodes import KEYS, PROMPT, RIGHT, WRONG, extras, made
from skyrl_gym.metrics import aggregate_for_environment

import llm_judge_remote
from llm_judge_remote import reward
from llm_judge_remote.integrations.skyrl import ENV_ID, LLMJudgeEnv, register_env
from llm_judge_remote.testing import Fault, JudgeServer, fixed, lexical_judge

pytestmark = pytest.mark.trainer


def yes_no_judge(conversation):
    return "REWARD: 1.0" if conversation.text.count("#### 42") > 1 else "REWARD: 0.0"


def test_skyrl_gym_makes_it_by_its_registered_name(server):
    assert isinstance(made(), LLMJudgeEnv)


def test_the_reward_is_the_judges_score(server):
    server.judge = "REWARD: 0.75"
    output = made().step("about 42")
    assert output["reward"] == 0.75
    assert (output["done"], output["observations"]) == (True, [])
    assert output["metadata"]["judge_ok"] == 1
    assert output["metadata"]["judge_server"] == server.url


def test_it_is_the_score_that_compute_score_gives_for_the_same_row(server):
    extra_info = {"prompt": PROMPT}
    alone = llm_judge_remote.compute_score("openai/gsm8k", "6 * 7 = 42, I think", RIGHT, extra_info)
    assert 0.0 < alone < 1.0
    assert made().step("6 * 7 = 42, I think")["reward"] == alone


def test_the_judge_is_shown_problem_reference_and_candidate(server):
    made().step("the very candidate")
    text = server.requests[-1].conversations[0][-1]["content"]
    assert "What is 6 * 7?" in text
    assert RIGHT in text
    assert "the very candidate" in text


def test_the_rows_own_question_goes_before_the_prompt(server):
    made(extras(extra_info={"question": "How much is six times seven?"})).step(RIGHT)
    text = server.requests[-1].conversations[0][-1]["content"]
    assert "How much is six times seven?" in text
    assert "What is 6 * 7?" not in text


def test_a_wrong_answer_gets_feedback_and_another_turn(server):
    server.judge = yes_no_judge
    env = made(extras(max_turns=3))
    first = env.step(WRONG)
    assert (first["reward"], first["done"]) == (0.0, False)
    [told] = first["observations"]
    assert told["role"] == "user"
    assert "2" in told["content"]
    second = env.step(RIGHT)
    assert (second["reward"], second["done"], second["observations"]) == (1.0, True, [])
    assert env.get_metrics()["turns"] == 2.0


def test_the_last_turn_ends_the_episode_whatever_was_said(server):
    server.judge = "REWARD: 0.25"
    env = made(extras(max_turns=2))
    assert [env.step(WRONG)["done"], env.step(WRONG)["done"]] == [False, True]


def test_by_default_the_rewards_of_an_episode_add_up_to_the_last_score(server):
    server.judge = "REWARD: 0.25"
    env = made(extras(max_turns=3))
    assert sum(env.step(WRONG)["reward"] for _ in range(3)) == 0.25


def test_every_turn_can_be_rewarded(server):
    server.judge = "REWARD: 0.25"
    env = made(extras(max_turns=3), turn_rewards="each")
    assert [env.step(WRONG)["reward"] for _ in range(3)] == [0.25] * 3


def test_a_turn_without_a_final_answer_is_not_judged_and_goes_on(server):
    env = made(extras(max_turns=3), final_pattern="####", not_final_feedback="Go on: {turns_left} left, {not_a_field}")
    output = env.step("Let me think.")
    assert (output["reward"], output["done"]) == (0.0, False)
    assert output["observations"][0]["content"] == "Go on: 2 left, {not_a_field}"
    assert output["metadata"]["judge_outcome"] == "not_final"
    assert list(output["metadata"]) == KEYS
    assert server.stats.conversations == 0
    assert env.step(RIGHT)["reward"] == 1.0


def test_the_last_turn_is_judged_with_or_without_a_final_answer(server):
    env = made(extras(max_turns=2), final_pattern="####")
    env.step("Let me think.")
    output = env.step("Well, 42.")
    assert output["done"]
    assert output["metadata"]["judge_outcome"] == "judged"


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        ({}, "no_reference"),
        ({"reward_spec": None}, "no_reference"),
        ({"reward_spec": {"ground_truth": None}}, "no_reference"),
        ({"reward_spec": {"ground_truth": float("nan")}, "extra_info": "no mapping"}, "no_reference"),
        ({"reward_spec": {"ground_truth": ["42", RIGHT]}}, "judged"),
        ({"reward_spec": {"ground_truth": 42}}, "judged"),
        ({"reward_spec": {"ground_truth": "\ud800 {x} {{ y }} \x00"}}, "judged"),
    ],
)
def test_a_bad_row_raises_nothing_and_has_the_same_keys(server, row, outcome):
    output = made(row).step(RIGHT)
    assert output["metadata"]["judge_outcome"] == outcome
    assert list(output["metadata"]) == KEYS
    assert isinstance(output["reward"], float)


def test_an_empty_action_is_worth_nothing(server):
    output = made().step("")
    assert (output["reward"], output["metadata"]["judge_outcome"]) == (0.0, "empty_candidate")


def test_a_judge_that_gives_no_score_ends_the_episode_with_the_fallback_and_no_feedback(server):
    server.inject(Fault("no_verdict"))
    output = made(extras(max_turns=4), max_retries=0).step(WRONG)
    assert (output["done"], output["observations"]) == (True, [])
    assert output["metadata"]["judge_fallback"] == 1
    assert list(output["metadata"]) == KEYS
    assert 0.0 < output["reward"] < 1.0


def test_many_environments_in_threads_share_one_dispatcher_and_keep_their_rewards():
    """As SkyRL's generator does it: every call of init and step in a pool of threads, the first ones at once."""
    with JudgeServer(service_time=fixed(0.02)) as server:
        register_env(server_url=server.url, max_in_flight=16, batch_endpoint="off")
        rows = [(extras(truth=f"the answer is {i}"), f"the answer is {i if i % 2 else -i}") for i in range(200)]
        together = threading.Barrier(64)

        def play(index):
            row, answer = rows[index]
            if index < 64:
                together.wait(30)
            return made(row).step(answer)

        with ThreadPoolExecutor(64) as threads:
            outputs = list(threads.map(play, range(len(rows))))
        assert [output["reward"] == 1.0 for output in outputs] == [bool(i % 2) or i == 0 for i in range(200)]
        assert all(output["metadata"]["judge_ok"] for output in outputs)
        assert server.stats.conversations == 200
        assert 1 < server.stats.peak_concurrency <= 16
        assert reward._PROCESS._judges["one"].stats().servers[0].address == server.url


def test_when_the_judge_dies_midway_all_episodes_end_and_say_who_scored_them():
    seen = []

    def judge(conversation):
        seen.append(conversation.key)
        if len(seen) == 60:
            threading.Thread(target=server.stop, name="the end").start()
        return lexical_judge(conversation)

    with JudgeServer(judge=judge, service_time=fixed(0.01), slots=8) as server:
        register_env(server_url=server.url, outage_grace=0.2, max_retries=1, batch_endpoint="off")
        with ThreadPoolExecutor(32) as threads:
            outputs = list(threads.map(lambda i: made(extras(truth=f"it is {i}")).step(f"it is not {i}"), range(120)))
    outcomes = [output["metadata"]["judge_outcome"] for output in outputs]
    assert set(outcomes) == {"judged", "fallback"}
    assert {tuple(output["metadata"]) for output in outputs} == {tuple(KEYS)}
    assert all(0.0 < output["reward"] < 1.0 and output["done"] for output in outputs)


def test_skyrl_averages_the_numbers_of_its_episodes(server):
    server.judge = ["REWARD: 1.0", "REWARD: 0.5"]
    metrics = []
    for _ in range(2):
        env = made()
        env.step(RIGHT)
        metrics.append(env.get_metrics())
        env.close()
    averages = aggregate_for_environment(ENV_ID, metrics)
    assert averages["score"] == 0.75
    assert averages["judge_ok"] == 1.0
    assert averages["turns"] == 1.0
    assert "judge_reason" not in averages


def test_an_environment_that_took_no_turn_has_metrics(server):
    assert made().get_metrics() == {"turns": 0.0}


def test_real_answers_get_the_scores_of_their_own_texts(server):
    real = gsm8k.solutions(8)
    server.judge = gsm8k.labels(real)
    found = []
    for one in real:
        env = skyrl_gym.make(ENV_ID, env_config={}, extras=extras(one.reference))
        env.init([{"role": "user", "content": one.question}])
        found.append(env.step(one.text)["reward"])
    assert found == [float(one.is_correct) for one in real]
