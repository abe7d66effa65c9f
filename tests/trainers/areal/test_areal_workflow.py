"""Workflows written for AReaL's `ArealOpenAI` judges, with our client in its place."""

import ast
import asyncio
import json
import pickle

import pytest

from llm_judge_remote import ConfigError
from llm_judge_remote.integrations.areal import JudgeClient
from llm_judge_remote.testing import Fault, JudgeServer, fixed

pytestmark = pytest.mark.trainer

PROMPT = """Decide whether the prediction is equivalent to the label.
question: {question}
label: {label}
prediction: {prediction}
Answer with JSON: {{"rationale": "...", "judgement": "correct" or "incorrect"}}"""


class Workflow:
    """Judges as the workflows of AReaL's search agents do: with a judge client of its own, on the rollout's loop."""

    def __init__(self, judge_client):
        self.judge_client = judge_client

    async def reward(self, result):
        completion = await self.judge_client.chat.completions.create(
            messages=[{"role": "user", "content": PROMPT.format(**result)}],
            temperature=1.0,
            max_completion_tokens=8192,
            store=False,
        )
        said = completion.choices[0].message.content
        return float(json.loads(said.split("```json")[-1].split("```")[0])["judgement"] == "correct")


def judge(conversation):
    lines = dict(line.split(": ", 1) for line in conversation.text.splitlines()[1:4])
    verdict = "correct" if lines["label"] == lines["prediction"] else "incorrect"
    return f'```json\n{{"rationale": "compared", "judgement": "{verdict}"}}\n```'


def result(index, prediction):
    return {"question": f"number {index}?", "label": str(index), "prediction": str(prediction)}


async def test_a_workflow_judges_with_it_as_it_does_with_areals():
    with JudgeServer(judge=judge) as server:
        workflow = Workflow(JudgeClient([server.url]))
        assert [await workflow.reward(result(7, 7)), await workflow.reward(result(7, 8))] == [1.0, 0.0]
        body = server.requests[-1].body
    assert (body["temperature"], body["max_tokens"]) == (1.0, 8192)
    assert "store" not in body


async def test_a_workflow_may_be_pickled_to_where_it_runs():
    with JudgeServer(judge=judge) as server:
        workflow = pickle.loads(pickle.dumps(Workflow(JudgeClient([server.url]))))
        assert await workflow.reward(result(7, 7)) == 1.0


async def test_six_hundred_at_once_go_through_one_dispatcher_with_bounded_load():
    with JudgeServer(judge=judge, service_time=fixed(0.01)) as server:
        clients = [JudgeClient([server.url], max_in_flight=48, batch_endpoint="off") for _ in range(3)]
        rewards = await asyncio.gather(
            *(Workflow(clients[i % 3]).reward(result(i, i if i % 2 else -i)) for i in range(1, 601))
        )
        assert rewards == [float(i % 2) for i in range(1, 601)]
        assert server.stats.conversations == 600
        assert server.stats.peak_concurrency <= 48


async def test_six_hundred_at_once_survive_a_server_of_two_that_dies():
    with JudgeServer(judge=judge, service_time=fixed(0.01), slots=8) as one:
        seen = []

        def dying(conversation):
            seen.append(conversation.key)
            if len(seen) == 40:
                two.stop()
            return judge(conversation)

        with JudgeServer(judge=dying, service_time=fixed(0.01), slots=8) as two:
            workflow = Workflow(JudgeClient([one.url, two.url]))
            rewards = await asyncio.gather(*(workflow.reward(result(i, i)) for i in range(600)))
    assert rewards == [1.0] * 600
    assert len(seen) >= 40


async def test_a_server_that_fails_at_times_is_asked_again():
    with JudgeServer(judge=judge, faults=[Fault("status", status=500, share=0.3, first_attempt_only=True)]) as server:
        workflow = Workflow(JudgeClient([server.url], batch_endpoint="off"))
        assert await asyncio.gather(*(workflow.reward(result(i, i)) for i in range(60))) == [1.0] * 60
        assert server.stats.faults["status"] > 5


def areals_arguments(source):
    """The names of the arguments of AReaL's `chat.completions.create`, in its own source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == "AsyncCompletionsWithReward":
            methods = [each for each in node.body if isinstance(each, ast.AsyncFunctionDef) and each.name == "create"]
            return [each.arg for each in methods[-1].args.kwonlyargs]
    return []


ASKED_FOR = {
    "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
    "frequency_penalty": 0.5,
    "max_completion_tokens": 64,
    "max_tokens": 64,
    "max_total_tokens": 4096,
    "messages": [{"role": "user", "content": "Well?"}],
    "metadata": {"run": "1"},
    "n": 1,
    "stop": ["END"],
    "store": False,
    "stream": False,
    "temperature": 0.5,
    "tool_choice": "none",
    "tools": [],
    "top_p": 0.9,
    "areal_cache": {},
}


async def test_every_argument_of_areals_call_is_known_here(areal):
    names = areals_arguments(areal.client_source())
    assert len(names) > 10
    with JudgeServer(judge="Well.") as server:
        create = JudgeClient([server.url]).chat.completions.create
        for name in names:
            given = {"messages": ASKED_FOR["messages"], name: ASKED_FOR[name]}
            assert (await create(**given)).choices[0].message.content == "Well."
    with pytest.raises(ConfigError, match="max_tokens"):  # AReaL's refuses both at once too
        await create(messages=ASKED_FOR["messages"], max_tokens=1, max_completion_tokens=1)
