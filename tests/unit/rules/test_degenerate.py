import json
import time
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_judge_remote.rules.degenerate import degenerate

DATA = Path(__file__).parents[4] / "shared" / "data"
SOLUTIONS = DATA / "gsm8k_model_solutions.jsonl"
MATH = DATA / "math500_test.jsonl"

# Zhao et al., "One Token to Fool LLM-as-a-Judge", table 1.
MASTER_KEYS = [
    " ",
    ".",
    ",",
    ":",
    "Thought process:",
    "Let's solve this problem step by step.",
    "Solution",
    "解",
    "かいせつ",
    "Respuesta",
]


@pytest.mark.parametrize("key", MASTER_KEYS)
@pytest.mark.parametrize("form", ["{}", "**{}**", "\n\n{}\n", "### {}:", "`{}`…", "{}\n\n---", "\u200b{}\ufeff"])
def test_the_papers_master_keys_are_degenerate_however_they_are_set(key, form):
    assert degenerate(form.format(key), ["18"])
    assert degenerate(form.format(key.upper()), ["18"])


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ("", "no letters or digits"),
        ("...", "no letters or digits"),
        ("`^|~", "no letters or digits"),
        ("$$", "no letters or digits"),
        ("-", "no letters or digits"),
        ("\x00\ud800\u200b", "no letters or digits"),
        ("\u0301", "no letters or digits"),
        ("\u3164\u2800", "no letters or digits"),
        ("." * 200_000, "no letters or digits"),
        ("Answer:", "an opener and nothing else"),
        ("Let’s think step by step", "an opener and nothing else"),
        ("Sure! Let's think step by step.\n\n**Final Answer:**", "an opener and nothing else"),
        ("ＳＯＬＵＴＩＯＮ：", "an opener and nothing else"),
        ("Re\u0301ponse :", "an opener and nothing else"),
        ("उत्तर:", "an opener and nothing else"),
        ("풀이 과정:", "an opener and nothing else"),
        ("The answer is \\boxed{}.", "an opener and nothing else"),
        ("<think>Okay, let me see.", "an opener and nothing else"),
        ("Solution" + "\n" * 5000, "an opener and nothing else"),
        ("<think>", "a thought opener and nothing else"),
        ("<think>\n\n</think>\n", "a thought opener and nothing else"),
        ("[THINK]", "a thought opener and nothing else"),
        ("◁think▷", "a thought opener and nothing else"),
        ("<|im_end|>", "control tokens and nothing else"),
        ("<|im_start|>assistant\n", "control tokens and nothing else"),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", "control tokens and nothing else"),
        ("<start_of_turn>model\n", "control tokens and nothing else"),
        ("<｜Assistant｜>", "control tokens and nothing else"),
        ("[/INST] </s>", "control tokens and nothing else"),
        ("\\boxed{}", "an empty box"),
        ("$\\boxed{\\text{ }}$", "an empty box"),
        ("<answer></answer>", "an empty box"),
        ("\\(\\)", "no letters or digits"),
        ("}{", "no letters or digits"),
        ("Solution: ()", "an opener and nothing else"),
    ],
)
def test_what_says_nothing_is_degenerate_and_the_reason_is_told(candidate, reason):
    assert degenerate(candidate, ["18"]) == reason


@pytest.mark.parametrize(
    "candidate",
    [
        "5",
        "x",
        "٣",
        "½",
        "\\pi",
        "∞",
        "<",
        "+",
        "≠",
        "**∞**",
        "Answer: ∞",
        "\\boxed{<}",
        "Answer: 5",
        "Yes",
        "The solution is clear",
        "Solution by induction",
        "解18",
        "<think>It is 18.",
        "<|im_end|>18",
        "\\boxed{0}",
        "Step 1",
        "€5",
        "👍",
        "{}",
        "[]",
        "`()`",
        "\\{\\}",
        "$\\{ \\}$",
        "[[]]",
        "\\boxed{\\{\\}}",
        "\\boxed{\\left\\{ \\right\\}}",
        "Answer: []",
        "<answer>{}</answer>",
        "Let's solve this problem step by step. First, 5 + 13 = 18.",
    ],
)
def test_what_says_something_is_sound(candidate):
    assert degenerate(candidate, ["18"]) == ""


