from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.testing.logprobs import tokenize
from llm_judge_remote.testing.regex_text import some_match


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("probe-3fa9c1d2", "probe-3fa9c1d2"),
        ("probe-[0-9a-f]{8}", "probe-00000000"),
        (r"REWARD: (0(\.[0-9]{1,2})?|1(\.0{1,2})?)", "REWARD: 0"),
        ("^(?:Yes|No)$", "No"),
        ("(?i)Maybe", "Maybe"),
        ("x*", ""),
        ("(?:ab)+?c", "abc"),
        (r"(a|bc)\1(?P<n>d)(?P=n)", "aadd"),
        (r"[^\d\W]", "a"),
        (r"\S\s\D\W.", "0 a-0"),
        ("[^0-9a-zA-Z]", "-"),
        ("[À-Ö]é", "Àé"),
        ("a(?!b).", "a0"),
        (r"\ba\b", "a"),
    ],
)
def test_a_regular_expression_is_answered_with_something_short_that_matches(pattern, text):
    assert some_match(re.compile(pattern)) == text


@pytest.mark.parametrize("pattern", ["(?=a)b", "(a)?(?(1)b|c)(?<=b)", "a{20000}", "(?:a{999}){999}", r"a\Bb\b-\B\b"])
def test_what_it_cannot_answer_it_does_not(pattern):
    assert some_match(re.compile(pattern)) is None


@given(st.from_regex(r"[a-c\[\]()|*+?.{}0-3^$\\-]{1,12}", fullmatch=True))
def test_whatever_is_answered_matches(pattern):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # "[[" will mean something else one day
        try:
            regex = re.compile(pattern)
        except (re.error, OverflowError):
            return
        text = some_match(regex)
    assert text is None or regex.fullmatch(text)


@given(st.text())
def test_the_tokens_of_a_text_are_the_text(text):
    assert "".join(tokenize(text)) == text
