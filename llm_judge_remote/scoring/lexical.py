"""Similarity of two texts without a judge: the fallback's score, and the lexical placeholders of prompts.

Texts are compared by their words and operators. A word is a run of letters and digits, case-folded; in scripts that
write no spaces (Chinese, Japanese, Thai, ...) each character is one. Operators are the signs of arithmetic, relations
and brackets. Other punctuation, Markdown and LaTeX's braces say how a text is set, not what it says, and do not count;
nor do the commas in `1,000`. So `**The answer is $1,000.**` equals `the answer is 1000`, and `x > 3` does not equal
`x < 3`. A decimal point separates two words: `18.0` and `18` share one.

The order of words matters and the order of operators matters, but not how they interleave. That is for speed: operators
are single bytes, which rapidfuzz compares without hashing.

Time is that of rapidfuzz's bit-parallel LCS, (words of one) x (words of the other) / 64, and of hashing each word once:
about a millisecond for two texts of 20 kB, 0.1 s for 200 kB. Memory is linear.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from rapidfuzz.distance import Indel, LCSseq

__all__ = [
    "DEFAULT_METRIC",
    "METRICS",
    "PLACEHOLDERS",
    "char_ratio",
    "lcs_ratio",
    "lcs_ratio_cand",
    "length_ratio",
    "ngram_coverage",
    "ngram_coverage_ref",
    "similarity",
    "token_overlap",
    "word_ratio",
]

Measure = Callable[[str, str], float]

DEFAULT_METRIC = "word_ratio"


def similarity(candidate: str, reference: str, metric: str = DEFAULT_METRIC) -> float:
    """How alike two texts are, by one of `METRICS`.

    Returns:
        In [0, 1]: 1.0 for equal texts, 0.0 for texts that share nothing or of which one is empty. Symmetric.

    Raises:
        ValueError: There is no such metric; the message lists them.
    """
    if metric not in METRICS:
        msg = f"{metric!r} is no similarity metric; there are {', '.join(METRICS)}"
        raise ValueError(msg)
    return METRICS[metric](candidate, reference)


def word_ratio(candidate: str, reference: str) -> float:
    """Normalised Indel similarity of words and operators: 2 · LCS / (length of one + length of the other).

    LCS is the length of the longest common subsequence, of the words and of the operators, added up. Indel is the edit
    distance that knows insertions and deletions only, and 1 - distance / (sum of lengths) is the same number; see
    `rapidfuzz.distance.Indel.normalized_similarity`. Text that one side has and the other has not costs on either
    side, so neither a single right word nor a flood of words scores high. 1.0 means: the same words and operators.
    """
    return _ratio(_tokens(candidate), _tokens(reference), _common_subsequence, candidate, reference)


def token_overlap(candidate: str, reference: str) -> float:
    """Words and operators that both texts have, each as often as both have it, in any order: 2 · common / all.

    The Dice coefficient of the two multisets, known as token F1 from SQuAD (Rajpurkar et al., 2016). It equals
    rapidfuzz's `token_sort_ratio` over words instead of characters: the LCS of two sorted sequences is what they share.
    """
    return _ratio(_tokens(candidate), _tokens(reference), _common_tokens, candidate, reference)


def char_ratio(candidate: str, reference: str) -> float:
    """Normalised Indel similarity of the characters, case-folded and with single spaces: `rapidfuzz.fuzz.ratio` / 100.

    Finer than words, with typing errors and punctuation, and six to eight times as slow.
    """
    return Indel.normalized_similarity(_characters(candidate), _characters(reference))


METRICS: Mapping[str, Measure] = MappingProxyType(
    {"word_ratio": word_ratio, "char_ratio": char_ratio, "token_overlap": token_overlap}
)
"""The similarities that `similarity` and the setting `fallback_metric` know by name."""


def lcs_ratio(candidate: str, reference: str) -> float:
    """The share of the reference's words and operators that the candidate has in the same order, in [0, 1].

    ROUGE-L's recall (Lin, 2004). Where the reference has no word, 1.0 if the candidate has none either, else 0.0.
    """
    found, wanted = _tokens(candidate), _tokens(reference)
    return _share(_common_subsequence(found, wanted), len(wanted), otherwise=not len(found))


def lcs_ratio_cand(candidate: str, reference: str) -> float:
    """The share of the candidate's words and operators that the reference has in the same order, in [0, 1].

    ROUGE-L's precision: `lcs_ratio` with the texts exchanged. A candidate of one right word has all of it.
    """
    return lcs_ratio(reference, candidate)


def length_ratio(candidate: str, reference: str) -> float:
    """The candidate's number of words, divided by the reference's: 0 or more, and finite.

    A reference without words counts as one word long; two texts without words are equally long (1.0).
    """
    found, wanted = len(_tokens(candidate).words), len(_tokens(reference).words)
    return found / max(wanted, 1) if found or wanted else 1.0


def ngram_coverage(candidate: str, reference: str) -> float:
    """The share of the candidate's distinct word trigrams that stand in the reference, in [0, 1].

    Where a text has fewer than three words, both are cut into n-grams of its length. Where the candidate has no word,
    1.0 if the reference has none either, else 0.0.
    """
    found, wanted = _tokens(candidate).words, _tokens(reference).words
    size = min(3, len(found), len(wanted))
    if not size:
        return float(len(found) == len(wanted))
    grams = _ngrams(found, size)
    return len(grams & _ngrams(wanted, size)) / len(grams)


def ngram_coverage_ref(candidate: str, reference: str) -> float:
    """The share of the reference's distinct word trigrams that stand in the candidate: the same, texts exchanged."""
    return ngram_coverage(reference, candidate)


