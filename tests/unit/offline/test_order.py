"""What a file's judgements depend on."""

import json
from pathlib import Path

import pytest

from llm_judge_remote import JudgeSettings
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.offline.order import Order, check, differences, key_of


@pytest.fixture
def order(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"candidate": "a"}\n')
    return Order(tmp_path / "in.jsonl", tmp_path / "out.parquet")


def key(order, **settings):
    return key_of(order.facts(JudgeSettings(**settings)))


@pytest.mark.parametrize(
    "changes",
    [
        {"server_url": "http://elsewhere:1"},
        {"api_key": "another"},
        {"max_in_flight": 7},
        {"timeout": 3},
        {"batch_size": 3},
        {"cache": "memory"},
    ],
)
def test_where_and_how_fast_the_judge_is_asked_may_change_on_the_way(order, changes):
    assert key(order, **changes) == key(order)


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0},
        {"model_name": "another"},
        {"prompt_template": "concise"},
        {"routes": {"maths": {"votes": 3}}},
        {"fallback": 0.5},
        {"gate": "accept"},
    ],
)
def test_what_a_score_depends_on_may_not(order, changes):
    assert key(order, **changes) != key(order)


def test_another_content_of_the_input_makes_another_key(order):
    before = key(order)
    order.input.write_text('{"candidate": "b"}\n')
    assert key(order) != before


def test_no_secret_is_among_the_facts(order):
    settings = JudgeSettings(
        api_key="secret-1", fence_key="secret-2", routes={"maths": {"server_url": "http://x", "api_key": "secret-3"}}
    )
    assert "secret" not in json.dumps(order.facts(settings))


def test_differences_are_told_in_words():
    before = {"input": {"sha256": "a"}, "settings": {"temperature": 0.7, "seed": None}}
    now = {"input": {"sha256": "a"}, "settings": {"temperature": 0.0, "seed": None}, "more": 1}
    assert differences(before, now) == ["settings.temperature was 0.7 and is 0.0", "more was None and is 1"]


@pytest.mark.parametrize(
    ("output", "said"), [("out.jsonl", "the output is parquet"), ("in.parquet", "would replace the input")]
)
def test_an_output_of_no_use_is_refused(output, said):
    with pytest.raises(ConfigError, match=said):
        check(Order(Path("in.parquet"), Path(output)))
