import pytest

from llm_judge_remote.integrations.areal_rows import as_row, user_turn, without_end_tokens
from llm_judge_remote.sample import Sample


def sample(prompt="", completions="it is 4", **data):
    row = as_row(prompt, completions, data)
    return Sample.from_row(row["data_source"], row["solution_str"], row["ground_truth"], row["extra_info"])


@pytest.mark.parametrize(
    "data",
    [
        {"answer": "4"},
        {"solution": "4"},
        {"ground_truth": "4"},
        {"solutions": ["4"]},
        {"target": 4},
        {"reward_model": {"ground_truth": "4"}},
        {"answer": None, "ground_truth": "", "solutions": [], "label": "4"},
        {"answer": "4", "solution": "Add 2 and 2."},
        {"answer": "5", "target_gt": "4"},
        {"answer": "5", "extra_info": {"target_gt": "4"}},
    ],
)
def test_the_reference_is_found_in_many_columns(data):
    assert sample(**data).references == ("4",)


def test_several_references_are_all_kept():
    assert sample(answer=["4", "four"]).references == ("4", "four")


def test_a_row_without_a_reference_has_none():
    assert sample().references == ()


@pytest.mark.parametrize(
    "data",
    [
        {"problem": "2 + 2?", "messages": [{"role": "user", "content": "other"}]},
        {"question": "2 + 2?", "messages": [{"role": "user", "content": "other"}]},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "2 + 2?"}]},
        {"extra_info": {"question": "2 + 2?"}, "messages": [{"role": "user", "content": "other"}]},
        {},
        {"messages": None, "question": float("nan")},
    ],
)
def test_the_problem_is_in_a_column_or_in_the_prompt(data):
    assert sample("<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n", **data).problem == "2 + 2?"


@pytest.mark.parametrize(
    "prompt",
    [
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n<think>\n",
        "<|im_start|>user\nfirst<|im_end|>\n<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n2 + 2?<|eot_id|><|start_header_id|>assistant",
        "<bos><start_of_turn>user\n2 + 2?<end_of_turn>\n<start_of_turn>model\n",
        "<s>[INST] 2 + 2? [/INST]",
        "[gMASK]<sop><|user|>\n2 + 2?<|assistant|>\n",
        "<｜begin▁of▁sentence｜><｜User｜>2 + 2?<｜Assistant｜>",
        "<|endoftext|>2 + 2?",
        "2 + 2?",
    ],
)
def test_the_user_turn_is_taken_out_of_a_chat_template(prompt):
    assert user_turn(prompt) == "2 + 2?"


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("It is 4.<|im_end|>", "It is 4."),
        ("It is 4.<|im_end|>\n<|endoftext|>\n", "It is 4."),
        ("It is 4.</s>", "It is 4."),
        ("It is <|im_end|> 4.", "It is <|im_end|> 4."),
        ("It is 4.\n", "It is 4.\n"),
        ("<|im_end|>", ""),
        ("x" * 10_000 + "<|eot_id|>", "x" * 10_000),
        ("", ""),
    ],
)
def test_special_tokens_at_the_end_are_no_part_of_an_answer(completion, text):
    assert without_end_tokens(completion) == text


def test_a_column_that_is_called_like_a_setting_is_none_and_extra_info_may_hold_some():
    assert sample(answer="4", model="gpt", temperature=3, server_url="http://evil").overrides == {}
    assert sample(answer="4", extra_info={"temperature": 0.5}).overrides == {"temperature": 0.5}


def test_the_row_is_left_as_it_is():
    data = {"answer": "4", "extra_info": {"index": 1}, "question": "2 + 2?"}
    as_row("p", "c", data)
    assert data == {"answer": "4", "extra_info": {"index": 1}, "question": "2 + 2?"}


@pytest.mark.parametrize("completions", [None, 4, ["a", "b"], float("nan"), "\ud800"])
def test_a_strange_row_is_a_sample_all_the_same(completions):
    assert sample(7, completions, extra_info="text", messages=3, answer={"a": 1}).defect == ""
