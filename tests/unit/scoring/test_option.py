import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.scoring.option import find_option
from llm_judge_remote.scoring.verdict import NoVerdict, Verdict

YES_NO = {"Yes": 1.0, "No": 0.0}
GRADES = {"Correct": 1.0, "Partly correct": 0.5, "Incorrect": 0.0}
NONE = None

REPLIES = {
    # The bare word
    "as asked": ("Yes", 1.0),
    "the other": ("No", 0.0),
    "lower case": ("no", 0.0),
    "upper case": ("YES", 1.0),
    "full width": ("Ｙｅｓ", 1.0),
    "space around": (" \n\tYes \r\n", 1.0),
    "full stop": ("Yes.", 1.0),
    "exclamation mark": ("No!", 0.0),
    "bold": ("**Yes**", 1.0),
    "bold with a full stop": ("**No.**", 0.0),
    "underscores": ("_Yes_", 1.0),
    "heading": ("### Yes", 1.0),
    "in quotation marks": ('"Yes"', 1.0),
    "in curly quotation marks": ("“No”.", 0.0),
    "code": ("`Yes`", 1.0),
    "code fence": ("```\nYes\n```", 1.0),
    "in parentheses": ("(No)", 0.0),
    "in brackets": ("[Yes]", 1.0),
    "in angle brackets": ("<Yes>", 1.0),
    "in a tag": ("<answer>Yes</answer>", 1.0),
    "boxed": (r"\boxed{Yes}", 1.0),
    "boxed text": (r"$\boxed{\text{No}}$", 0.0),
    # Words behind
    "a reason": ("Yes, because both give 18.", 1.0),
    "a sentence": ("No. The candidate gives 17, the reference 18.", 0.0),
    "a colon": ("Yes: both give 18.", 1.0),
    "a semicolon": ("No; it gives 17.", 0.0),
    "bold and a reason": ("**No**, it gives 17.", 0.0),
    "a full stop in bold": ("**No.** It gives 17.", 0.0),
    "a reason below": ("Yes\nBoth give 18.", 1.0),
    "a reason further below": ("Yes.\n\nBoth give 18.\nNothing is missing.", 1.0),
    "the same word again": ("Yes, both give 18, so: yes.", 1.0),
    "the other word later": ("Yes, it says 18. Wait: no.", NONE),
    "the other word below": ("No\nAfter another look: Yes", NONE),
    "the other word in passing": ("Yes, there is no error.", NONE),
    "the other word inside a word": ("Yes, it notes the units and knows them.", 1.0),
    "the other word hyphenated": ("Yes, a no-brainer.", NONE),
    "both": ("Yes and no", NONE),
    "the instruction echoed": ("Yes or No", NONE),
    "with a slash": ("Yes/No", NONE),
    "the template echoed": ("<Yes or No>", NONE),
    "question": ("Yes?", NONE),
    "question and a reason": ("Yes? It seems so.", NONE),
    "condition": ("Yes, if units are left out.", NONE),
    "objection": ("Yes, but the units are missing.", NONE),
    "objection below": ("Yes.\nHowever, the units are missing.", NONE),
    "abbreviated number": ("No. 5 is right.", NONE),
    "abbreviated number in bold": ("**No.** 5 is right.", NONE),
    "number behind a colon": ("Yes: 18 is right.", 1.0),
    "another sense": ("No doubt it is right.", NONE),
    "no comma": ("Yes the candidate is right", NONE),
    "dash": ("Yes - both give 18", NONE),
    "colon without a blank": ("Yes:maybe", NONE),
    "quoted and reported": ('"Yes", says the candidate.', NONE),
    "quoted and reported below": ("`Yes`\nis what the candidate says.", NONE),
    "a longer word": ("Yesterday", NONE),
    "a longer word after an apostrophe": ("No's", NONE),
    "struck out": ("~~Yes~~", NONE),
    "quotation": ("> Yes", NONE),
    "words before": ("I say yes", NONE),
    "words before, and a reason": ("The answer is yes, because", NONE),
    "another word": ("Maybe", NONE),
    "a number": ("1", NONE),
    "empty": ("", NONE),
    "blank": (" \n ", NONE),
    "only signs": ("**.**", NONE),
    # With a head
    "reward": ("REWARD: Yes", 1.0),
    "verdict": ("Verdict: No", 0.0),
    "answer": ("Answer: yes.", 1.0),
    "final answer": ("Final answer: No", 0.0),
    "my final verdict": ("My final verdict: **Yes**", 1.0),
    "bold head": ("**Verdict:** Yes", 1.0),
    "bold head without colon": ("**Verdict**: No", 0.0),
    "heading as head": ("## Verdict: Yes", 1.0),
    "list item as head": ("- Verdict: Yes", 1.0),
    "full-width head": ("Ｖｅｒｄｉｃｔ：　Ｎｏ", 0.0),
    "after reasons": ("Both give 18, and no step is missing.\n\nVerdict: Yes", 1.0),
    "after reasons that begin with a word": ("No step is missing.\nVerdict: Yes", 1.0),
    "after windows line ends": ("Both give 18.\r\n\r\nVerdict: Yes\r\n", 1.0),
    "on the next line": ("**Verdict:**\n\nNo", 0.0),
    "with a reason on its line": ("Verdict: No, it gives 17.", NONE),
    "with a candidate's reason on its line": ("Well.\nAnswer: Yes, since 9 + 9 = 18.", NONE),
    "with a reason in front, unheaded": ("No. It gives 17.\nVerdict: No", 0.0),
    "with the other word on its line": ("Verdict: No, not yes.", NONE),
    "with words below": ("Verdict: Yes\nI am not sure.", NONE),
    "with a reason and words below": ("Verdict: Yes, it is.\nI am not sure.", NONE),
    "the last of two": ("Verdict: No\nOn reflection:\nVerdict: Yes", 1.0),
    "the last cannot be read": ("Verdict: Yes\nFinal answer: 42", NONE),
    "the last is empty": ("Verdict: Yes\nVerdict:", NONE),
    "the last echoes the instruction": ("Verdict: Yes\nREWARD: <Yes or No>", NONE),
    "further examples made up": ("Yes\n\nProblem: 2+2\nAnswer: No", NONE),
    "the same word first": ("Yes.\n\nVerdict: Yes", 1.0),
    "quotation of a head": ("> Verdict: Yes", NONE),
    "marked as the candidate's": ("(written by the candidate) Verdict: Yes", NONE),
    "mention of a head": ('"Verdict: Yes" is what the candidate wrote.', NONE),
    "mention of a head with a comma": ('"Verdict: Yes", wrote the candidate.', NONE),
    "mention of a head in a sentence": ("The candidate's last line is Verdict: Yes", NONE),
    "a head of another kind": ("Score: Yes", NONE),
    "a longer head": ("Answers: Yes", NONE),
    # JSON
    "json": ('{"REWARD": "Yes"}', 1.0),
    "json on lines": ('{\n  "REWARD": "No"\n}', 0.0),
    "json in a fence": ('```json\n{"verdict": "yes"}\n```', 1.0),
    "json with another field": ('{"REWARD": "Yes", "reason": "equal"}', NONE),
    "json with a boolean": ('{"REWARD": true}', NONE),
    # Thinking
    "after a thought": ("<think>No?</think>\nYes", 1.0),
    "after a thought opened in the prompt": ("No, wait.\n</think>\n\nYes", 1.0),
    "unfinished": ("<think>\nVerdict: Yes", NONE),
    "unfinished after a verdict": ("Yes\n<think>Wait,", NONE),
    "nothing after the thought": ("<think>Yes</think>", NONE),
}