PLACEHOLDERS: Mapping[str, Measure] = MappingProxyType(
    {
        "LEXICAL_TOKEN_OVERLAP": token_overlap,
        "LEXICAL_LCS_RATIO": lcs_ratio,
        "LEXICAL_LCS_RATIO_CAND": lcs_ratio_cand,
        "LENGTH_RATIO": length_ratio,
        "LEXICAL_NGRAM_COVERAGE": ngram_coverage,
        "LEXICAL_NGRAM_COVERAGE_REF": ngram_coverage_ref,
    }
)
"""What a prompt template may use beside the texts: functions of (candidate, reference)."""


@dataclass(frozen=True, slots=True)
class _Tokens:
    words: list[str]
    operators: bytes

    def __len__(self) -> int:
        return len(self.words) + len(self.operators)


def _tokens(text: str) -> _Tokens:
    plain = _spelt_out(text)
    if "*" in plain:
        plain = plain.replace("**", " ")  # bold, far more often than a power
    if "," in plain:
        plain = _THOUSANDS.sub("", plain)
    # Bytes: translating and deleting are table look-ups. What is not ASCII by now belongs to a word.
    data = plain.encode()
    return _Tokens(data.translate(_WORDS).decode().split(), data.translate(None, _NO_OPERATORS))


def _spelt_out(text: str) -> str:
    """The text with each character that is not ASCII normalised (NFKD), case-folded, and set apart if it is no letter.

    One by one: normalising a whole text is quadratic in a run of combining marks, half a minute for 200 kB of them.
    """
    if text.isascii():
        return text
    others = set(text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass"))
    changed = {sign: spelt for sign in sorted(others) if (spelt := _spelling(sign)) != sign}
    if len(changed) > _FEW:
        return text.translate({ord(sign): spelt for sign, spelt in changed.items()})
    # Much faster than translate, while there are few; in a fixed order, because a spelling may hold another such sign.
    for sign, spelt in changed.items():
        text = text.replace(sign, spelt)
    return text


@lru_cache(maxsize=4096)  # a text in Chinese has hundreds of different signs, and the next one the same
def _spelling(sign: str) -> str:
    if sign in _TWINS:
        return _TWINS[sign]
    narrow = unicodedata.normalize("NFKD", sign).casefold()
    kind = unicodedata.category(sign)
    if kind == "No":  # x² is x^2, ½ is 1/2
        power = unicodedata.decomposition(sign).startswith("<super>")
        return f"^{narrow}" if power else f" {narrow.replace('⁄', '/')} "
    if kind[0] in "LMN":
        return f" {narrow} " if _UNSPACED.match(narrow) else narrow
    if narrow.isascii():  # full-width signs
        return narrow
    if kind[0] == "S":
        return f" {sign} "
    return "" if kind == "Cf" else " "  # Cf: soft hyphens, joiners, marks of direction


def _characters(text: str) -> str:
    if not text.isascii():
        text = "".join([unicodedata.normalize("NFKD", sign) for sign in text])
    return " ".join(text.casefold().split())


def _ratio(
    one: _Tokens, other: _Tokens, common: Callable[[_Tokens, _Tokens], int], candidate: str, reference: str
) -> float:
    total = len(one) + len(other)
    # Texts of punctuation alone have nothing else to be compared by.
    return 2 * common(one, other) / total if total else char_ratio(candidate, reference)


def _common_subsequence(one: _Tokens, other: _Tokens) -> int:
    return LCSseq.similarity(one.words, other.words) + LCSseq.similarity(one.operators, other.operators)


def _common_tokens(one: _Tokens, other: _Tokens) -> int:
    return _in_both(one.words, other.words) + _in_both(one.operators, other.operators)


def _in_both(some: Iterable[Hashable], others: Iterable[Hashable]) -> int:
    """The size of the intersection of two multisets; `Counter`'s own is slower, as it counts in Python."""
    there = Counter(others)
    return sum([min(count, there[item]) for item, count in Counter(some).items() if item in there])


def _share(part: int, whole: int, *, otherwise: bool) -> float:
    return part / whole if whole else float(otherwise)


def _ngrams(words: list[str], size: int) -> set[tuple[str, ...]]:
    return set(zip(*(words[start:] for start in range(size)), strict=False))


_FEW = 32

_ASCII = bytes(range(128))
_WORD_BYTES = frozenset((string.ascii_letters + string.digits).encode()) | frozenset(range(128, 256))
_OPERATORS = frozenset(b"+-*/=<>^%!|&()[]")
# For bytes.translate: words in lower case and everything else a blank; and what to delete, so that operators remain.
_WORDS = bytes(byte if byte in _WORD_BYTES else ord(" ") for byte in range(256)).lower()
_NO_OPERATORS = bytes(byte for byte in range(256) if byte not in _OPERATORS)
# The comma comes first, so that the expression is searched for by it alone.
_THOUSANDS = re.compile(r",(?<=[0-9],)(?=[0-9]{3}(?![0-9]))")
# Signs that NFKD leaves as they are, and their ASCII spelling.
_TWINS = {
    **dict.fromkeys("−–‐", "-"),
    **dict.fromkeys("×·⋅∙", "*"),
    **dict.fromkeys("÷⁄∕", "/"),
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
}
# Thai, Lao, Myanmar, Khmer, kana, Han: written without spaces (Unicode Standard Annex #29, section 4).
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