@pytest.mark.parametrize(
    ("candidate", "reference"),
    [
        ("Solution", "solution"),
        ("**Solution.**", "Solution"),
        ("Respuesta", "It is the Spanish word for it.\n#### Respuesta"),
        ("The answer is Respuesta.", "\\boxed{Respuesta}"),
        ("\\boxed{;}", ";"),
        ("Answer: -", "-"),
        ("`|`", "|"),
        ("...", "..."),
        ("<|im_end|>", "<|im_end|>"),
        ("<think>", "<think>"),
        (":", "\\boxed{:}"),
        ("&&", "`&&` (logical and)"),
        ("**", "the power operator **"),
        ("?", "It prints ?"),
        ("Sure.", "Sure, I would love to."),
        ("Analysis", "analysis paralysis"),
        ("Response", "HTTP Response"),
        ("Of course!", "Certainly."),
        ("OK", "Okay"),
        ("Alright", "All right"),
    ],
)
def test_what_a_reference_says_is_sound(candidate, reference):
    assert degenerate(candidate, ["18", reference]) == ""
    assert degenerate(candidate, ["18"])


@pytest.mark.parametrize("key", MASTER_KEYS)
def test_that_a_reference_in_prose_has_it_somewhere_excuses_no_master_key(key):
    reference = f"{key}: The solution of x, we see, is this. Let's solve this problem step by step. So: x = 18."
    assert degenerate(key, [reference])


@given(st.one_of(st.text(), st.text(alphabet=" \n.:-<>|/\\{}$think boxedSolution解\u0301\ud800∞")), st.text())
@example("<|", "<|")
def test_any_text_is_looked_at_and_none_is_degenerate_that_is_the_reference(candidate, reference):
    assert isinstance(degenerate(candidate, [reference]), str)
    if candidate.strip():
        assert degenerate(candidate, [reference, candidate]) == ""


@given(st.text(alphabet="abc 123\n"), st.sampled_from(["Solution: ", "<think>", "Answer:\n", "**"]))
def test_an_opener_before_a_number_is_sound(text, opener):
    assert degenerate(f"{opener}{text} 18", ["x"]) == ""


WORDS = (
    "let's",
    "solve",
    "it",
    "The",
    "answer:",
    "is",
    "solution",
    "**",
    "<|im_end|>",
    "user",
    "<think>",
    "\\boxed{}",
    "解",
    "18",
)


@given(st.lists(st.sampled_from([*WORDS, "So", "we"]), max_size=12), st.sampled_from(["", "<", "'", "’"]))
def test_the_look_at_the_first_words_agrees_with_the_look_at_all(words, end):
    text = " ".join([*words, end])
    with patch("llm_judge_remote.rules.degenerate._surely_says_something", return_value=False):
        whole = degenerate(text, [])
    assert degenerate(text, []) == whole


HOSTILE = {
    "dots": "." * 200_000,
    "marks": "\u0301" * 200_000,
    "token openers": "<|" * 100_000,
    "tokens": "<|im_end|>" * 20_000,
    "tags": "<think " * 28_000,
    "openers": "solution " * 22_000,
    "openers behind dots": ". " * 100_000 + "solution " * 40,
    "every character": "".join(map(chr, range(0x20, 0xD800))),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_takes_no_more_than_a_moment(text):
    # Each takes less than 0.1 s.
    before = time.process_time()
    degenerate(text, ["18", text[:-1]])
    assert time.process_time() - before < 3


@pytest.mark.skipif(not SOLUTIONS.exists(), reason="the labelled solutions (../shared/data) are not here")
def test_no_real_solution_is_degenerate():
    for line in SOLUTIONS.read_text(encoding="utf-8").splitlines():
        for answer in json.loads(line).values():
            if isinstance(answer, dict):
                assert degenerate(answer["solution"], []) == ""


@pytest.mark.skipif(not MATH.exists(), reason="MATH-500 (../shared/data) is not here")
def test_no_real_bare_answer_is_degenerate():
    for line in MATH.read_text(encoding="utf-8").splitlines():
        assert degenerate(json.loads(line)["answer"], []) == ""