@pytest.mark.parametrize(("reply", "expected"), REPLIES.values(), ids=REPLIES)
def test_a_reply_gives_exactly_the_option_that_it_states(reply, expected):
    verdict = find_option(reply, YES_NO)
    if expected is NONE:
        assert isinstance(verdict, NoVerdict)
        assert verdict.reason
    else:
        assert isinstance(verdict, Verdict)
        assert verdict.score == expected
        assert plain(reply[verdict.start : verdict.end]) == ("yes" if expected else "no")


def plain(text):
    return unicodedata.normalize("NFKC", text).casefold()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Correct", 1.0),
        ("partly  correct", 0.5),
        ("Partly correct, as the units are missing", 0.5),
        ("Partly correct.", 0.5),
        ("Incorrect: 17 is not 18.", 0.0),
        ("Correct, not incorrect.", NONE),
        ("Correct, well, partly correct.", NONE),
        ("Correctly done", NONE),
        ("Partly", NONE),
    ],
)
def test_the_longest_option_counts_and_no_other_may_follow(reply, expected):
    verdict = find_option(reply, GRADES)
    assert isinstance(verdict, NoVerdict) if expected is NONE else verdict.score == expected


def test_options_of_the_same_score_do_not_contradict_each_other():
    options = {"Yes": 1.0, "Correct": 1.0, "No": 0.0}
    assert find_option("Yes, it is correct.", options).score == 1.0


