"""Rows: what a trainer finds in them, and that texts stay as they are."""

import pickle

import pyarrow as pa
import pytest

from llm_judge_remote import ConfigError
from llm_judge_remote.dataset.items import ITEMS
from llm_judge_remote.dataset.rows import RowOptions, schema, verl_batch
from llm_judge_remote.sample import Sample

SOURCE = "llm_judge_remote_test"


def items(*rows):
    made = [
        {"problem": "2+2?", "references": ["It is 4."], "messages": None, "source_index": index} | row
        for index, row in enumerate(rows)
    ]
    return pa.RecordBatch.from_pylist(made, schema=ITEMS)


def rows_of(*given, start=0, member=None, target_gt=None, **options):
    options = RowOptions(SOURCE, **options)
    made = verl_batch(items(*given), options, start=start, member=member, target_gt=target_gt)
    made.validate(full=True)
    assert made.schema == schema(options)
    return made.to_pylist()


def turns(*pairs):
    return [{"role": role, "content": content} for role, content in pairs]


def test_a_row_has_the_columns_that_verl_reads():
    assert rows_of({}, {"problem": "3+3?", "references": ["6", "six"]}, start=7)[1] == {
        "data_source": SOURCE,
        "prompt": turns(("user", "3+3?")),
        "ability": "math",
        "reward_model": {"style": "model", "ground_truth": "6"},
        "extra_info": {"index": 8, "split": "train", "problem": "3+3?"},
    }


def test_a_row_of_skyrl_names_its_environment_and_how_it_is_rewarded():
    (row,) = rows_of({}, layout="skyrl")
    assert row["env_class"] == "llm_judge_remote"
    assert row["reward_spec"] == {"method": "llm_judge", "ground_truth": "It is 4."}
    assert "reward_model" not in row


def test_the_ground_truth_can_be_all_references():
    (row,) = rows_of({"references": ["6", "six"]}, all_references=True)
    assert row["reward_model"]["ground_truth"] == ["6", "six"]


@pytest.mark.parametrize("text", ["{x} {problem} %s", "{{ problem }}", "\x00 \U0001f600 é\n", '"\\'])
def test_texts_are_data_whatever_signs_they_have(text):
    (row,) = rows_of({"problem": text, "references": [text]}, prompt_template="{braces} {problem}|{problem}")
    assert row["prompt"] == turns(("user", f"{{braces}} {text}|{text}"))
    assert row["reward_model"]["ground_truth"] == row["extra_info"]["problem"] == text


def test_chat_messages_are_the_prompt_and_no_template_is_put_around_them():
    chat = turns(("user", "hi"), ("assistant", "yes?"), ("user", "2+2?"))
    first, second, third = rows_of({}, {"messages": chat}, {}, prompt_template="Q: {problem}")
    assert second["prompt"] == chat
    assert first["prompt"] == third["prompt"] == turns(("user", "Q: 2+2?"))


def test_a_system_prompt_comes_first_unless_the_messages_have_one():
    own = turns(("system", "own"), ("user", "2+2?"))
    other = turns(("user", "2+2?"))
    prompts = [row["prompt"] for row in rows_of({"messages": own}, {"messages": other}, {}, system_prompt="S")]
    assert prompts == [own, turns(("system", "S"), ("user", "2+2?")), turns(("system", "S"), ("user", "2+2?"))]


@pytest.mark.parametrize(
    ("solution", "ratio", "begun"),
    [
        ("one two three four", 0.5, "one two"),
        ("one two three four", 0.4, "one two"),
        ("one two three four", 0.38, "one"),
        ("one two three four", 1.0, "one two three four"),
        ("one two three four", 0.1, None),
        ("indivisible", 0.9, None),
        ("é é é é", 0.5, "é é"),
        ("one \n\n two", 0.6, "one"),
    ],
)
def test_a_prefix_of_the_solution_is_whole_words_of_at_most_that_share(solution, ratio, begun):
    row, neighbour = rows_of({"references": [solution]}, {"references": ["a b"]}, assistant_prefix_ratio=ratio)
    turn = turns(("user", "2+2?"), ("assistant", begun)) if begun else turns(("user", "2+2?"))
    assert row["prompt"] == turn
    assert row["reward_model"]["ground_truth"] == solution
    assert neighbour["prompt"][0]["content"] == "2+2?"


def test_a_slice_of_a_batch_gives_the_rows_of_the_slice():
    whole = items(*({"problem": f"p{n}", "references": [f"the answer is {n}", "b"]} for n in range(9)))
    options = RowOptions(SOURCE, assistant_prefix_ratio=0.7, system_prompt="S", include_target_gt=True)
    every = verl_batch(whole, options, start=0)
    assert verl_batch(whole.slice(4, 3), options, start=4).to_pylist() == every.slice(4, 3).to_pylist()


def test_without_items_there_are_no_rows():
    assert rows_of(system_prompt="S", assistant_prefix_ratio=0.5) == []


def test_target_gt_is_the_reference_itself_or_what_is_given():
    (alone,) = rows_of({"references": ["6", "six"]}, include_target_gt=True)
    assert alone["extra_info"]["target_gt"] == ["6"]
    (given,) = rows_of({}, include_target_gt=True, target_gt=pa.array([["a", "b"]], pa.large_list(pa.large_string())))
    assert given["extra_info"]["target_gt"] == ["a", "b"]


def test_membership_is_said_in_membership_data_and_nowhere_else():
    (row,) = rows_of({}, pair="same_problem", member=1)
    assert (row["extra_info"]["member"], row["extra_info"]["pair"]) == (1, "same_problem")
    with pytest.raises(ValueError, match="belong together"):
        rows_of({}, member=1)


def test_settings_of_the_judge_are_in_rows_only_when_given_and_reach_the_judge():
    settings = {"temperature": 0.0, "prompt_template": "yes_no", "enable_thinking": True, "server_url": ["http://a:1"]}
    (row,) = rows_of({}, judge_settings=settings)
    sample = Sample.from_row(row["data_source"], "x", row["reward_model"]["ground_truth"], row["extra_info"])
    assert sample.overrides == settings
    assert sample.problem == "2+2?"


def test_settings_may_be_given_by_their_other_names():
    (row,) = rows_of({}, judge_settings={"model": "m"})
    assert row["extra_info"]["model_name"] == "m"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"judge_settings": {"timeout": 3}}, "a row cannot change it"),
        ({"judge_settings": {"temprature": 0}}, "temperature"),
        ({"judge_settings": {"temperature": "hot"}}, "temperature"),
        ({"judge_settings": {"votes": 3, "temperature": 0}}, "votes"),
        ({"judge_settings": {"temperature": None}}, "only text, numbers"),
        ({"judge_settings": {"api_key": "secret"}}, "LLM_JUDGE_API_KEY"),
        ({"prompt_template": "Solve this:"}, "{problem}"),
        ({"assistant_prefix_ratio": 1.5}, "1.5"),
        ({"layout": "trl"}, "trl"),
    ],
)
def test_options_that_are_of_no_use_are_refused_with_the_reason(options, said):
    with pytest.raises(ConfigError, match=said.replace("{", r"\{")) as error:
        RowOptions(SOURCE, **options)
    assert "secret" not in str(error.value)


def test_options_can_be_sent_to_another_process():
    options = RowOptions(SOURCE, judge_settings={"temperature": 0.0})
    assert pickle.loads(pickle.dumps(options)) == options
