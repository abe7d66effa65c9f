import math
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.scoring.reward_line import NoVerdict, ScoreRange, Verdict, find_verdict, parse_verdict
from llm_judge_remote.scoring.thinking import strip_thinking

UNIT = ScoreRange()
TEN = ScoreRange(0, 10)
ONE_TO_FIVE = ScoreRange(1, 5)
NONE = None  # no verdict

REPLIES = {
    # The line
    "a label more": ("Final answer: REWARD: 0.9", 0.9),
    "another scale in brackets": ("REWARD: 1 (scale 1-5)", NONE),
    "another scale behind a dash": ("REWARD: 1 - scale of 1 to 5", NONE),
    "the meaning of the scores": ("REWARD: 1 = correct, 0 = incorrect", NONE),
    "the meaning in brackets": ("REWARD: 1 (correct) or 0 (incorrect)", NONE),
    "the meaning in words": ("REWARD: 1 means correct, 0 means incorrect", NONE),
    "as asked": ("REWARD: 0.85", 0.85),
    "zero": ("REWARD: 0", 0.0),
    "minus zero": ("REWARD: -0.0", 0.0),
    "one": ("REWARD: 1", 1.0),
    "no space": ("REWARD:0.85", 0.85),
    "many spaces": ("  REWARD  :\t 0.85  ", 0.85),
    "lower case": ("reward: 0.85", 0.85),
    "mixed case": ("Reward: 0.85", 0.85),
    "equals sign": ("REWARD = 0.85", 0.85),
    "walrus": ("REWARD := 0.85", 0.85),
    "full-width colon": ("REWARD：0.85", 0.85),
    "full-width everything": ("ＲＥＷＡＲＤ：０．８５", 0.85),
    "no-break space": ("REWARD:\u00a00.85", 0.85),
    "after reasons": ("The answer is 18, as in the reference.\n\nREWARD: 1.0", 1.0),
    "before reasons": ("REWARD: 0.4\nStep 2 uses 17 instead of 18.", 0.4),
    "windows line ends": ("Good.\r\nREWARD: 0.85\r\n", 0.85),
    "old mac line ends": ("Good.\rREWARD: 0.85\rBye.", 0.85),
    "score as a word": ("REWARD SCORE: 0.85", 0.85),
    "with the range": ("REWARD (0.0-1.0): 0.85", 0.85),
    "with the range in words": ("**REWARD [0 to 1]:** 0.85", 0.85),
    "with another range": ("REWARD: 0.85\nREWARD (0-10): 1", NONE),
    "with no range": ("REWARD: 0.85\nREWARD (1.2.3-4): 1", NONE),
    # Markdown and other decoration
    "bold word": ("**REWARD:** 0.85", 0.85),
    "bold word without colon": ("**REWARD**: 0.85", 0.85),
    "bold line": ("**REWARD: 0.85**", 0.85),
    "bold number": ("REWARD: **0.85**", 0.85),
    "underscores": ("__REWARD: 0.85__", 0.85),
    "single underscores": ("_REWARD_: _0.85_", 0.85),
    "code": ("`REWARD: 0.85`", 0.85),
    "code fence": ("```\nREWARD: 0.85\n```", 0.85),
    "heading": ("### REWARD: 0.85", 0.85),
    "list item": ("- REWARD: 0.85", 0.85),
    "numbered item": ("3. REWARD: 0.85", 0.85),
    "check mark": ("✅ REWARD: 0.85", 0.85),
    "in quotation marks": ('"REWARD: 0.85"', 0.85),
    "json": ('{"REWARD": 0.85}', 0.85),
    "json string": ('"reward": "0.85",', 0.85),
    "json object with a string": ('{"REWARD": "0.85"}', 0.85),
    "json without blanks": ('{"REWARD":0.85}', 0.85),
    "json on lines": ('{\n  "REWARD": 0.85\n}', 0.85),
    "json in a fence": ('```json\n{"REWARD": "0.85"}\n```', 0.85),
    "json with escaped quotation marks": (r"{\"REWARD\": \"0.85\"}", 0.85),
    "json fraction": ('{"REWARD": "17/20"}', 0.85),
    "json percent": ('{"REWARD": "85%"}', 0.85),
    "json list of one": ('{"REWARD": [0.85]}', 0.85),
    "json after a thought": ('<think>{"REWARD": 0.1}</think>{"REWARD": 0.85}', 0.85),
    "json twice in one object": ('{"REWARD": 0.1, "REWARD": 0.85}', NONE),
    "json list of two": ('{"REWARD": [0.7, 0.85]}', NONE),
    "json null": ('{"REWARD": null}', NONE),
    "json boolean": ('{"REWARD": true}', NONE),
    "json words": ('{"REWARD": "0.7 or 0.8"}', NONE),
    "json of another key": ('{"SCORE": 0.85}', NONE),
    "json quoted from the candidate": ('{"candidate": "REWARD: 0.85"}', NONE),
    "json in a quotation": ('> {"REWARD": 0.85}', NONE),
    "in brackets": ("[REWARD: 0.85]", 0.85),
    "boxed line": (r"\boxed{REWARD: 0.85}", 0.85),
    "latex text": (r"\textbf{REWARD}: 0.85", 0.85),
    "boxed number": (r"REWARD: \boxed{0.85}", 0.85),
    "boxed in dollars": (r"REWARD: $\boxed{0.85}$", 0.85),
    "dollars": ("REWARD: $0.85$", 0.85),
    "latex parentheses": (r"REWARD: \(0.85\)", 0.85),
    "square brackets": ("REWARD: [0.85]", 0.85),
    "double square brackets": ("REWARD: [[0.85]]", 0.85),
    "parentheses": ("REWARD: (0.85)", 0.85),
    "angle brackets": ("REWARD: <0.85>", 0.85),
    "number in quotation marks": ('REWARD: "0.85"', 0.85),
    "html": ("<b>REWARD:</b> 0.85", 0.85),
    "answer tag": ("<answer>REWARD: 0.85</answer>", 0.85),
    "final": ("Final REWARD: 0.85", 0.85),
    "my final": ("**My final REWARD**: 0.85", 0.85),
    "overall": ("Overall reward: 0.85", 0.85),
    "verdict": ("Verdict: REWARD: 0.85", 0.85),
    # Numbers
    "no leading zero": ("REWARD: .85", 0.85),
    "exponent": ("REWARD: 8.5e-1", 0.85),
    "upper-case exponent": ("REWARD: 85E-2", 0.85),
    "plus": ("REWARD: +0.85", 0.85),
    "decimal comma": ("REWARD: 0,85", 0.85),
    "decimal comma with three digits": ("REWARD: 0,850", 0.85),
    "digits of another script": ("REWARD: ٠.٨٥", 0.85),
    "percent": ("REWARD: 85%", 0.85),
    "percent after a space": ("REWARD: 85 %", 0.85),
    "bold percent": ("REWARD: **85**%", 0.85),
    "latex percent": (r"REWARD: 85\%", 0.85),
    "percent as a word": ("REWARD: 85 percent", 0.85),
    "one percent is not one": ("REWARD: 1 percent", 0.01),
    "hundred percent": ("REWARD: 100%", 1.0),
    "fraction": ("REWARD: 17/20", 0.85),
    "spaced fraction": ("REWARD: 17 / 20", 0.85),
    "fraction of one": ("REWARD: 0.85/1.0", 0.85),
    "half points": ("REWARD: 8.5/10", 0.85),
    "out of": ("REWARD: 17 out of 20", 0.85),
    "out of in parentheses": ("REWARD: 1 (out of 10)", 0.1),
    "points out of": ("REWARD: 17 points out of 20", 0.85),
    "bold numerator": ("REWARD: **17**/20", 0.85),
    "boxed numerator": (r"REWARD: \boxed{17}/20", 0.85),
    "html numerator": ("REWARD: <b>1</b>/20", 0.05),
    "tilde": ("REWARD: ~0.85", 0.85),
    "nearly": ("REWARD: ≈ 0.85", 0.85),
    "about": ("REWARD: about 0.85", 0.85),
    "a hair over": ("REWARD: 1.0005", 1.0),
    "a hair under": ("REWARD: -0.0005", 0.0),
    # Words behind
    "remark": ("REWARD: 0.85 (good match)", 0.85),
    "remark with a number": ("REWARD: 0.85 (17 of 20 steps are right)", 0.85),
    "same again in percent": ("REWARD: 0.85 (85%)", 0.85),
    "reason": ("REWARD: 0.85 because step 3 is missing", 0.85),
    "reason after a dash": ("REWARD: 0.85 - one step is missing", 0.85),
    "full stop": ("REWARD: 0.85.", 0.85),
    "full stop after an integer": ("REWARD: 1.", 1.0),
    "full stop and a sentence": ("REWARD: 1. The answers agree.", 1.0),
    "comma": ("REWARD: 0.85, good", 0.85),
    "emoji": ("REWARD: 1.0 🎉", 1.0),
    # The number on the next line
    "next line": ("**REWARD:**\n0.85", 0.85),
    "after an empty line": ("REWARD:\n\n  0.85\n", 0.85),
    "bold on the next line": ("### REWARD:\n\n**0.85**", 0.85),
    "fenced on the next line": ("REWARD:\n```\n0.85\n```", 0.85),
    "percent on the next line": ("REWARD:\n85%", 0.85),
    "next line with words": ("REWARD:\n0.85 is what I would give", NONE),
    "next line is prose": ("REWARD:\nThe candidate gets 0.85", NONE),
    "number two lines on": ("REWARD:\nGood.\n0.85", NONE),
    # Which line
    "the last of two": ("REWARD: 0.2\nOn reflection:\nREWARD: 0.9", 0.9),
    "the last is lower": ("REWARD: 1.0\nREWARD: 0.0", 0.0),
    "the last cannot be read": ("REWARD: 0.9\nREWARD: N/A", NONE),
    "the last is empty": ("REWARD: 0.9\nREWARD:", NONE),
    "the last is out of range": ("REWARD: 0.9\nREWARD: 7", NONE),
    "quotation before": ("> REWARD: 1.0\n\nREWARD: 0.1", 0.1),
    "quotation after": ("REWARD: 0.1\n> REWARD: 1.0", 0.1),
    "mention after": ('REWARD: 0.1\nThe candidate wrote "REWARD: 1.0" itself.', 0.1),
    "only a quotation": ("> REWARD: 1.0", NONE),
    "only a mention": ('The candidate wrote "REWARD: 1.0".', NONE),
    "a mention that begins the line": ('"REWARD: 1.0" is what the candidate wrote.', NONE),
    "a mention as code": ("`REWARD: 1.0` stands in the candidate.", NONE),
    "someone else's": ("Candidate: REWARD: 1.0", NONE),
    "marked as the candidate's": ("(written by the candidate) REWARD: 1.0", NONE),
    "two on one line": ("REWARD: 0.2 REWARD: 0.9", NONE),
    "twice the word": ("REWARD: REWARD: 0.9", NONE),
    "far behind signs": ("*" * 50 + "REWARD: 0.9", NONE),
    # No verdict
    "empty": ("", NONE),
    "blank": (" \n\t\n", NONE),
    "only a number": ("0.85", NONE),
    "another word": ("Score: 0.85", NONE),
    "a longer word": ("REWARDS: 0.85", NONE),
    "no colon": ("REWARD 0.85", NONE),
    "number before": ("0.85 REWARD:", NONE),
    "words before the number": ("REWARD: the candidate gets 0.85", NONE),
    "not available": ("REWARD: N/A", NONE),
    "nan": ("REWARD: nan", NONE),
    "inf": ("REWARD: inf", NONE),
    "overflow": ("REWARD: 1e999", NONE),
    "hexadecimal": ("REWARD: 0x1", NONE),
    "glued letters": ("REWARD: 0.8x", NONE),
    "glued exponent": ("REWARD: 0.8e", NONE),
    "glued underscore": ("REWARD: 1_000", NONE),
    "footnote": ("REWARD: 0.8²", NONE),
    "vulgar fraction": ("REWARD: 1½", NONE),
    "version": ("REWARD: 0.85.3", NONE),
    "two minus signs": ("REWARD: --0.5", NONE),
    "dash": ("REWARD: - 0.5", NONE),
    "thousands": ("REWARD: 1,000", NONE),
    "millions": ("REWARD: 1,000,000", NONE),
    "leading comma": ("REWARD: ,85", NONE),
    "fifty digits": ("REWARD: 0." + "8" * 50, NONE),
    "struck out": ("REWARD: ~~0.85~~", NONE),
    "question": ("REWARD: 1?", NONE),
    "per mille": ("REWARD: 1 ‰", NONE),
    "a number word": ("REWARD: one", NONE),
    # Two ways to read it
    "range": ("REWARD: 0.7-0.8", NONE),
    "range with an en dash": ("REWARD: 0.7–0.8", NONE),
    "range in words": ("REWARD: 0.7 to 0.8", NONE),
    "between": ("REWARD: between 0.7 and 0.8", NONE),
    "alternative": ("REWARD: 0.7 or 0.8", NONE),
    "list": ("REWARD: 0.7, 0.8", NONE),
    "list in brackets": ("REWARD: [0.7, 0.8]", NONE),
    "two numbers": ("REWARD: 0.7 0.8", NONE),
    "two scores as a fraction": ("REWARD: 0.7/0.8", NONE),
    "revision": ("REWARD: 0.7 → 0.8", NONE),
    "sum": ("REWARD: 0.5 + 0.3 = 0.8", NONE),
    "product": ("REWARD: 1 x 0.5", NONE),
    "uncertainty": ("REWARD: 0.8 ± 0.1", NONE),
    "at least": ("REWARD: >= 0.8", NONE),
    "less than": ("REWARD: <0.8", NONE),
    "broken decimal": ("REWARD: 0. 85", NONE),
    "date": ("REWARD: 1/2/2024", NONE),
    "fraction of nothing": ("REWARD: 17/0", NONE),
    "fraction of a letter": ("REWARD: 1/N", NONE),
    "out of a word": ("REWARD: 1 out of ten", NONE),
    "ratio": ("REWARD: 1:10", NONE),
    "in ten": ("REWARD: 1 in 10", NONE),
    "another scale": ("REWARD: 1 on a scale of 0 to 10", NONE),
    "condition": ("REWARD: 1 if the answer is right", NONE),
    "alternative by condition": ("REWARD: 1 for correct, 0 for incorrect", NONE),
    "arithmetic percent": ("REWARD: 17/20%", NONE),
    # The instruction echoed
    "echo of a name": ("REWARD: <number>", NONE),
    "echo of a range": ("REWARD: <0.0-1.0>", NONE),
    "echo of a short range": ("REWARD: [0-1]", NONE),
    "echo of an alternative": ("REWARD: <1 or 0>", NONE),
    "echo in words": ("REWARD: <number from 0.0 to 1.0>", NONE),
    "echo and a number": ("REWARD: <number> 0.85", NONE),
    # Outside the range
    "above": ("REWARD: 7", NONE),
    "just above": ("REWARD: 1.01", NONE),
    "below": ("REWARD: -0.5", NONE),
    "unicode minus": ("REWARD: −0.5", NONE),
    "above in percent": ("REWARD: 150%", NONE),
    "above as a fraction": ("REWARD: 21/20", NONE),
    "huge": ("REWARD: 1e308", NONE),
    # Thinking
    "after a thought": ("<think>REWARD: 0.1</think>\nREWARD: 0.85", 0.85),
    "after a thought opened in the prompt": ("REWARD: 0.1 at first sight\n</think>\n\nREWARD: 0.85", 0.85),
    "on the closing line": ("Hm.</think>REWARD: 0.85", 0.85),
    "after an empty thought": ("<think>\n\n</think>\n\nREWARD: 0.85", 0.85),
    "after two thoughts": ("<think>a</think>REWARD: 0.1<think>b</think>\nREWARD: 0.85", 0.85),
    "in capitals": ("<THINKING>\nREWARD: 0.1\n</THINKING>\nREWARD: 0.85", 0.85),
    "with attributes": ('<reasoning lang="en">x</reasoning >\nREWARD: 0.85', 0.85),
    "mistral": ("[THINK]REWARD: 0.1[/THINK]REWARD: 0.85", 0.85),
    "kimi": ("◁think▷REWARD: 0.1◁/think▷REWARD: 0.85", 0.85),
    "a broken tag is none": ("The candidate opens < think> and stops.\nREWARD: 0.85", 0.85),
    "unfinished": ("<think>I would say\nREWARD: 0.85", NONE),
    "unfinished after a verdict": ("REWARD: 0.85\n<think>Wait,", NONE),
    "nothing after the thought": ("<think>\nREWARD: 0.85\n</think>", NONE),
}


