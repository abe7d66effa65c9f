import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from item_source import plain

from llm_judge_remote.dataset.perturb import _is_closed, perturb, row_words
from llm_judge_remote.rules.answers import final_answer, marked_answers
from llm_judge_remote.rules.gate import rule_verdict
from llm_judge_remote.rules.quantities import canonical, quantity

DATA = Path(__file__).parents[4] / "shared" / "data"
WORD = st.integers(0, 2**64 - 1)
PIECES = [
    *("\\boxed{", "}", "{", "$", "\\frac{1}{2}", "#### ", "answer is ", "<answer>", "</answer>", "\n", " ", ".", ","),
    *(
        "18",
        "1,000",
        "0.5",
        "0",
        "3",
        "x",
        "^2",
        "_8",
        "(B)",
        "\\text{",
        "-",
        "=",
        "<<",
        ">>",
        "So ",
        "\\begin{a}",
        "é",
    ),
]
TEXT = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
BRACKETS = re.compile(
    r"\\\\|\\[{}$]|\$|[{}]|\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\left\b|\\right\b|\\\[|\\\]|<<|>>|\[/?asy\]"
)


def real(name, column):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the real solutions are not here: {path}")
    with path.open(encoding="utf-8") as lines:
        texts = [json.loads(line)[column] for line in lines]
    return [(text, perturb(text, word)) for text, word in zip(texts, row_words(len(texts), 3).tolist(), strict=True)]


def brackets(text):
    return Counter(BRACKETS.findall(text))


def is_balanced(text):
    depth = 0
    for sign in re.findall(r"\\[\\{}]|[{}]", text):
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return False
    return depth == 0


def test_every_real_gsm8k_solution_is_changed_and_wrong_by_rule():
    for text, changed in real("gsm8k_test.jsonl", "answer"):
        assert rule_verdict(changed, [text]) is False
        assert brackets(changed) == brackets(text)


def test_real_math_solutions_are_changed_and_wrong_wherever_a_rule_can_tell():
    pairs = real("math500_test.jsonl", "solution")
    done = [(text, changed) for text, changed in pairs if changed is not None]
    verdicts = Counter()
    for text, changed in done:
        verdict = rule_verdict(changed, [text])
        verdicts[verdict] += 1
        assert verdict is not True
        assert final_answer(changed) != final_answer(text)
        if quantity(canonical(final_answer(text))):
            assert verdict is False
        assert brackets(changed) == brackets(text)
        assert is_balanced(changed) or not is_balanced(text)
    assert len(done) == 491
    # The rest are matrices, numbers in other bases, unions, and the like, which no rule compares.
    assert verdicts[False] >= 410


@given(TEXT, WORD)
def test_whatever_is_changed_ends_in_another_answer_by_the_same_kind_of_mark(text, word):
    changed = perturb(text, word)
    if changed is not None:
        assert plain(changed) != plain(text)
        assert canonical(final_answer(changed, whole=True)) != canonical(final_answer(text, whole=True))
        nought = re.search(r"(?<![\d.])0", text)  # times anything is nought
        assert rule_verdict(changed, [text]) is not True or nought
        assert brackets(changed) == brackets(text)
        assert len(changed) == len(text)


@given(TEXT, WORD)
def test_the_same_number_makes_the_same_changes(text, word):
    assert perturb(text, word) == perturb(text, word)


def test_other_numbers_make_other_changes():
    text = "There are 12 of 40.\nOf these 7 go.\nThat makes 5.\n12 - 7 = 5\n#### 5"
    assert len({perturb(text, word) for word in row_words(50, 0).tolist()}) > 20


def test_rows_have_the_same_numbers_however_many_there_are():
    assert row_words(5, 1).tolist() == row_words(9, 1)[:5].tolist()
    assert row_words(5, 1).tolist() != row_words(5, 2).tolist()


@pytest.mark.parametrize(
    "text",
    [
        r"Half of 36 is $18$, so it is $\boxed{18}$. That is 18 cm.",
        "She has 9 * 2 = <<9*2=18>>18 eggs.\n#### 18",
        "The answer is 18. So 18 eggs.",
        "<answer> 18 </answer>",
        "18",
        r"First \boxed{18}. Then again, we see that it is \boxed{18}.",
    ],
)
def test_the_former_answer_is_nowhere_left(text):
    for word in row_words(20, 0).tolist():
        changed = perturb(text, word)
        assert "18" not in changed
        assert rule_verdict(changed, [text]) is False


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        (r"\boxed{\text{(B)}}", {rf"\text{{({letter})}}" for letter in "ACDE"}),
        ("The answer is C.", set("ABDE")),
        (r"\boxed{3x^2}", {f"{digit}x^2" for digit in "12456789"}),
        (r"\boxed{52_8}", None),
        (r"\boxed{\frac{1}{2}}", None),
        (r"\boxed{0}", set("123456789")),
    ],
)
def test_a_digit_or_the_letter_of_a_choice_is_another_one(text, answers):
    found = {final_answer(perturb(text, word)) for word in row_words(300, 0).tolist()}
    assert found == answers if answers else len(found) > 5
    assert final_answer(text) not in found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It is so.\nAnd so on.",
        r"\boxed{}",
        r"\boxed{\pi}",
        r"\boxed{\text{Evelyn}}",
        "#### Paris",
        r"\boxed{1} or \boxed{2}",
    ],
)
def test_where_no_answer_can_be_changed_nothing_is(text):
    assert perturb(text, 1) is None


def test_steps_change_places_only_before_the_last_two():
    text = "Alpha comes first.\nBeta comes next.\nGamma is third.\nSo we see\n#### 5"
    found = {perturb(text, word).splitlines()[0] for word in row_words(30, 0).tolist()}
    assert found == {"Alpha comes first.", "Beta comes next."}
    assert {tuple(perturb(text, word).splitlines()[3:4]) for word in row_words(30, 0).tolist()} == {("So we see",)}


def test_a_formula_of_several_lines_keeps_its_order():
    text = "\\begin{align*}\nx &= 2 \\\\\n\\end{align*}\nSo we see\n#### 5"
    for word in row_words(30, 0).tolist():
        assert [line[:4] for line in perturb(text, word).splitlines()[:3]] == ["\\beg", "x &=", "\\end"]


def test_all_marks_of_the_answer_stay_equal():
    text = r"So \boxed{12}." + "\nWe check it.\nIt holds.\nIt is fine.\n" + r"So it is \boxed{12}."
    for word in row_words(100, 0).tolist():
        assert len(set(marked_answers(perturb(text, word)).marked)) == 1


@pytest.mark.parametrize(
    ("step", "closed"),
    [
        ("$x$ and $$y$$", True),
        (r"\left\{ x \right. \\ \{", True),
        (r"\begin{a} x \end{a}", True),
        ("cost $5", False),
        (r"\begin{align*}", False),
        (r"} and {", False),
        (r"\[ x", False),
        ("$ { $ }", False),
        ("[asy] draw(1); [/asy]", True),
        ("[asy]", False),
    ],
)
def test_a_step_is_closed_if_all_that_begins_in_it_ends_there(step, closed):
    assert _is_closed(step) is closed
