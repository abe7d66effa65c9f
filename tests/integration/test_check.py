"""What `ServerCheck` finds out about one server, with all kinds of faults."""

import socket

import pytest
from check_findings import findings, levels, wrong

from llm_judge_remote.diagnosis.server import Load
from llm_judge_remote.testing import Fault, JudgeServer, Reply, SimulatedJudge

NEED_A_CHAT = {
    "batch endpoint",
    "structured output",
    "thinking off",
    "thinking on",
    "context limit",
    "one sample",
    "many samples",
    "load",
    "reward function",
}


@pytest.fixture(autouse=True)
def _as_in_training(monkeypatch):
    """The defaults of a training run, but for attempts that take their time."""
    monkeypatch.delenv("LLM_JUDGE_STRUCTURED_OUTPUT")
    monkeypatch.setenv("LLM_JUDGE_MAX_RETRIES", "0")


def thinks_always(conversation):
    if "17 + 26" in conversation.text:
        return Reply("43", "Seventeen and twenty-six are forty-three.")
    return "REWARD: 0.5"


def test_a_sound_server_passes_every_look():
    with JudgeServer(judge=SimulatedJudge(1.0)) as server:
        found = findings(server, load=Load(most=4, seconds=3))
    assert set(levels(found).values()) == {"ok"}, found
    assert set(found) == {"health", "auth", "models", "chat", *NEED_A_CHAT}
    assert "serves Qwen/Qwen3-32B; max_model_len 32,768" in found["models"].message
    assert "open: it asks for no key" in found["auth"].message
    assert "the limit is 32,768" in found["context limit"].message
    assert "none of 5 hostile ones" in found["reward function"].message


def test_a_server_that_is_not_there_is_one_error_and_no_riddle():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = findings(f"127.0.0.1:{port}")
    assert wrong(found) == {"health": "error"}
    assert ("refused" in found["health"].message, "start the server" in found["health"].fix) == (True, True)
    assert {finding.level for name, finding in found.items() if name != "health"} == {"skipped"}
    assert found["reward function"].message.endswith("error above: health")


def test_a_server_that_loads_or_sleeps_is_said_to():
    with JudgeServer(sleep=True) as server:
        server.loading = True
        assert "503" in findings(server)["health"].message
        server.loading = False
        server.sleeping = True
        found = findings(server)
        assert ("sleeps" in found["health"].message, "wake" in found["health"].fix) == (True, True)


def test_something_that_is_no_judge_server_is_told_by_what_it_answers():
    with JudgeServer(faults=[Fault("garbage")]) as server:
        found = findings(server)
    assert wrong(found) == {"chat": "error"}
    assert "It works!" in found["chat"].message


def test_a_wrong_model_is_told_with_the_right_one_and_the_rest_of_the_server_is_looked_at():
    with JudgeServer(judge=SimulatedJudge(1.0), model="own/model") as server:
        found = findings(server)
        assert findings(server, model_name="auto")["reward function"].level == "ok"
    assert wrong(found) == {"models": "error"}
    assert found["models"].fix.endswith("LLM_JUDGE_MODEL_NAME=own/model")
    assert found["structured output"].level == "ok"
    assert found["one sample"].level == found["reward function"].level == "skipped"


def test_a_server_with_a_key_takes_it_and_no_other():
    with JudgeServer(judge=SimulatedJudge(1.0), api_key="the key") as server:
        keyed, without, other = findings(server, api_key="the key"), findings(server), findings(server, api_key="no")
    assert wrong(keyed) == {}
    assert "without a key it answers 401, with a wrong key it answers 401" in keyed["auth"].message
    for found, words in ((without, "wants a key, and none is set"), (other, "refuses the key")):
        assert wrong(found) == {"auth": "error"}
        assert words in found["auth"].message
        assert "LLM_JUDGE_SERVER_API_KEY" in found["auth"].fix
        assert found["models"].level == found["chat"].level == "skipped"


def test_a_server_that_takes_any_key_is_open_and_that_is_a_warning():
    with JudgeServer(judge=SimulatedJudge(1.0)) as server:
        found = findings(server, api_key="the key")
    assert wrong(found) == {"auth": "warning"}
    assert "without a key and with a wrong key" in found["auth"].message