def test_options_that_differ_in_case_alone_cannot_be_told_apart():
    assert isinstance(find_option("yes", {"yes": 1.0, "YES": 0.0}), NoVerdict)
    assert find_option("yes", {"yes": 1.0, "YES": 1.0}).score == 1.0


@pytest.mark.parametrize("reply", ["1.5", "1. The candidate is wrong.", "1, 0", "1:10", "10", "1\nis its number"])
def test_an_option_of_digits_is_read_alone_or_not_at_all(reply):
    options = {"1": 1.0, "0": 0.0}
    assert isinstance(find_option(reply, options), NoVerdict)
    assert find_option("1.", options).score == 1.0
    assert find_option("REWARD: 0", options).score == 0.0


@pytest.mark.parametrize("options", [{}, {"": 1.0}, {"  ": 1.0}])
def test_without_options_there_is_no_verdict(options):
    assert isinstance(find_option("Yes", options), NoVerdict)


@pytest.mark.parametrize("reply", ["Yes", "Yes\n", "Verdict: Yes\n", "Yes, because"])
@pytest.mark.parametrize("thinking", [False, True])
def test_a_reply_that_was_cut_off_gives_no_verdict(reply, thinking):
    assert isinstance(find_option(reply, YES_NO, cut_off=True, thinking=thinking), NoVerdict)
    assert isinstance(find_option(reply, YES_NO, thinking=thinking), Verdict)


HOSTILE = {
    "stars": "*" * 1_000_000,
    "stars after": "Yes" + "*" * 1_000_000 + "x",
    "spaces after": "Yes," + " " * 1_000_000 + "x",
    "lines after": "Yes" + "\n" * 1_000_000 + "x",
    "backslashes before": "\\" * 1_000_000 + "Yes",
    "commands before": r"\text" * 200_000 + "Yes",
    "angles": "<" * 1_000_000,
    "half tags": "</b" * 300_000,
    "options": "Yes " * 250_000,
    "options behind a comma": "Yes, " * 200_000,
    "heads": "Verdict: " * 110_000,
    "head lines": "Verdict:\n" * 110_000,
    "labels": "my final " * 110_000 + "verdict: Yes",
    "spaces before a colon": "Verdict" + " " * 1_000_000,
    "short lines": ("ANSWE" * 8 + "\n") * 25_000,
    "thoughts": "<think>" * 150_000,
    "half an option": "partly " * 150_000,
    "spaces in an option": "partly" + " " * 1_000_000 + "correct",
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
def test_a_megabyte_of_hostile_text_is_read_in_linear_time(reply):
    # A quadratic expression would take minutes here, a linear one about a second.
    before = time.process_time()
    find_option(reply, YES_NO)
    find_option(reply, GRADES)
    assert time.process_time() - before < 20


WORDS = r"""Yes No yes NO Correct Verdict: REWARD: Answer: , . : ; * ` " ' ( ) [ < > { } ? / - but if \boxed{ <think> 1
</think> ： Ｙ ſ İ"""
PIECES = st.sampled_from([*WORDS.split(), " ", "\n", "\r", "\r\n", "\ud800", "\u2028"])
REPLY = st.one_of(st.text(), st.lists(PIECES, max_size=20).map("".join), st.lists(PIECES, max_size=12).map(" ".join))
OPTIONS = st.one_of(
    st.sampled_from([YES_NO, GRADES, {"1": 1.0, "0": 0.0}]),
    st.dictionaries(st.text(max_size=4), st.floats(0.0, 1.0), max_size=4),
)


@given(REPLY, OPTIONS, st.booleans(), st.booleans())
def test_any_text_gives_the_score_of_an_option_that_stands_in_it_or_none(reply, options, cut_off, thinking):
    verdict = find_option(reply, options, cut_off=cut_off, thinking=thinking)
    if isinstance(verdict, NoVerdict):
        assert verdict.reason.isprintable()
        return
    found = plain(" ".join(reply[verdict.start : verdict.end].split()))
    assert verdict.score in {score for name, score in options.items() if plain(" ".join(name.split())) == found}


@given(REPLY, st.sampled_from(["Yes", "No"]))
def test_what_stands_before_the_end_of_the_thought_never_changes_the_verdict(thought, word):
    reply = f"{thought}\n</think>\n{word}"
    assert find_option(reply, YES_NO) == Verdict(YES_NO[word], len(reply) - len(word), len(reply))


@given(REPLY, st.sampled_from(["Yes", "No"]))
def test_a_headed_last_line_is_the_verdict_whatever_stands_above_or_there_is_none(above, word):
    reply = f"{above}\nVerdict: {word}"
    verdict = find_option(reply, YES_NO)
    assert isinstance(verdict, NoVerdict) or verdict.score == YES_NO[word]
