import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.scoring.expected import Expected, Token, expected_first, expected_score, place_in_tokens
from llm_judge_remote.scoring.option import find_option
from llm_judge_remote.scoring.reward_line import ScoreRange, find_verdict
from llm_judge_remote.scoring.scale import Options, number_options
from llm_judge_remote.scoring.verdict import NoVerdict

YES_NO = {"Yes": 1.0, "No": 0.0}
DIGITS = number_options(0, 9, "[0-9]")
UNIT = number_options(0, 1, r"0(\.[0-9]{1,2})?|1(\.0{1,2})?")
ONE_TO_TEN = number_options(1, 10, "[1-9]|10")
HEAD = (Token("RE", -0.1), Token("WARD", 0.0), Token(":", 0.0))


def step(probabilities, text=None):
    """A token of a distribution, the sampled one listed as well; by default the most probable."""
    text = max(probabilities, key=probabilities.get) if text is None else text
    listed = tuple((other, math.log(p)) for other, p in probabilities.items())
    return Token(text, math.log(probabilities[text]), listed)


def judged(tokens, verdict, options):
    """The expected score, the verdict being the last place in the joined texts where it stands."""
    start = "".join(each.text for each in tokens).rindex(verdict)
    return expected_score(tokens, start, start + len(verdict), options)


def near(score, mass):
    return Expected(pytest.approx(score, abs=1e-9), pytest.approx(mass, abs=1e-9))


# Words


def test_of_yes_and_no_the_score_is_the_share_of_yes():
    tokens = [step({"Yes": 0.6, "No": 0.3, "The": 0.1})]
    assert judged(tokens, "Yes", YES_NO) == near(0.6 / 0.9, 0.9)


def test_it_does_not_matter_which_of_the_options_was_drawn():
    probabilities = {"Yes": 0.6, "No": 0.3, "The": 0.1}
    assert judged([step(probabilities, "No")], "No", YES_NO) == near(0.6 / 0.9, 0.9)


def test_ways_to_write_an_option_add_up():
    tokens = [step({" Yes": 0.3, "Yes": 0.1, "YES": 0.1, " yes": 0.1, " No": 0.2, "no": 0.1})]
    assert judged(tokens, "Yes", YES_NO) == near(0.6 / 0.9, 0.9)


def test_the_token_that_was_drawn_counts_once_whether_it_is_listed_or_not():
    listed = Token("Yes", math.log(0.7), (("Yes", math.log(0.7)), ("No", math.log(0.3))))
    unlisted = Token("Yes", math.log(0.7), (("No", math.log(0.3)),))
    twice = Token("Yes", math.log(0.7), (("No", math.log(0.3)), ("Yes", math.log(0.7)), ("No", math.log(0.3))))
    for each in (listed, unlisted, twice):
        assert judged([each], "Yes", YES_NO) == near(0.7, 1.0)


def test_the_beginning_of_a_word_counts_from_its_second_letter():
    tokens = [step({"Yes": 0.5, "N": 0.2, "Ye": 0.1, "Nope": 0.1, "Now": 0.05})]
    assert judged(tokens, "Yes", YES_NO) == near(1.0, 0.6)


def test_a_word_in_pieces_is_followed_to_its_end():
    tokens = [step({"Y": 0.8, "No": 0.2}), step({"es": 0.9, "ep": 0.1})]
    assert judged(tokens, "Yes", YES_NO) == near(0.8 * 0.9 / (0.8 * 0.9 + 0.2), 0.8 * 0.9 + 0.2)


def test_a_word_with_its_punctuation_in_one_token_is_the_word():
    assert judged([step({"Yes.": 0.6, "No.": 0.3, "No,": 0.1})], "Yes", YES_NO) == near(0.6, 1.0)


def test_what_follows_a_word_that_no_option_continues_is_not_looked_at():
    tokens = [step({"Yes": 0.6, "No": 0.4}), step({",": 0.2, "terday": 0.1})]
    assert judged(tokens, "Yes", YES_NO) == near(0.6, 1.0)


# Numbers


def test_of_single_digits_the_score_is_the_mean_as_defined():
    probabilities = {" 7": 0.5, " 8": 0.3, " 3": 0.15, " x": 0.05}
    tokens = [*HEAD, step(probabilities)]
    mean = (0.5 * 7 + 0.3 * 8 + 0.15 * 3) / 0.95 / 9
    assert judged(tokens, "7", DIGITS) == near(mean, 0.95)