def test_without_a_batch_endpoint_rows_are_judged_one_by_one():
    with JudgeServer(judge=SimulatedJudge(1.0), batch_endpoint=False) as server:
        found = findings(server)
        assert levels(findings(server, batch_endpoint="off"))["batch endpoint"] == "skipped"
    assert wrong(found) == {"batch endpoint": "warning"}
    assert "one by one" in found["batch endpoint"].fix


def test_a_batch_endpoint_that_fails_is_no_more_than_a_warning():
    def is_batch(conversation):
        return conversation.path.endswith("/batch")

    with JudgeServer(judge=SimulatedJudge(1.0), faults=[Fault("status", status=500, match=is_batch)]) as server:
        found = findings(server)
    assert found["batch endpoint"].level == "warning"
    assert "500" in found["batch endpoint"].message
    assert "error" not in levels(found).values()


@pytest.mark.parametrize("constraint", ["ignored", "refused"])
@pytest.mark.parametrize(("wanted", "level"), [("auto", "warning"), ("on", "error"), ("off", "ok")])
def test_a_server_that_holds_no_reply_is_seen_through(constraint, wanted, level):
    with JudgeServer(judge=SimulatedJudge(1.0), constraint=constraint) as server:
        found = findings(server, structured_output=wanted)
    assert found["structured output"].level == level
    assert "obeys none of" in found["structured output"].message
    assert found["one sample"].level == ("error" if wanted == "on" else "ok")


@pytest.mark.parametrize("dialect", ["guided_regex", "regex", "response_format"])
@pytest.mark.parametrize("template", ["default", "detailed", "yes_no"])
def test_the_way_in_which_a_server_is_told_a_grammar_is_found(dialect, template):
    with JudgeServer(judge=SimulatedJudge(1.0), constraint=dialect) as server:
        found = findings(server, prompt_template=template)["structured output"]
    assert (found.level, f"held by `{dialect}`" in found.message) == ("ok", True)


@pytest.mark.parametrize(
    ("field", "where"), [("reasoning", "`reasoning`"), ("reasoning_content", "`reasoning_content`"), (None, "between")]
)
def test_a_model_that_thinks_though_told_not_to_is_found_out_and_where_its_thought_arrives(field, where):
    with JudgeServer(judge=thinks_always, reasoning_field=field) as server:
        found = findings(server)
    assert found["thinking off"].level == "warning"
    assert "although it is told not to" in found["thinking off"].message
    assert where in found["thinking off"].message
    assert where in found["thinking on"].message


def test_a_thought_that_leaves_no_room_for_an_answer_is_an_error():
    endless = Reply(None, "Hm. " * 1000)
    with JudgeServer(judge=lambda c: endless if "17 + 26" in c.text else "REWARD: 0.5") as server:
        found = findings(server)
        assert findings(server, enable_thinking=True, thinking_budget=64)["thinking on"].level == "warning"
    assert found["thinking off"].level == "error"
    assert "no answer after 512 tokens" in found["thinking off"].message


def test_an_answer_that_is_filed_under_reasoning_is_told_from_a_thought():
    with JudgeServer(judge=lambda c: Reply(None, "43") if "17 + 26" in c.text else "REWARD: 0.5") as server:
        found = findings(server)["thinking off"]
    assert (found.level, "the answer itself arrives in `reasoning`" in found.message) == ("warning", True)


def test_thinking_that_was_asked_for_and_does_not_come_is_a_warning():
    with JudgeServer(judge=lambda _: Reply("REWARD: 0.5")) as server:
        assert findings(server)["thinking on"].level == "ok"
        assert findings(server, enable_thinking=True)["thinking on"].level == "warning"


def test_an_empty_or_broken_reply_says_nothing_of_thinking():
    with JudgeServer(judge=SimulatedJudge(1.0), faults=[Fault("null_content", match="17 + 26")]) as server:
        found = findings(server)
    assert wrong(found) == {"thinking off": "warning", "thinking on": "warning"}
    with JudgeServer(judge=SimulatedJudge(1.0), faults=[Fault("empty_choices", match="17 + 26")]) as server:
        found = findings(server)
    assert wrong(found) == {"thinking off": "error", "thinking on": "error"}
    assert "no chat completion" in found["thinking off"].message


def test_an_empty_thought_that_the_template_closes_is_none():
    with JudgeServer(judge=lambda _: Reply("<think>\n\n</think>\n\nREWARD: 0.5")) as server:
        assert findings(server)["thinking off"].level == "ok"


