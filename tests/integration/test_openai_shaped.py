"""The OpenAI-shaped client, over real sockets."""

import asyncio
import pickle
import threading

import pytest

from llm_judge_remote import JudgeSettings, reward
from llm_judge_remote.errors import (
    ConfigError,
    DeadlineExceededError,
    PromptTooLongError,
    ServerUnavailableError,
    UnknownModelError,
)
from llm_judge_remote.integrations.openai_shaped import JudgeClient
from llm_judge_remote.testing import Fault, JudgeServer, Reply, fixed

ASK = [{"role": "user", "content": "Is it so?"}]


async def until(condition):
    while not condition():  # noqa: ASYNC110 (what a server's counters say is no event)
        await asyncio.sleep(0.01)


async def test_the_reply_has_the_shape_of_openais():
    with JudgeServer(judge=Reply("Yes.", reasoning="Hm.")) as server:
        completion = await JudgeClient(server.url).chat.completions.create(messages=ASK)
    [choice] = completion.choices
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert (choice.message.role, choice.message.content, choice.message.reasoning_content) == (
        *("assistant", "Yes.", "Hm."),
    )
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 0
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.server == server.url
    assert completion.model_dump()["choices"][0]["message"]["content"] == "Yes."


async def test_what_is_given_reaches_the_server_and_the_rest_is_as_set():
    with JudgeServer() as server:
        client = JudgeClient(server.url, temperature=0.25, max_new_tokens=33)
        await client.chat.completions.create(messages=ASK)
        plain = server.requests[-1].body
        await client.chat.completions.create(
            messages=ASK,
            model="default",
            temperature=0,
            top_p=0.5,
            seed=7,
            max_tokens=9,
            stop=["."],
            frequency_penalty=0.5,
            extra_body={"top_k": 5, "chat_template_kwargs": {"enable_thinking": True, "style": "short"}},
        )
        given = server.requests[-1].body
    assert (plain["temperature"], plain["max_tokens"], plain["model"]) == (0.25, 33, "Qwen/Qwen3-32B")
    assert plain["chat_template_kwargs"] == {"enable_thinking": False}
    assert [given[name] for name in ("temperature", "top_p", "seed", "max_tokens", "stop", "top_k")] == (
        [0.0, 0.5, 7, 9, ["."], 5]
    )
    assert given["frequency_penalty"] == 0.5
    assert given["chat_template_kwargs"] == {"enable_thinking": True, "style": "short"}


async def test_several_replies_to_one_question():
    with JudgeServer(judge=lambda conversation: f"draw {conversation.draw}") as server:
        completion = await JudgeClient(server.url).chat.completions.create(messages=ASK, n=3)
    assert [choice.message.content for choice in completion.choices] == ["draw 0", "draw 1", "draw 2"]
    assert [choice.index for choice in completion.choices] == [0, 1, 2]


async def test_equal_questions_are_drawn_each_for_itself_and_asked_once_where_nothing_is_drawn():
    with JudgeServer(service_time=fixed(0.2)) as server:
        create = JudgeClient(server.url, batch_endpoint="off", linger=0, hedging="off").chat.completions.create
        await asyncio.gather(*(create(messages=ASK, temperature=1.0) for _ in range(4)))
        assert server.stats.conversations == 4
        await asyncio.gather(*(create(messages=ASK, temperature=0) for _ in range(4)))
        assert server.stats.conversations == 5


async def test_questions_travel_in_chunks_where_the_server_takes_them():
    with JudgeServer(judge=lambda conversation: conversation.text, service_time=fixed(0.05), slots=4) as server:
        create = JudgeClient(server.url, max_in_flight=400, linger=0.02).chat.completions.create
        asked = [[{"role": "user", "content": f"number {i}"}] for i in range(400)]
        found = await asyncio.gather(*(create(messages=each, stop=["#"]) for each in asked))
        assert [each.choices[0].message.content for each in found] == [f"number {i}" for i in range(400)]
        assert all(request.body["stop"] == ["#"] for request in server.requests if request.conversations)


