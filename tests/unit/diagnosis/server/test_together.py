"""Several servers that are to be one judge."""

import pytest

from llm_judge_remote.client.capabilities import Capabilities
from llm_judge_remote.diagnosis.server.together import alike


def told(address, models=("m",), length=4096, version="0.32.0"):
    return Capabilities(address, models, length, "vllm", version, batch_endpoint=True, sleep=False)


def test_servers_that_serve_the_same_are_one_judge():
    assert alike({"a": told("a"), "b": told("b")}, 2)[:2] == ("ok", "all 2 judge, and serve m")


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"models": ("n",)}, "different models: m at a; n at b"),
        ({"length": 2048}, "different max_model_len: 4096 at a; 2048 at b"),
        ({"version": "0.31.0"}, "different releases: vllm 0.32.0 at a; vllm 0.31.0 at b"),
    ],
)
def test_what_differs_is_a_warning_that_says_where(other, what):
    seen = alike({"a": told("a"), "b": told("b", **other)}, 2)
    assert (seen.level, seen.message, bool(seen.fix)) == ("warning", what, True)


def test_of_many_servers_a_few_are_named():
    names = [str(number) for number in range(9)]
    seen = alike({name: told(name, version="1" if name == "8" else "2") for name in names}, 9)
    assert seen.message == "different releases: vllm 2 at 0, 1, 2, 3 and 4 more; vllm 1 at 8"


def test_some_that_do_not_judge_are_a_warning_and_all_of_them_an_error():
    both = {"a": told("a"), "b": None}
    assert alike(both, 1)[:2] == ("warning", "1 of 2 servers judge; the others' rows go to them")
    assert alike(both, 0).level == "error"


def test_gateways_that_tell_nothing_and_judge_are_well():
    assert alike({"a": None, "b": None}, 2).level == "ok"
