import subprocess
import sys

import pytest

from llm_judge_remote.servers.affinity import group_key, preference

KEYS = [group_key(("default", f"problem {n}", "4")) for n in range(10_000)]
WEIGHTS = {"http://a:1": 1.0, "http://b:1": 1.0, "http://c:1": 2.0, "http://d:1": 0.5, "http://e:1": 1.5}


def homes(weights):
    return {key: preference(key, weights)[0] for key in KEYS}


def test_a_key_is_the_same_in_every_process():
    code = "from llm_judge_remote.servers.affinity import group_key; print(group_key(('default', 'what?', '4')))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == group_key(("default", "what?", "4"))
    assert len(other) == 32


@pytest.mark.parametrize("other", [("ab", "c"), ("a", "b", "c"), ("abc",), ("a", "bc", "")])
def test_where_one_text_ends_and_the_next_begins_counts(other):
    assert group_key(other) != group_key(("a", "bc"))


def test_a_key_takes_texts_that_are_no_unicode():
    assert group_key(("\ud800",)) != group_key(("\ud801",))


def test_each_server_is_the_first_choice_of_its_weight_s_share_of_the_groups():
    found = list(homes(WEIGHTS).values())
    for address, weight in WEIGHTS.items():
        share = found.count(address) / len(found)
        assert share == pytest.approx(weight / sum(WEIGHTS.values()), abs=0.02)


def test_a_server_that_leaves_moves_only_its_own_groups_and_not_all_to_one():
    before, after = homes(WEIGHTS), homes({a: w for a, w in WEIGHTS.items() if a != "http://c:1"})
    moved = [key for key in KEYS if before[key] != after[key]]
    assert moved == [key for key in KEYS if before[key] == "http://c:1"]
    assert {after[key] for key in moved} == set(WEIGHTS) - {"http://c:1"}


def test_a_server_that_comes_takes_its_share_and_nothing_moves_between_the_others():
    before, after = homes(WEIGHTS), homes({**WEIGHTS, "http://new:1": 1.0})
    moved = [key for key in KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {"http://new:1"}
    assert len(moved) / len(KEYS) == pytest.approx(1 / 7, abs=0.02)


def test_a_higher_weight_only_draws_groups_to_it():
    before, after = homes(WEIGHTS), homes({**WEIGHTS, "http://a:1": 3.0})
    assert {after[key] for key in KEYS if before[key] != after[key]} == {"http://a:1"}


def test_the_order_names_each_server_once():
    assert sorted(preference(KEYS[0], WEIGHTS)) == sorted(WEIGHTS)