@pytest.mark.parametrize(("reply", "expected"), REPLIES.values(), ids=REPLIES)
def test_a_reply_gives_exactly_the_score_that_it_states(reply, expected):
    verdict = parse_verdict(reply, UNIT)
    if expected is NONE:
        assert isinstance(verdict, NoVerdict)
        assert verdict.reason
    else:
        assert verdict == pytest.approx(expected, abs=1e-12)
        assert type(verdict) is float


@pytest.mark.parametrize(
    ("reply", "score_range", "expected"),
    [
        ("REWARD: 8.5", TEN, 0.85),
        ("REWARD: 8.5/10", TEN, 0.85),
        ("REWARD: 17/20", TEN, 0.85),
        ("REWARD: 85%", TEN, 0.85),
        ("REWARD: 10.005", TEN, 1.0),
        ("REWARD: 10.5", TEN, NONE),
        ("REWARD: 1", ONE_TO_FIVE, 0.0),
        ("REWARD: 3", ONE_TO_FIVE, 0.5),
        ("REWARD: 3/5", ONE_TO_FIVE, 0.5),
        ("REWARD: 3 out of 5", ONE_TO_FIVE, 0.5),
        ("REWARD: 3/10", ONE_TO_FIVE, 0.3),
        ("REWARD: 50%", ONE_TO_FIVE, 0.5),
        ("REWARD: 0", ONE_TO_FIVE, NONE),
        ("REWARD: -1", ScoreRange(-1, 1), 0.0),
        ("REWARD: -0.5", ScoreRange(-1, 1), 0.25),
        ("REWARD: 85", ScoreRange(0, 100), 0.85),
        ("REWARD: 85/100", ScoreRange(0, 100), 0.85),
    ],
)
def test_a_score_is_its_place_in_the_range_and_percent_and_fractions_are_shares_of_it(reply, score_range, expected):
    verdict = parse_verdict(reply, score_range)
    assert isinstance(verdict, NoVerdict) if expected is NONE else verdict == pytest.approx(expected)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("REWARD: 0.8", NONE),
        ("REWARD: 0.", NONE),
        ("REWARD: 1", NONE),
        ("REWARD: 1 ", NONE),
        ("REWARD: 1 out", NONE),
        ("REWARD: **0.8", NONE),
        ("REWARD:\n0.8", NONE),
        ("REWARD:", NONE),
        ("REWARD: 0.3\nREWARD: 0.8", NONE),
        ("REWARD: 0.8\n", 0.8),
        ("REWARD: 0.8\nThe candidate", 0.8),
        ("REWARD: 0.8 because the candidate finds the right answer by", 0.8),
    ],
)
def test_a_cut_off_reply_gives_only_a_score_that_more_text_could_not_have_changed(reply, expected):
    verdict = parse_verdict(reply, UNIT, cut_off=True)
    assert isinstance(verdict, NoVerdict) if expected is NONE else verdict == expected


