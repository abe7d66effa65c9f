import json

import pytest

from llm_judge_remote.dataset.source import Columns, open_source
from llm_judge_remote.errors import DatasetError

USER = {"role": "user", "content": "p"}
SYSTEM = {"role": "system", "content": "be brief"}
ANSWER = {"role": "assistant", "content": "s"}
PROBLEMS = "problem, question, prompt, input, instruction"
SOLUTIONS = "solution, answer, ground_truth, reference, output, response"


def written(tmp_path, *rows):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def read(path, **options):
    return [item for batch in open_source([path], **options) for item in batch.to_pylist()]


def pair(path, **options):
    (item,) = read(path, **options)
    return item["problem"], item["references"]


def error(path, **options):
    with pytest.raises(DatasetError) as raised:
        read(path, **options)
    return str(raised.value)


@pytest.mark.parametrize("problem", ["problem", "question", "prompt", "input", "instruction", "Problem", "QUESTION"])
@pytest.mark.parametrize(
    "solution", ["solution", "answer", "ground_truth", "reference", "output", "response", "Answer"]
)
def test_usual_names_are_found(tmp_path, problem, solution):
    assert pair(written(tmp_path, {"id": 3, solution: "s", problem: "p"})) == ("p", ["s"])


def test_of_several_usual_names_the_more_telling_one_counts(tmp_path):
    row = {"answer": "4", "solution": "2+2 is 4", "prompt": "x", "problem": "2+2?", "Problem": "y"}
    assert pair(written(tmp_path, row)) == ("2+2?", ["2+2 is 4"])


def test_names_that_are_given_count_before_usual_ones(tmp_path):
    row = {"problem": "x", "solution": "y", "task": "p", "gold": "s", "messages": [USER]}
    path = written(tmp_path, row)
    assert pair(path, columns=Columns("task", ("gold", "solution"))) == ("p", ["s", "y"])
    assert read(path, columns=Columns("task", ("gold",)))[0]["messages"] is None


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (Columns("task"), "there is no column 'task', which --problem names"),
        (Columns(references=("a", "gold")), "there is no column 'gold', which --reference names"),
        (Columns(messages="chat"), "there is no column 'chat', which --messages names"),
        (Columns(), f"no column is a problem by its name ({PROBLEMS}); --problem names one"),
        (Columns("q"), f"no column is a solution by its name ({SOLUTIONS}); --reference names one"),
    ],
)
def test_a_column_that_is_not_there_is_an_error_that_lists_those_that_are(tmp_path, columns, said):
    path = written(tmp_path, {"q": "p", "a": "s"}, {"level": 3})
    assert error(path, columns=columns) == f"{path}: {said}; there are 'q', 'a', 'level'"


def test_an_instruction_with_an_input_is_not_guessed_at(tmp_path):
    path = written(tmp_path, {"instruction": "translate", "input": "hello", "output": "bonjour"})
    assert error(path) == (
        f"{path}: both 'instruction' and 'input' may be the problem, and often it is the two together: "
        "--problem names the one to take; there are 'instruction', 'input', 'output'"
    )
    assert pair(path, columns=Columns("instruction")) == ("translate", ["bonjour"])


def test_columns_are_looked_at_when_the_source_is_opened_in_every_file(tmp_path):
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DatasetError, match=r"b\.csv: no column is a problem .* there are 'x', 'y'"):
        open_source([written(tmp_path, {"problem": "p", "solution": "s"}), str(tmp_path / "b.csv")])


@pytest.mark.parametrize("name", ["messages", "conversations", "prompt", "problem"])
def test_of_a_chat_the_last_user_turn_is_the_problem(tmp_path, name):
    chat = [SYSTEM, {"role": "user", "content": "first"}, {"role": "assistant", "content": "yes"}, USER]
    (item,) = read(written(tmp_path, {name: chat, "solution": "s"}))
    assert item == {"problem": "p", "references": ["s"], "messages": chat, "source_index": 0}


def test_the_assistants_answer_at_the_end_is_no_part_of_the_prompt(tmp_path):
    (item,) = read(written(tmp_path, {"messages": [SYSTEM, USER, ANSWER], "solution": "t"}))
    assert (item["messages"], item["references"]) == ([SYSTEM, USER], ["t"])


def test_without_a_reference_column_the_assistants_answer_is_the_reference(tmp_path):
    early = {"role": "assistant", "content": "well"}
    rows = [{"messages": [USER, early, ANSWER]}, {"messages": [USER]}]
    assert pair(written(tmp_path, rows[0])) == ("p", ["s"])
    assert error(written(tmp_path, *rows)).endswith(
        "line 2: no reference: no other column is one, and column 'messages' does not end with the assistant "
        "(--skip-bad leaves such rows out)"
    )


def test_other_ways_of_writing_a_chat_are_understood(tmp_path):
    shared = [{"from": "system", "value": "be brief"}, {"from": "human", "value": "p"}, {"from": "gpt", "value": "s"}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "p"}, "q"]}, {"role": "assistant", "content": None}]
    (item,) = read(written(tmp_path, {"conversations": shared}))
    assert item == {"problem": "p", "references": ["s"], "messages": [SYSTEM, USER], "source_index": 0}
    assert pair(written(tmp_path, {"messages": parts, "answer": 4})) == ("p\nq", ["4"])
    assert pair(written(tmp_path, {"messages": json.dumps([USER, ANSWER])})) == ("p", ["s"])


def test_rows_with_and_without_a_chat_may_be_mixed(tmp_path):
    rows = [{"prompt": "p", "answer": "s"}, {"prompt": [USER], "answer": "s"}, {"messages": [USER], "answer": "s"}]
    found = read(written(tmp_path, *rows))
    assert [(item["problem"], item["messages"]) for item in found] == [("p", None), ("p", [USER]), ("p", [USER])]


def test_a_problem_that_is_asked_for_by_name_counts_beside_a_chat(tmp_path):
    row = {"task": "t", "messages": [SYSTEM, USER], "answer": "s"}
    path = written(tmp_path, row, {**row, "task": None})
    found = read(path, columns=Columns("task", messages="messages"))
    assert [item["problem"] for item in found] == ["t", "p"]
    assert [item["messages"] for item in found] == [[SYSTEM, USER]] * 2


@pytest.mark.parametrize(
    ("chat", "why"),
    [
        (3, "column 'messages' holds a number, not chat messages"),
        ("hello", "column 'messages' holds text, not chat messages"),
        (
            ["hello"],
            "column 'messages' holds a list that is no chat: each message is an object with `role` and `content`",
        ),
        (
            [{"content": "p"}],
            "column 'messages' holds a list that is no chat: each message is an object with `role` and ",
        ),
        ([{"role": "user", "content": {"x": 1}}], "column 'messages' holds an object, not text"),
        (
            [{"role": "user", "content": [{"type": "image"}]}],
            "column 'messages' holds a message with a part that is no",
        ),
        ([SYSTEM], "no problem: no user turn in column 'messages' has text"),
        ([{"role": "user", "content": " "}], "no problem: no user turn in column 'messages' has text"),
        ([], "no problem: no user turn in column 'messages' has text"),
    ],
)
def test_what_is_no_chat_is_a_bad_row(tmp_path, chat, why):
    path = written(tmp_path, {"messages": [USER], "answer": "s"}, {"messages": chat, "answer": "s"})
    assert f"line 2: {why}" in error(path)
    source = open_source([path], skip_bad=True)
    assert sum(batch.num_rows for batch in source) == 1
    assert source.skipped.count == 1