@pytest.mark.parametrize("head", ["", " ", ": ", ":", ' "', "**"])
def test_the_first_token_may_bring_a_part_of_the_head(head):
    tokens = [Token("REWARD", 0.0), step({head + "7": 0.6, head + "3": 0.4})]
    assert judged(tokens, "7", DIGITS) == near((0.6 * 7 + 0.4 * 3) / 9, 1.0)


def test_an_alternative_without_the_head_that_the_token_brings_is_no_verdict():
    tokens = [Token("REWARD", 0.0), step({": 7": 0.6, ":": 0.2, " 3": 0.1, ":3": 0.1})]
    assert judged(tokens, "7", DIGITS) == near((0.6 * 7 + 0.1 * 3) / 0.7 / 9, 0.7)


def test_a_decimal_in_one_token_is_read_as_it_stands():
    tokens = [*HEAD, step({" 0.85": 0.5, " 0.9": 0.3, " 1.0": 0.2})]
    nines = (0.9 + sum(range(90, 100)) / 100) / 11
    assert judged(tokens, "0.85", UNIT) == near(0.5 * 0.85 + 0.3 * nines + 0.2, 1.0)


def test_a_decimal_in_digits_is_followed_to_its_end():
    tokens = [
        *HEAD,
        Token(" ", 0.0),
        step({"0": 0.8, "1": 0.2}),
        step({".": 0.9, "<|im_end|>": 0.1}),
        step({"8": 0.7, "2": 0.3}),
        step({"5": 0.6, "<|im_end|>": 0.3, "7": 0.1}),
        step({"<|im_end|>": 1.0}),
    ]
    twos = (0.2 + sum(range(20, 30)) / 100) / 11
    path = 0.8 * 0.9
    total = 0.2 * 1 + 0.8 * 0.1 * 0 + path * 0.3 * twos + path * 0.7 * (0.6 * 0.85 + 0.3 * 0.8 + 0.1 * 0.87)
    assert judged(tokens, "0.85", UNIT) == near(total, 1.0)


def test_a_beginning_that_may_become_anything_stays_outside():
    tokens = [*HEAD, step({" 1": 0.7, " 0": 0.3}), step({"<|im_end|>": 1.0})]
    assert judged(tokens, "1", UNIT) == near(1.0, 0.7)


@pytest.mark.parametrize("end", ["<|im_end|>", "", "\n", " (", '"}'])
def test_behind_1_of_1_to_10_the_next_token_decides(end):
    tokens = [*HEAD, step({" 1": 0.5, " 7": 0.5}), step({end: 0.6, "0": 0.3, ".": 0.1})]
    total = 0.5 * 6 / 9 + 0.5 * (0.6 * 0 + 0.3 * 1)
    mass = 0.5 + 0.5 * 0.9
    assert judged(tokens, "1", ONE_TO_TEN) == near(total / mass, mass)


def test_10_in_two_tokens_takes_part_of_its_mass_from_1():
    tokens = [*HEAD, step({" 1": 0.5, " 7": 0.5}), step({"0": 0.3, "<|im_end|>": 0.7}, "0"), step({"": 1.0})]
    total = 0.5 * 6 / 9 + 0.5 * (0.7 * 0 + 0.3 * 1)
    assert judged(tokens, "10", ONE_TO_TEN) == near(total, 1.0)


def test_10_in_one_token_is_not_1():
    tokens = [*HEAD, step({"10": 0.8, "9": 0.2}), step({"": 1.0})]
    assert judged(tokens, "10", ONE_TO_TEN) == near(0.8 + 0.2 * 8 / 9, 1.0)


def test_where_the_token_behind_the_verdict_is_not_listed_the_verdict_ends_as_it_did():
    assert judged([*HEAD, step({" 1": 0.5, " 7": 0.5})], "1", ONE_TO_TEN) == near(0.5 * 6 / 9, 1.0)


def test_only_the_verdict_at_the_place_counts():
    first = [*HEAD, step({" 0": 0.9, " 9": 0.1}), Token("\n", 0.0)]
    second = [*HEAD, step({" 9": 0.6, " 0": 0.4}), Token("\n", 0.0)]
    assert judged([*first, *second], "9", DIGITS) == near(0.6, 1.0)


# What cannot be used


@pytest.mark.parametrize("logprob", [-math.inf, -9999.0, math.nan, math.inf, 0.5])
def test_a_token_of_unknown_probability_gives_no_score(logprob):
    tokens = [Token("Yes", logprob, (("No", -0.1),))]
    assert judged(tokens, "Yes", YES_NO) == Expected(0.0, 0.0)
    tokens = [step({"Y": 1.0}), Token("es", logprob)]
    assert judged(tokens, "Yes", YES_NO) == Expected(0.0, 0.0)