async def test_it_is_the_one_judge_of_the_process_that_asks():
    with JudgeServer() as server:
        client = JudgeClient(server.url)
        await client.chat.completions.create(messages=ASK)
        await reward.compute_score_async("x", "4", "4", {"problem": "2+2"}, server_url=server.url)
        assert reward._PROCESS._judges["one"].stats().requests == 2


def test_it_works_on_several_event_loops_at_once():
    with JudgeServer(judge="Yes.", service_time=fixed(0.02)) as server:
        client = JudgeClient(server.url)
        said = []

        async def ask():
            found = await asyncio.gather(*(client.chat.completions.create(messages=ASK) for _ in range(10)))
            said.extend(each.choices[0].message.content for each in found)

        threads = [threading.Thread(target=asyncio.run, args=(ask(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert said == ["Yes."] * 40


async def test_a_cancelled_question_is_given_up():
    with JudgeServer(faults=[Fault("hang", match="stuck")]) as server:
        client = JudgeClient(server.url)
        stuck = asyncio.create_task(client.chat.completions.create(messages=[{"role": "user", "content": "stuck"}]))
        await until(lambda: server.stats.in_service)
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck
        await client.chat.completions.create(messages=ASK)
        await until(lambda: server.stats.aborted)
        await until(lambda: not reward._PROCESS._judges["one"].stats().waiting)


async def test_a_timeout_bounds_the_whole_call():
    with JudgeServer(faults=[Fault("hang")]) as server:
        with pytest.raises(DeadlineExceededError, match=r"0\.3 s"):
            await JudgeClient(server.url).chat.completions.create(messages=ASK, timeout=0.3)
        with pytest.raises(DeadlineExceededError):
            await JudgeClient(server.url, deadline=0.3).chat.completions.create(messages=ASK)


async def test_errors_are_ours_after_retries():
    with JudgeServer(max_model_len=64) as server:
        create = JudgeClient(server.url, max_new_tokens=8).chat.completions.create
        with pytest.raises(PromptTooLongError):
            await create(messages=[{"role": "user", "content": "long " * 400}])
        with pytest.raises(UnknownModelError, match="Qwen/Qwen3-32B"):
            await create(messages=ASK, model="another")
    with pytest.raises(ServerUnavailableError):
        await JudgeClient(server.url, startup_timeout=0, outage_grace=0, max_retries=0).chat.completions.create(
            messages=ASK
        )


async def test_what_the_server_refuses_fails_one_question_of_a_chunk_alone():
    faults = [Fault("status", status=400, match="bad one")]
    with JudgeServer(judge="Fine.", faults=faults, service_time=fixed(0.02), slots=2) as server:
        create = JudgeClient(server.url, linger=0.02).chat.completions.create
        texts = [f"question {i}" for i in range(40)] + ["the bad one"]
        found = await asyncio.gather(
            *(create(messages=[{"role": "user", "content": text}]) for text in texts), return_exceptions=True
        )
    assert [each.choices[0].message.content for each in found[:-1]] == ["Fine."] * 40
    assert isinstance(found[-1], Exception)


async def test_it_is_used_as_openais_client_is():
    with JudgeServer() as server:
        async with JudgeClient(server.url) as client:
            first = await client.chat.completions.create(messages=ASK)
            again = await client.chat.completions.create(messages=[*ASK, first.choices[0].message, *ASK])
        await client.close()
        assert again.choices
        assert [turn["role"] for turn in server.requests[-1].conversations[0]] == ["user", "assistant", "user"]


async def test_a_pickled_client_asks_the_same_judge():
    with JudgeServer(judge="Yes.") as server:
        client = pickle.loads(pickle.dumps(JudgeClient([server.url], temperature=0.125)))
        await client.chat.completions.create(messages=ASK)
        assert server.requests[-1].body["temperature"] == 0.125


def test_a_client_without_a_judge_or_with_settings_twice_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="LLM_JUDGE_SERVER_URL"):
        JudgeClient()
    with pytest.raises(ConfigError, match="settings"):
        JudgeClient("a:1", settings=JudgeSettings(server_url="b:1"))
    with pytest.raises(ConfigError, match="temprature"):
        JudgeClient("a:1", temprature=1)
    monkeypatch.setenv("LLM_JUDGE_SERVER_URL", "http://c:1")
    assert "http://c:1" in repr(JudgeClient())
