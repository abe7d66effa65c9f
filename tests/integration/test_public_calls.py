"""Rows in every shape that trainers hand over, through each public call."""

import asyncio
import re

import numpy as np
import pytest
from omegaconf import OmegaConf

import llm_judge_remote
from llm_judge_remote import (
    ConfigError,
    Judge,
    JudgeSettings,
    Outcome,
    Sample,
    compute_score,
    compute_score_async,
    compute_score_batched,
)
from llm_judge_remote.testing import JudgeServer


def single(*row, **kwargs):
    return compute_score(*row, **kwargs)


def batched(data_source, solution, ground_truth, extra_info, **kwargs):
    return compute_score_batched([data_source], [solution], [ground_truth], [extra_info], **kwargs)[0]


def awaited(*row, **kwargs):
    return asyncio.run(compute_score_async(*row, **kwargs))


CALLS = [single, batched, awaited]


def score_in_prompt(conversation):
    """The judge's score is the number behind `score=` in the candidate."""
    found = re.findall(r"score=([\d.]+)", conversation.messages[-1]["content"])
    return f"REWARD: {found[-1]}" if found else "no idea"


@pytest.fixture
def server():
    with JudgeServer(judge=score_in_prompt) as running:
        yield running


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


ROWS = {
    "text": ("d", "score=0.5", "r", {"problem": "p"}, 0.5, "judged"),
    "numpy texts": (np.str_("d"), np.str_("score=0.5"), np.str_("r"), None, 0.5, "judged"),
    "zero-dimensional arrays": (np.array("d"), np.array("score=0.5"), np.array("r"), None, 0.5, "judged"),
    "chat messages": ("d", [{"role": "assistant", "content": "score=0.25"}], "r", {}, 0.25, "judged"),
    "a list of references": ("d", "score=0.5", ["a", "b"], None, 0.5, "judged"),
    "a tuple of references": ("d", "score=0.5", ("a", "b"), None, 0.5, "judged"),
    "an array of references": ("d", "score=0.5", object_array(["a", "b"]), None, 0.5, "judged"),
    "an OmegaConf list": (
        "d",
        "score=0.5",
        OmegaConf.create(["a", "b"]),
        OmegaConf.create({"problem": "p"}),
        0.5,
        "judged",
    ),
    "a numeric reference": ("d", "score=1", np.int64(18), None, 1.0, "judged"),
    "bytes": (b"d", b"score=0.5", b"r", None, 0.5, "judged"),
    "a lone surrogate": ("d", "\ud800 score=0.5", "r\udfff", {"problem": "\ud800"}, 0.5, "judged"),
    "a NUL": ("d", "\x00 score=0.5", "r\x00", {"problem": "\x00"}, 0.5, "judged"),
    "no data source": (None, "score=0.5", "r", None, 0.5, "judged"),
    "extra_info that is no mapping": ("d", "score=0.5", "r", "text", 0.5, "judged"),
    "an empty candidate": ("d", "", "r", None, 0.0, "empty_candidate"),
    "a blank candidate": ("d", " \n\t", "r", None, 0.0, "empty_candidate"),
    "no candidate": ("d", None, "r", None, 0.0, "empty_candidate"),
    "no reference": ("d", "score=0.5", None, None, 0.0, "no_reference"),
    "an empty reference": ("d", "score=0.5", "", None, 0.0, "no_reference"),
    "an empty list of references": ("d", "score=0.5", [], None, 0.0, "no_reference"),
    "references that are all empty": ("d", "score=0.5", [None, "", float("nan")], None, 0.0, "no_reference"),
    "a row setting of no use": ("d", "same text", "same text", {"temperature": "hot"}, 1.0, "fallback"),
    "a row template that is none": ("d", "same text", "same text", {"prompt_template": "nosuch"}, 1.0, "fallback"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row_of_any_shape_gets_its_score_and_its_outcome(row, call, server):
    *given, score, outcome = row
    flat = call(*given, server_url=server.url, return_details=True)
    assert (flat["score"], flat["judge_outcome"]) == (score, outcome)
    value = call(*given, server_url=server.url)
    assert type(value) is float
    assert value == score
    if outcome in ("empty_candidate", "no_reference"):
        assert server.stats.conversations == 0


COLUMNS = {
    "lists": list,
    "tuples": tuple,
    "object arrays": object_array,
    "OmegaConf lists": OmegaConf.create,
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("function", [compute_score_batched, compute_score], ids=["batched", "single, given lists"])
def test_columns_of_any_kind_are_scored_in_order(function, column, server):
    scores = [n / 40 for n in range(40)]
    columns = [column(["d"] * 40), column([f"score={s}" for s in scores]), column(["r"] * 40)]
    assert function(*columns, server_url=server.url) == scores
    assert function(*columns, [None] * 40, server_url=server.url) == scores


def test_the_plural_names_are_understood(server):
    rows = {"solution_strs": ["score=0.5"], "ground_truths": ["r"], "data_sources": ["d"], "extra_infos": [None]}
    assert compute_score(**rows, server_url=server.url) == [0.5]
    assert compute_score_batched(**rows, server_url=server.url) == [0.5]
    assert asyncio.run(compute_score_async(**rows, server_url=server.url)) == [0.5]


def test_no_rows_give_no_scores(server):
    assert compute_score_batched([], [], [], server_url=server.url) == []
    assert Judge(JudgeSettings(server_url=server.url)).score([]) == []


def test_lists_of_different_lengths_are_an_error_that_names_the_lengths(server):
    with pytest.raises(ValueError, match="data_sources 2, solution_strs 3, ground_truths 1, extra_infos 3"):
        compute_score_batched(["d"] * 2, ["s"] * 3, ["r"], server_url=server.url)
    with pytest.raises(ValueError, match="ground_truths is a list"):
        compute_score_batched(["d"], ["s"], "r", server_url=server.url)


def test_single_batched_and_async_give_the_same_score_to_the_same_row():
    with JudgeServer() as server:  # the lexical judge: a function of the prompt
        rows = [("d", "it is " + "so " * n, f"it is {n % 3}", {"problem": f"what is {n % 3}?"}) for n in range(30)]
        options = {"server_url": server.url, "temperature": 0}
        batch = compute_score_batched(*zip(*rows, strict=True), **options)

        async def gathered():
            return await asyncio.gather(*(compute_score_async(*row, **options) for row in rows))

        assert len(set(batch)) > 5
        assert [compute_score(*row, **options) for row in rows] == batch
        assert asyncio.run(gathered()) == batch


def test_each_row_is_judged_against_its_own_references_only(server):
    compute_score_batched(
        ["d"] * 8, [f"score=0.{n}" for n in range(8)], [f"reference-{n}!" for n in range(8)], server_url=server.url
    )
    texts = [messages[-1]["content"] for request in server.requests for messages in request.conversations]
    assert len(texts) == 8
    for text in texts:
        (number,) = re.findall(r"score=0\.(\d)", text)
        assert re.findall(r"reference-\d!", text) == [f"reference-{number}!"]


def test_with_several_references_the_best_score_counts():
    def judge(conversation):
        return "REWARD: 0.9" if "second" in conversation.text else "REWARD: 0.2"

    with JudgeServer(judge=judge) as server:
        sample = Sample("c", ("first", "second", "third"))
        (judgement,) = Judge(JudgeSettings(server_url=server.url)).score([sample])
        assert (judgement.score, judgement.outcome, judgement.reference_index) == (0.9, Outcome.JUDGED, 1)
        assert judgement.attempts == server.stats.conversations == 3


def test_settings_of_a_row_count_for_that_row_alone(server):
    extras = [{"temperature": 0.1, "model": "Qwen/Qwen3-32B", "max_tokens": 9}, None]
    compute_score_batched(["d"] * 2, ["score=0.1", "score=0.2"], ["r"] * 2, extras, server_url=server.url)
    bodies = {re.findall(r"score=([\d.]+)", r.body["messages"][-1]["content"])[0]: r.body for r in server.requests}
    assert (bodies["0.1"]["temperature"], bodies["0.1"]["max_tokens"]) == (0.1, 9)
    assert (bodies["0.2"]["temperature"], bodies["0.2"]["max_tokens"]) == (0.7, 512)


def test_a_row_with_a_blank_server_uses_the_call_s(server):
    extras = [{"server_url": ""}, {"server_url": []}, None]
    columns = (["d"] * 3, ["score=0.5"] * 3, ["r"] * 3, extras)
    assert compute_score_batched(*columns, server_url=server.url) == [0.5] * 3


def test_the_problem_may_come_with_the_call(server):
    compute_score("d", "score=0.5", "r", problem="what is it?", server_url=server.url)
    assert "what is it?" in server.requests[-1].body["messages"][-1]["content"]


def test_no_server_is_a_config_error_that_says_what_to_set():
    with pytest.raises(ConfigError, match="LLM_JUDGE_SERVER_URL"):
        compute_score("d", "s", "r")


def test_a_template_that_is_none_is_a_config_error(server):
    with pytest.raises(ConfigError, match="binary, concise, default, detailed"):
        compute_score("d", "s", "r", server_url=server.url, prompt_template="nosuch")
    with pytest.raises(ConfigError, match="fallback_metric='nosuch'"):
        compute_score("d", "s", "r", server_url=server.url, fallback_metric="nosuch")


def test_every_public_name_exists_and_the_flat_dict_has_its_keys_on_every_path(server):
    assert all(hasattr(llm_judge_remote, name) for name in llm_judge_remote.__all__)
    rows = list(ROWS.values())
    columns = [[row[n] for row in rows] for n in range(4)]
    flats = compute_score_batched(*columns, server_url=server.url, return_details=True)
    assert len({tuple(flat) for flat in flats}) == 1
    assert all(type(value) in (float, int, str) for flat in flats for value in flat.values())
    assert [flat["judge_outcome"] for flat in flats] == [row[5] for row in rows]
