"""Holding a reply to a grammar, in each of the ways in which servers are asked for it."""

from __future__ import annotations

import json
import re

import pytest

from llm_judge_remote.testing import Fault, JudgeServer, Reply

REGEX = r"REWARD: (0\.\d+|1\.0)"
SAID = "I think 0.3 at first.\nREWARD: 0.85"


def json_schema(rule, name="REWARD"):
    schema = {"type": "object", "properties": {name: rule}, "required": [name], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}


FIELDS = {
    "structured_outputs": {"regex": REGEX},
    "guided_regex": REGEX,
    "regex": REGEX,
    "response_format": json_schema({"type": "string", "pattern": r"^(0\.\d+|1\.0)$"}),
}


@pytest.mark.parametrize("kind", FIELDS)
def test_a_server_obeys_the_field_of_its_own_kind_and_ignores_the_others_in_silence(connect, kind):
    with JudgeServer(judge=SAID, constraint=kind) as server:
        client = connect(server)
        content = {field: client.content(**{field: wanted}) for field, wanted in FIELDS.items()}
    held = '{"REWARD": "0.85"}' if kind == "response_format" else "REWARD: 0.85"
    assert content == {field: held if field == kind else SAID for field in FIELDS}


@pytest.mark.parametrize("field", FIELDS)
def test_a_server_can_ignore_all_such_fields_in_silence(connect, field):
    with JudgeServer(judge=SAID, constraint="ignored") as server:
        assert connect(server).content(**{field: FIELDS[field]}) == SAID


@pytest.mark.parametrize("field", FIELDS)
def test_a_server_can_refuse_all_such_fields_before_its_judge_is_asked(connect, field):
    with JudgeServer(judge=iter([SAID]), constraint="refused") as server:
        client = connect(server)
        response = client.chat(**{field: FIELDS[field]})
        assert response.status_code == 400
        assert response.json()["error"]["message"] == f"extra fields not permitted: {field}"
        assert response.json()["error"]["param"] == field
        assert client.content(top_p=1) == SAID


@pytest.mark.parametrize(
    ("wanted", "content"),
    [
        ({"regex": r"(?s).*"}, SAID),
        ({"regex": REGEX}, "REWARD: 0.85"),
        ({"regex": rf"^{REGEX}$"}, "REWARD: 0.85"),
        ({"regex": r"[01]\.\d"}, "0.8"),
        ({"choice": ["REWARD", "0.85"]}, "0.85"),
        ({"json": {}}, SAID),
    ],
)
def test_the_reply_is_its_last_part_that_is_allowed(connect, wanted, content):
    with JudgeServer(judge=SAID) as server:
        assert connect(server).content(structured_outputs=wanted) == content


@pytest.mark.parametrize("regex", ["probe-[0-9a-f]{8}", "probe-3fa9c1d2", r"REWARD: (0(\.\d{1,2})?|1(\.0{1,2})?)"])
@pytest.mark.parametrize("kind", ["structured_outputs", "guided_regex", "regex"])
def test_a_judge_that_says_nothing_of_the_kind_is_made_to_say_it(connect, kind, regex):
    with JudgeServer(judge="Hello!", constraint=kind) as server:
        client = connect(server)
        assert re.fullmatch(
            regex, client.content(**{kind: {"regex": regex} if kind == "structured_outputs" else regex})
        )
        batch = client.batch(["a", "b"], **{kind: {"regex": regex} if kind == "structured_outputs" else regex})
        assert all(re.fullmatch(regex, each["message"]["content"]) for each in batch.json()["choices"])


@pytest.mark.parametrize(
    ("rule", "said", "value"),
    [
        ({"type": "string", "pattern": "^(probe-3fa9c1d2)$"}, "Hello!", "probe-3fa9c1d2"),
        ({"type": "string", "pattern": "^[0-9]$"}, "3 of 4 steps\nREWARD: 7\nIn 2 words: well done", "2"),
        ({"enum": ["No", "Yes"]}, "Yes, I think. No doubt: REWARD Yes", "Yes"),
        ({"enum": [0, 1]}, "It is 1", 1),
        ({"enum": ["No", "Yes"]}, "perhaps", "No"),
        ({"type": "string", "pattern": r"^\d+$"}, '{"REWARD": 12}', "12"),
    ],
)
def test_a_json_schema_makes_an_object_with_the_value_behind_the_last_mention_of_its_name(connect, rule, said, value):
    with JudgeServer(judge=said, constraint="response_format") as server:
        assert json.loads(connect(server).content(response_format=json_schema(rule))) == {"REWARD": value}


@pytest.mark.parametrize("wanted", [{"type": "text"}, {"type": "json_object"}])
def test_other_response_formats_change_nothing(connect, wanted):
    with JudgeServer(judge="free", constraint="response_format") as server:
        assert connect(server).content(response_format=wanted) == "free"


@pytest.mark.parametrize(
    ("field", "wanted", "words"),
    [
        ("structured_outputs", {"regex": "("}, "Invalid structured_outputs regex"),
        ("structured_outputs", {"regex": "(?=a)b"}, "cannot make up a text that matches '(?=a)b'"),
        ("guided_regex", {"regex": "x"}, "is a regular expression"),
        ("response_format", json_schema({"type": "number"}), "one property with a pattern or an enum"),
        ("response_format", {"type": "json_schema"}, "one property with a pattern or an enum"),
    ],
)
def test_a_grammar_of_no_use_is_a_400_that_says_so(connect, field, wanted, words):
    with JudgeServer(judge="REWARD: 0.85", constraint=field) as server:
        response = connect(server).chat(**{field: wanted})
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]
    assert response.json()["error"]["param"] == field


def test_a_judge_knows_whether_its_reply_will_be_held_to_a_grammar(connect):
    with JudgeServer(judge=lambda conversation: str(conversation.held), constraint="regex") as server:
        client = connect(server)
        assert client.content(regex="True|False") == "True"
        assert client.content(guided_regex="True|False") == "False"


def test_of_what_a_judge_could_say_the_most_probable_that_is_allowed_is_said(connect):
    reply = Reply("Well.", probabilities={"Well.": 0.6, "REWARD: 0.7": 0.1, "REWARD: 0.8": 0.2})
    with JudgeServer(judge=reply) as server:
        client = connect(server)
        assert client.content() == "Well."
        assert client.content(structured_outputs={"regex": REGEX}) == "REWARD: 0.8"


def test_replies_that_a_fault_gives_are_held_to_nothing(connect):
    with JudgeServer(faults=[Fault("no_verdict")]) as server:
        assert "REWARD" not in connect(server).content(structured_outputs={"regex": REGEX})


def test_there_are_no_other_kinds_of_constraint():
    with pytest.raises(ValueError, match="structured_outputs, guided_regex, regex, response_format"):
        JudgeServer(constraint="guided_json")