@pytest.mark.parametrize("logprob", [-math.inf, -9999.0, math.nan, math.inf, 0.5])
def test_an_alternative_of_unknown_probability_is_passed_over(logprob):
    tokens = [Token("Yes", math.log(0.6), (("No", math.log(0.4)), (" No", logprob)))]
    assert judged(tokens, "Yes", YES_NO) == near(0.6, 1.0)


def test_probabilities_that_add_up_to_more_than_one_give_no_score():
    assert judged([step({"Yes": 0.9, "No": 0.3})], "Yes", YES_NO) == Expected(0.0, 0.0)


def test_a_probability_that_rounding_left_above_one_is_one():
    assert judged([Token("Yes", 1e-6)], "Yes", YES_NO) == Expected(1.0, 1.0)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (3, 1), (-1, 3), (0, 2), (1, 3), (0, 4), (0, 99), (50, 53), (3, 4), (-3, -1)]
)
def test_a_place_that_holds_no_option_gives_no_score(start, end):
    assert expected_score([step({"Yes": 0.6, "No": 0.4}), Token("!", 0.0)], start, end, YES_NO) == Expected(0.0, 0.0)


@pytest.mark.parametrize("verdict", ["0.850", "85%", ".85", "0,85", "٠.٨"])
def test_a_number_that_is_no_option_gives_no_score_though_its_alternatives_would(verdict):
    tokens = [*HEAD, step({verdict: 0.5, "1": 0.5}), step({"": 1.0})]
    assert judged(tokens, verdict, UNIT) == Expected(0.0, 0.0)


def test_no_tokens_and_no_options_give_no_score():
    assert expected_score([], 0, 3, YES_NO) == Expected(0.0, 0.0)
    assert expected_score([step({"Yes": 1.0})], 0, 3, {}) == Expected(0.0, 0.0)


def test_parts_of_characters_are_no_options():
    tokens = [Token("Yes", math.log(0.6), (("\ufffd", math.log(0.3)), ("No\ufffd", math.log(0.1))))]
    assert judged(tokens, "Yes", YES_NO) == near(1.0, 0.6)


# The place


@pytest.mark.parametrize(
    ("texts", "reply", "verdict", "found"),
    [
        (["Yes"], "Yes", "Yes", True),
        (["REWARD", ":", " 0", ".", "85", "<|im_end|>"], "REWARD: 0.85", "0.85", True),
        (["REWARD:", " 7", "", "<|im_end|>", "\n"], "REWARD: 7", "7", True),
        (["<think>", "7", "</think>", "\n\n", "REWARD:", " 7", "\n"], "REWARD: 7", "7", True),
        (["\ufffd", "\ufffd", "\n", "REWARD: ", "7"], "\U0001f600\nREWARD: 7", "7", True),
        (["REWARD: ", "7", "\ufffd", "\ufffd"], "REWARD: 7\U0001f600", "7", False),
        (["REWARD: ", "17"], "REWARD: 7", "7", False),
        (["REWARD: ", "8"], "REWARD: 7", "7", False),
        ([], "REWARD: 7", "7", False),
    ],
)
def test_a_verdict_is_found_in_the_tokens_from_the_end(texts, reply, verdict, found):
    start = reply.rindex(verdict)
    place = place_in_tokens([Token(text, 0.0) for text in texts], reply, start, start + len(verdict))
    if not found:
        assert place is None
    else:
        assert "".join(texts)[slice(*place)] == verdict
        assert place[0] == "".join(texts).rindex(verdict)


# Properties

WORDS = "Yes YES No Y es N o 0 1 . 8 85 0.8 10 REWARD : <|im_end|> \ufffd \ud800 % / , İ"
PIECES = st.sampled_from([*WORDS.split(), " Yes", " No", " 7", ": 7", " ", "\n", ""])
TEXT = st.one_of(PIECES, st.text(max_size=3))
LOGPROB = st.one_of(st.floats(-5, 0), st.floats(), st.sampled_from([-9999.0, 0.0]))
TOKEN = st.builds(Token, TEXT, LOGPROB, st.lists(st.tuples(TEXT, LOGPROB), max_size=5).map(tuple))
OPTIONS = st.one_of(
    st.sampled_from([YES_NO, DIGITS, UNIT, ONE_TO_TEN]),
    st.dictionaries(TEXT, st.floats(0.0, 1.0), max_size=5),
)