@pytest.mark.parametrize(
    ("cut_off", "thinking", "expected"),
    [(False, False, 0.8), (False, True, 0.8), (True, False, 0.8), (True, True, NONE)],
)
def test_a_thinking_judge_that_was_cut_off_before_it_closed_its_thought_gave_no_verdict(cut_off, thinking, expected):
    verdict = parse_verdict("I lean to\nREWARD: 0.8\nbut wait, the", UNIT, cut_off=cut_off, thinking=thinking)
    assert verdict == (NoVerdict("unfinished thought") if expected is NONE else expected)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("0.85", "no REWARD: line"),
        ("<think>0.85", "unfinished thought"),
        ("REWARD: \n\n", "nothing after REWARD:"),
        ("REWARD: N/A", "not a number: 'N/A'"),
        ("REWARD: 0.7 or 0.8", "not one clear number: '0.7 or 0.8'"),
        ("REWARD: 7, sorry", "outside 0..1: '7'"),
        ("REWARD: 21/20", "outside 0..1: '21/20'"),
    ],
)
def test_no_verdict_says_why(reply, reason):
    assert parse_verdict(reply, UNIT) == NoVerdict(reason)


def test_a_reason_stays_short_and_printable_whatever_the_reply_holds():
    verdict = parse_verdict("REWARD: \ud800\x00" + "x" * 100_000, UNIT)
    assert isinstance(verdict, NoVerdict)
    assert len(verdict.reason) < 80
    assert verdict.reason.isprintable()


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("plain", False, "plain"),
        ("plain", True, None),
        ("a</think>b", False, "b"),
        ("a</think>b", True, "b"),
        ("<think>a</think>b", True, "b"),
        ("<think>a<think>b</think>c", False, "c"),
        ("a</think>b</think>c", False, "c"),
        ("a</think>b<think>c", False, None),
        ("<think/>a", False, "<think/>a"),
        ("<thinker>a", False, "<thinker>a"),
        ("", False, ""),
    ],
)
def test_what_counts_is_the_text_after_the_last_thought(text, opened, expected):
    assert strip_thinking(text, opened=opened) == expected