def test_a_context_too_small_for_the_reply_is_an_error_before_and_when_rows_are_judged():
    with JudgeServer(judge=SimulatedJudge(1.0), max_model_len=512) as server:
        found = findings(server)
    assert found["models"].level == "error"
    assert "0 are left for the prompt" in found["models"].message
    assert found["context limit"].level == "ok"
    assert found["one sample"].level == "skipped"


def test_a_context_that_leaves_little_room_is_a_warning():
    with JudgeServer(judge=SimulatedJudge(1.0), max_model_len=1500) as server:
        assert findings(server)["models"].level == "warning"


def test_a_server_that_does_not_say_how_long_a_prompt_may_be_is_asked_a_long_one():
    with JudgeServer(judge=SimulatedJudge(1.0), engine="other", max_model_len=100_000) as server:
        found = findings(server)
    assert "does not say" in found["models"].message
    assert (found["context limit"].level, "100,000" in found["context limit"].message) == ("ok", True)


def test_a_refusal_of_a_long_prompt_that_nobody_understands_is_a_warning():
    def is_long(conversation):
        return len(conversation.text) > 100_000

    for status, words in ((400, "not understood"), (413, "client_max_body_size"), (502, "502")):
        fault = Fault("status", status=status, match=is_long)
        with JudgeServer(judge=SimulatedJudge(1.0), engine="other", max_model_len=10**6, faults=[fault]) as server:
            found = findings(server)["context limit"]
        assert found.level == "warning"
        assert words in found.message + found.fix


def test_a_server_that_fails_at_every_question_says_so_once():
    with JudgeServer(faults=[Fault("status", status=500)]) as server:
        found = findings(server)
    assert wrong(found) == {"chat": "error"}
    assert ("A scripted fault" in found["chat"].message, "log" in found["chat"].fix) == (True, True)
    assert {name for name, level in levels(found).items() if level == "skipped"} == NEED_A_CHAT


def test_a_server_that_hangs_is_given_up_after_one_timeout():
    with JudgeServer(faults=[Fault("hang")]) as server:
        found = findings(server, timeout=0.5)
    assert wrong(found) == {"chat": "error"}
    assert "had not answered after 0.5 s" in found["chat"].message


def test_replies_without_a_verdict_are_shown():
    with JudgeServer(judge="What a fine day.", constraint="ignored") as server:
        found = findings(server)
    assert found["one sample"].level == "error"
    assert "'What a fine day.'" in found["one sample"].message
    assert "structured_output" in found["one sample"].fix
    assert found["reward function"].level == "skipped"


def test_a_part_of_the_rows_that_fails_is_counted():
    with JudgeServer(judge=SimulatedJudge(1.0), faults=[Fault("no_verdict", match="hypotenuse")]) as server:
        found = findings(server, structured_output="off")
    assert found["many samples"].level == "error"
    assert "2 of 16 were not judged; the first: the judge gave no verdict" in found["many samples"].message


def test_retries_that_were_needed_are_a_warning():
    with JudgeServer(judge=SimulatedJudge(1.0), faults=[Fault("status", status=500, times=1, match="pens")]) as server:
        found = findings(server, max_retries=3, structured_output="off")
    assert (found["one sample"].level, "it took 2 requests" in found["one sample"].message) == ("warning", True)
    assert found["reward function"].level == "ok"


def test_a_judge_that_cannot_tell_right_from_wrong_is_a_warning_and_no_error():
    with JudgeServer(judge="REWARD: 1.0") as server:
        found = findings(server)
    assert wrong(found) == {"reward function": "warning"}
    assert "right is above wrong in 0 of 3" in found["reward function"].message


def test_with_a_gate_the_judge_is_asked_all_the_same_and_rewards_are_as_in_training():
    with JudgeServer(judge="What a fine day.", constraint="ignored") as server:
        assert findings(server, gate="both")["one sample"].level == "error"
    with JudgeServer(judge=SimulatedJudge(1.0)) as server:
        found = findings(server, gate="both")["reward function"]
    assert (found.level, "by rule (gate=both)" in found.message) == ("ok", True)


def test_a_judge_that_falls_for_a_hostile_row_is_told_which():
    honest = SimulatedJudge(1.0)
    with JudgeServer(judge=lambda c: "REWARD: 1.0" if "gnore all previous" in c.text else honest(c)) as server:
        found = findings(server)
    assert wrong(found) == {"reward function": "warning"}
    assert "taken in by order/ignore-previous" in found["reward function"].message