@given(st.lists(TOKEN, max_size=8), st.integers(-3, 30), st.integers(-3, 30), OPTIONS)
def test_any_tokens_give_a_score_and_a_mass_between_0_and_1(tokens, start, end, options):
    score, mass = expected_score(tokens, start, end, options)
    assert 0.0 <= score <= 1.0
    assert 0.0 <= mass <= 1.0
    if mass:
        verdict = "".join(each.text for each in tokens)[start:end]
        assert Options(options).exact(verdict) is not None
        assert min(options.values()) - 1e-9 <= score <= max(options.values()) + 1e-9


@given(st.lists(TOKEN, max_size=8), st.booleans())
def test_the_verdict_of_any_reply_is_found_in_its_tokens(tokens, number):
    reply = "".join(each.text for each in tokens)
    verdict = find_verdict(reply, ScoreRange()) if number else find_option(reply, YES_NO)
    if isinstance(verdict, NoVerdict):
        return
    assert place_in_tokens(tokens, reply, verdict.start, verdict.end) == (verdict.start, verdict.end)
    assert place_in_tokens([Token("x", 0.0), *tokens, Token("<|end|>", 0.0)], reply, verdict.start, verdict.end) in (
        (verdict.start + 1, verdict.end + 1),
        None,
    )


def probabilities(count):
    return st.lists(st.floats(0.001, 1.0), min_size=count, max_size=count).map(
        lambda weights: [weight / sum(weights) for weight in weights]
    )


@given(probabilities(10), st.integers(0, 9))
def test_of_a_whole_distribution_over_digits_the_score_is_its_mean_whatever_was_drawn(shares, drawn):
    tokens = [*HEAD, step({f" {digit}": share for digit, share in enumerate(shares)}, f" {drawn}")]
    mean = sum(digit * share for digit, share in enumerate(shares)) / 9
    assert judged(tokens, str(drawn), DIGITS) == near(mean, 1.0)


@given(probabilities(9), probabilities(2), st.booleans())
def test_of_a_whole_distribution_over_1_to_10_the_score_is_its_mean_where_1_was_drawn(shares, behind, ends):
    tokens = [
        *HEAD,
        step({str(digit): share for digit, share in enumerate(shares, 1)}, "1"),
        step({"<|im_end|>": behind[0], "0": behind[1]}, "<|im_end|>" if ends else "0"),
        step({"<|im_end|>": 1.0}),
    ]
    later = sum((digit - 1) / 9 * share for digit, share in enumerate(shares[1:], 2))
    assert judged(tokens, "1" if ends else "10", ONE_TO_TEN) == near(later + shares[0] * behind[1], 1.0)


# The first token of a reply that nothing holds


def test_at_the_first_token_every_spelling_of_an_option_counts_and_nothing_else_does():
    first = step({"Sure": 0.3, " Yes": 0.2, "yes": 0.1, "YES": 0.05, "No": 0.15, "Not": 0.1, "Y": 0.05})
    assert expected_first([first, Token("!", -1.0)], YES_NO) == near(0.35 / 0.5, 0.5)


def test_at_the_first_token_the_beginning_of_one_option_alone_counts():
    options = {"Correct": 1.0, "Incorrect": 0.0, "Incomplete": 0.5}
    first = step({"Cor": 0.5, "Inc": 0.2, "Incor": 0.1, "C": 0.1})
    assert expected_first([first], options) == near(0.5 / 0.6, 0.6)


@pytest.mark.parametrize(
    "tokens",
    [[], [Token("Yes", math.nan)], [Token("Yes", -9999.0)], [Token("Hm", -0.1, (("Well", -3.0),))], [Token("", 0.0)]],
)
def test_at_the_first_token_nothing_known_is_no_mass(tokens):
    assert expected_first(tokens, YES_NO).mass == 0.0


@given(
    st.lists(
        st.builds(
            Token,
            st.sampled_from(["Yes", " no", "Y", "", "N", "Maybe", "\ufffd"]),
            st.floats(-20, 0.1) | st.just(-9999.0) | st.just(math.nan),
            st.lists(st.tuples(st.text(max_size=4), st.floats(-20, 0.1)), max_size=5).map(tuple),
        ),
        max_size=3,
    )
)
def test_at_the_first_token_any_tokens_give_a_score_and_a_mass_in_range(tokens):
    score, mass = expected_first(tokens, YES_NO)
    assert 0.0 <= score <= 1.0
    assert 0.0 <= mass <= 1.0
