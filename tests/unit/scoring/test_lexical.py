import json
import math
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_judge_remote.scoring.lexical import (
    DEFAULT_METRIC,
    METRICS,
    PLACEHOLDERS,
    char_ratio,
    lcs_ratio,
    lcs_ratio_cand,
    length_ratio,
    ngram_coverage,
    ngram_coverage_ref,
    similarity,
    token_overlap,
    word_ratio,
)

SOLUTIONS = Path(__file__).parents[4] / "shared" / "data" / "gsm8k_model_solutions.jsonl"
LONG = "The ducks lay 16 eggs per day and she eats three of the eggs, so she sells the other 13 for $2 each. " * 20
WORDS = "the a eggs 16 3 13 = + - / ( ) $ , . ** 1,000 18.0 x² ½ ≤ × é e\u0301 漢字 ไทย 한국 ß ✅ _ \\frac{1}{2}"
TEXT = st.one_of(
    st.text(),
    st.lists(st.sampled_from([*WORDS.split(), " ", "\n", "\x00", "\ud800", "\u0301"]), max_size=30).map("".join),
)

metrics = pytest.mark.parametrize("metric", METRICS)


def test_the_default_metric_is_the_ratio_of_words():
    assert DEFAULT_METRIC == "word_ratio"
    assert similarity("one two", "one three") == word_ratio("one two", "one three") == 0.5


def test_an_unknown_metric_is_an_error_that_lists_the_names():
    with pytest.raises(ValueError, match=r"'levenshtein' is no .*word_ratio, char_ratio, token_overlap"):
        similarity("a", "b", "levenshtein")


def test_the_tables_cannot_be_changed():
    for table in (METRICS, PLACEHOLDERS):
        with pytest.raises(TypeError):
            table["mine"] = word_ratio


@metrics
@given(TEXT, TEXT)
@example("", "")
@example("...", "?!")
@example("\ud800", "\udfff")
@example("e\u0301", "é")
def test_a_similarity_is_a_float_between_0_and_1_and_the_same_both_ways(metric, one, other):
    value = similarity(one, other, metric)
    assert type(value) is float
    assert 0.0 <= value <= 1.0
    assert value == similarity(other, one, metric)


@metrics
@given(TEXT)
def test_equal_texts_are_wholly_similar(metric, text):
    assert similarity(text, text, metric) == 1.0


@metrics
def test_an_empty_text_shares_nothing_with_another(metric):
    assert similarity("", "18", metric) == similarity("18", "", metric) == 0.0


@metrics
def test_texts_without_a_common_letter_share_nothing(metric):
    assert similarity("abc", "xyz", metric) == 0.0


@metrics
@pytest.mark.parametrize("candidate", ["the", "18", "16 - 3 = 13", "eggs " * 2000])
def test_neither_one_right_word_nor_a_flood_of_words_is_rewarded(metric, candidate):
    assert similarity(candidate, LONG, metric) < 0.25


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Answer", "the answer"),
        ("18", "18."),
        ("18", "**18**"),
        ("18", "$18$"),
        ("18", "１８"),
        ("1,000", "1000"),
        ("$1,234,567", "1234567"),
        ("16-3=13", "16 - 3 = 13"),
        ("3 × 4 ÷ 2 − 1", "3 * 4 / 2 - 1"),
        ("x ≤ 3", "x <= 3"),
        ("x²", "x^2"),
        ("1½", "1 1/2"),
        ("café", "cafe\u0301"),
        ("Straße", "STRASSE"),
        ("ｱｲｳ", "アイウ"),
        ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
        ("a\u00adb", "ab"),
        ("Let’s say “yes”…", "let's say 'yes'"),
        ("one\u00a0two\u2003three", "one two three"),
        ("a\x00b", "a b"),
    ],
)
def test_setting_does_not_count(one, other):
    assert word_ratio(one, other) == 1.0
    assert token_overlap(one, other) == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("18", "81"),
        ("3", "-3"),
        ("x > 3", "x < 3"),
        ("a + b - c", "a - b + c"),
        ("5", "5!"),
        ("5", "5%"),
        ("(1, 2)", "[1, 2]"),
        ("0.5", "5"),
        ("1.05", "1.5"),
        ("1,00", "100"),
        ("a ∪ b", "a ∩ b"),
        ("€5", "£5"),
        ("漢字", "漢語"),
        ("😀", "😡"),
        ("...", "?"),
    ],
)
def test_numbers_operators_and_symbols_do_count(one, other):
    assert word_ratio(one, other) < 1.0


def test_the_words_of_a_script_without_spaces_are_its_characters():
    assert word_ratio("东京是日本的首都", "北京是中国的首都") == 2 * 5 / 16


def test_word_ratio_is_twice_the_common_subsequence_by_the_sum_of_the_lengths():
    # Words: 3 2 4 15 and 3 4 15 5, with 3 4 15 in common; operators: + = and + = -, with + = in common.
    assert word_ratio("3 + 2 = 4 15", "3 + 4 = 15 - 5") == 2 * (3 + 2) / (6 + 7)


def test_token_overlap_does_not_look_at_the_order():
    assert token_overlap("three two one", "one two three") == 1.0
    assert word_ratio("three two one", "one two three") == pytest.approx(1 / 3)
    assert token_overlap("one one two", "one two two") == 2 * 2 / 6


@given(*[st.lists(st.sampled_from([*"abcde+-="]), min_size=1)] * 2)
def test_token_overlap_is_twice_what_both_have_by_what_there_is(one, other):
    common = (Counter(one) & Counter(other)).total()
    assert token_overlap(" ".join(one), " ".join(other)) == 2 * common / (len(one) + len(other))