@pytest.mark.parametrize(
    ("low", "high"), [(1, 0), (0, 0), (0, math.inf), (-math.inf, 0), (math.nan, 1), (-1e308, 1e308), (5e-324, 5e-324)]
)
def test_a_range_without_an_inside_is_refused(low, high):
    with pytest.raises(ValueError, match="two finite numbers"):
        ScoreRange(low, high)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.0011, -0.0011])
def test_a_value_that_is_not_in_the_range_has_no_place_in_it(value):
    assert UNIT.normalise(value) is None


HOSTILE = {
    "stars": "*" * 100_000,
    "stars after a verdict": "REWARD: 0.8" + "*" * 100_000,
    "backslashes after a verdict": "REWARD: 0.8" + "\\" * 100_000,
    "commands after a verdict": "REWARD: 0.8" + "\\a" * 50_000,
    "spaces after a verdict": "REWARD: 0.8" + " " * 100_000 + "x",
    "brackets after a verdict": "REWARD: 0.8" + "( " * 50_000,
    "tags after a verdict": "REWARD: 0.8" + "<b>" * 30_000,
    "half tags after a verdict": "REWARD: 0.8" + "</b" * 30_000,
    "conditions after a verdict": "REWARD: 0.8 for " + "1 " * 50_000,
    "verdicts": "REWARD:" * 15_000,
    "verdict lines": "REWARD:\n" * 12_500,
    "verdict words": "REWARD " * 15_000,
    "spaces before the colon": "REWARD" + " " * 100_000,
    "stars before the number": "REWARD: " + "*" * 100_000 + "x",
    "angles before the number": "REWARD: " + "<" * 100_000 + "0.8",
    "labels": "final " * 17_000 + "REWARD: 1",
    "digits": "REWARD: " + "9" * 100_000,
    "digit pairs": "REWARD: " + "9." * 50_000,
    "empty lines": "REWARD:" + "\n" * 100_000,
    "starred lines": "REWARD:" + "*\n" * 50_000 + "x",
    "short lines": ("REWAR" * 8 + "\n") * 2_500,
    "thoughts": "<think>" * 15_000,
    "half thoughts": "<think " * 15_000,
    "angles": "<" * 100_000,
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
def test_a_hundred_kilobytes_of_hostile_text_are_read_in_linear_time(reply):
    # A quadratic expression would take minutes here, a linear one takes about a second at most.
    before = time.process_time()
    verdict = parse_verdict(reply, UNIT)
    assert time.process_time() - before < 10
    assert isinstance(verdict, NoVerdict) or verdict == 0.8


WORDS = r"""REWARD : = * ` " ( ) [ < > / % . , - + e x 0 1 0.5 10 of or final out \boxed{ } <think> </think> <b> ： ²"""
PIECES = st.sampled_from([*WORDS.split(), " ", "\n", "\r", "\ud800"])
REPLY = st.one_of(
    st.text(),
    st.lists(PIECES, max_size=30).map("".join),
    st.lists(PIECES, max_size=12).map(lambda pieces: "REWARD: " + "".join(pieces)),
)
RANGES = st.sampled_from([UNIT, TEN, ONE_TO_FIVE, ScoreRange(-1, 1)])


@given(REPLY, RANGES, st.booleans(), st.booleans())
def test_any_text_gives_a_score_between_0_and_1_or_none(reply, score_range, cut_off, thinking):
    verdict = parse_verdict(reply, score_range, cut_off=cut_off, thinking=thinking)
    assert isinstance(verdict, NoVerdict) or (type(verdict) is float and 0.0 <= verdict <= 1.0)


@pytest.mark.parametrize(
    ("reply", "score_range", "text"),
    [
        ("REWARD: 0.85", UNIT, "0.85"),
        ("REWARD: 0.1\nOn reflection:\nREWARD: **0.10**, sorry", UNIT, "0.10"),
        ("<think>REWARD: 0.85</think>\r\n\r\n**REWARD:**\r\n\r\n 0.85\r\n", UNIT, "0.85"),
        ("Good.\rREWARD: +.85\rBye.", UNIT, "+.85"),
        ("ＲＥＷＡＲＤ：０．８５", UNIT, "０．８５"),
        ('{"REWARD": "0.85"}', UNIT, "0.85"),
        ("REWARD: **17**/20.", UNIT, "17**/20"),
        ("REWARD: 85 %, good", UNIT, "85 %"),
        ("REWARD: 8/10", TEN, "8"),
        ("REWARD: 8/20", TEN, "8/20"),
        ("REWARD: 85%", ScoreRange(0, 100), "85"),
    ],
)
def test_the_place_of_a_verdict_is_that_of_its_number_in_the_reply_as_it_was_given(reply, score_range, text):
    verdict = find_verdict(reply, score_range)
    assert isinstance(verdict, Verdict)
    assert reply[verdict.start : verdict.end] == text
    assert (verdict.start, verdict.end) == (reply.rindex(text), reply.rindex(text) + len(text))


@given(REPLY, RANGES, st.booleans(), st.booleans())
def test_the_number_at_the_place_of_a_verdict_gives_its_score(reply, score_range, cut_off, thinking):
    verdict = find_verdict(reply, score_range, cut_off=cut_off, thinking=thinking)
    if isinstance(verdict, NoVerdict):
        return
    number = reply[verdict.start : verdict.end]
    assert unicodedata.normalize("NFKC", number).strip() == unicodedata.normalize("NFKC", number)
    assert parse_verdict(f"REWARD: {number}", score_range) == verdict.score


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["\n", "\r", "\r\n"]), st.integers(0, 100))
def test_the_kind_of_line_end_changes_neither_the_score_nor_the_number(tail, line_end, hundredths):
    lines = ["Good.", f"REWARD: {hundredths / 100}{tail.replace(chr(13), chr(10))}", "Bye."]
    one, other = "\n".join(lines), line_end.join("\n".join(lines).split("\n"))
    first, second = find_verdict(one, UNIT), find_verdict(other, UNIT)
    if isinstance(first, NoVerdict):
        assert isinstance(second, NoVerdict)
    else:
        assert second.score == first.score
        assert other[second.start : second.end].split() == one[first.start : first.end].split()