def test_char_ratio_is_the_indel_similarity_of_the_characters():
    assert char_ratio("Kitten", "sitting") == 2 * 4 / 13
    assert char_ratio("this is  a\ntest", "this is a test!") == 2 * 14 / 29


def test_the_placeholders_are_the_ones_that_templates_know():
    assert list(PLACEHOLDERS) == [
        "LEXICAL_TOKEN_OVERLAP",
        "LEXICAL_LCS_RATIO",
        "LEXICAL_LCS_RATIO_CAND",
        "LENGTH_RATIO",
        "LEXICAL_NGRAM_COVERAGE",
        "LEXICAL_NGRAM_COVERAGE_REF",
    ]


@pytest.mark.parametrize(
    ("measure", "candidate", "reference", "expected"),
    [
        (lcs_ratio, "one two", "one two three four", 0.5),
        (lcs_ratio, "two one", "one two three four", 0.25),
        (lcs_ratio, "one x two y", "one two", 1.0),
        (lcs_ratio_cand, "one two", "one two three four", 1.0),
        (lcs_ratio_cand, "one x two y", "one two", 0.5),
        (length_ratio, "one two three", "one two", 1.5),
        (length_ratio, "", "one two", 0.0),
        (length_ratio, "one two", "", 2.0),
        (length_ratio, "", "", 1.0),
        (ngram_coverage, "a b c d", "x a b c", 0.5),
        (ngram_coverage, "a b c a b c", "a b c", 1 / 3),
        (ngram_coverage, "b", "a b c", 1.0),
        (ngram_coverage, "a c", "a b c", 0.0),
        (ngram_coverage, "a b c", "b", 1 / 3),
        (ngram_coverage_ref, "a b c", "x a b c y", 1 / 3),
    ],
)
def test_a_placeholder_measures_what_its_name_says(measure, candidate, reference, expected):
    assert measure(candidate, reference) == pytest.approx(expected)


@pytest.mark.parametrize("name", PLACEHOLDERS)
@given(TEXT, TEXT)
@example("", "")
@example("", "18")
@example("18", "")
@example("...", "18")
def test_a_placeholder_is_a_finite_float_and_a_share_unless_it_compares_lengths(name, candidate, reference):
    value = PLACEHOLDERS[name](candidate, reference)
    assert type(value) is float
    assert math.isfinite(value)
    assert value >= 0.0
    assert name == "LENGTH_RATIO" or value <= 1.0


@pytest.mark.parametrize("name", PLACEHOLDERS)
@given(TEXT)
def test_every_placeholder_is_1_for_equal_texts(name, text):
    assert PLACEHOLDERS[name](text, text) == 1.0


@pytest.mark.parametrize("name", [n for n in PLACEHOLDERS if n not in ("LENGTH_RATIO", "LEXICAL_TOKEN_OVERLAP")])
def test_a_share_of_nothing_is_1_only_if_there_was_nothing_to_share(name):
    assert PLACEHOLDERS[name]("", "") == 1.0
    assert PLACEHOLDERS[name]("", "18") == PLACEHOLDERS[name]("18", "") == 0.0


# A process of its own, because what rapidfuzz allocates shows nowhere in Python. A bit for each pair of words would be
# 200 MB, a byte for each 1.6 GB.
LITTLE_MEMORY = """
import resource
from llm_judge_remote.scoring import lexical

one, other = (" ".join(f"w{i * step % 997}" for i in range(40_000)) for step in (1, 3))
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000,) * 2)
for measure in (lexical.word_ratio, *lexical.PLACEHOLDERS.values()):
    measure(one, other)
print("done")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the process's size from /proc")
def test_memory_is_linear_in_the_texts():
    run = subprocess.run([sys.executable, "-c", LITTLE_MEMORY], capture_output=True, text=True, check=False)
    assert run.stdout == "done\n", run.stderr


HOSTILE = {
    "combining marks": "\u0315\u0300" * 100_000,
    "letters that expand": "ﷺ" * 20_000,
    "every character once": "".join(map(chr, range(0x4E00, 0xA000))),
    "commas": "1," * 100_000,
    "thousands": "1" + ",000" * 50_000,
    "stars": "*" * 200_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_takes_no_more_than_seconds(text):
    # Normalising the marks as one text takes half a minute.
    before = time.process_time()
    for measure in (word_ratio, *PLACEHOLDERS.values()):
        measure(text, "The answer is 18.")
    assert time.process_time() - before < 10


@pytest.mark.skipif(not SOLUTIONS.exists(), reason="the labelled solutions (../shared/data) are not here")
@pytest.mark.parametrize(("metric", "least"), [("word_ratio", 0.87), ("token_overlap", 0.86), ("char_ratio", 0.79)])
def test_right_solutions_rank_above_wrong_ones(metric, least):
    right, wrong = [], []
    for line in SOLUTIONS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for solution in (value for value in row.values() if isinstance(value, dict)):
            scores = right if solution["is_correct"] else wrong
            scores.append(similarity(solution["solution"], row["ground_truth"], metric))
    assert (len(right), len(right) + len(wrong)) == (2001, 5276)
    assert area_under_curve(right, wrong) >= least


def area_under_curve(right, wrong):
    """The chance that a right one scores above a wrong one, ties counted half (Mann and Whitney, 1947)."""
    ranks = {}
    for rank, value in enumerate(sorted(right + wrong), 1):
        first, _ = ranks.get(value, (rank, rank))
        ranks[value] = (first, rank)
    total = sum(sum(ranks[value]) / 2 for value in right)
    return (total - len(right) * (len(right) + 1) / 2) / (len(right) * len(wrong))