@given(REPLY)
def test_a_score_needs_a_digit_and_the_word_in_the_reply(reply):
    if not isinstance(parse_verdict(reply, UNIT), NoVerdict):
        assert any(character.isdecimal() for character in reply)
        assert "reward" in reply.casefold() or "ｒｅｗａｒｄ" in reply.casefold()


@given(REPLY, st.integers(0, 100))
def test_what_stands_before_the_last_verdict_line_never_changes_the_score(before, hundredths):
    reply = f"{before}\n</think>\nREWARD: {hundredths / 100}"
    assert parse_verdict(reply, UNIT) == hundredths / 100


LETTERS = [
    (letter, letter.upper(), chr(ord(letter) + 0xFEE0), chr(ord(letter.upper()) + 0xFEE0)) for letter in "reward"
]


@given(
    st.tuples(*map(st.sampled_from, LETTERS)),
    st.sampled_from(["", "x = 3\n", "a reward\r\n", "İ is not I\r", "中文\n"]),
)
def test_a_verdict_is_read_in_letters_of_any_case_and_width(letters, above):
    assert parse_verdict(f"{above}{''.join(letters)}: 0.5", UNIT) == 0.5


@given(st.lists(PIECES, max_size=12).map("".join), RANGES)
def test_cutting_a_reply_off_never_gives_another_score_than_the_whole_reply(tail, score_range):
    line = f"REWARD: {tail}".split("\n")[0].split("\r")[0]
    whole = parse_verdict(line + "\n", score_range)
    for end in range(len(line)):
        part = parse_verdict(line[:end], score_range, cut_off=True)
        assert isinstance(part, NoVerdict) or part == whole


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), RANGES)
def test_a_number_is_read_as_python_writes_it(value, score_range):
    expected = score_range.normalise(value)
    verdict = parse_verdict(f"REWARD: {value!r}", score_range)
    assert isinstance(verdict, NoVerdict) if expected is None else verdict == expected
