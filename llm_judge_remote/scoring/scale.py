"""The verdicts that a template allows, each with its score, and what each beginning of one can still become."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache

from llm_judge_remote.scoring.verdict import ScoreRange

__all__ = ["Options", "number_options"]

_NEAR = 0.1 + 1e-9
_FEWEST_LETTERS = 2
_MOST_DECIMALS = 2
_MOST_NUMERALS = 10_000

# What stands behind an option and leaves no doubt that it has ended. Not behind a number: "." and "," (decimals), "/",
# "%", "-"; not behind a word: "/" (Yes/No), "?", "-" and the apostrophe.
_NUMBER_ENDS = re.compile(r"""[\s"'`”’»)\]}>*_$<|;!]""")
_WORD_ENDS = re.compile(r"""[\s"`”»)\]}>*_$<|;!.,:]""")


class Options(Mapping[str, float]):
    """The options by their text, as they were given; compared in any case and without spaces around.

    Args:
        scores: Each option's score, in [0, 1].
    """

    def __init__(self, scores: Mapping[str, float]) -> None:
        self._scores = dict(scores)
        exact: dict[str, float | None] = {}
        for option, score in self._scores.items():
            key = _folded(option)
            # "yes" and "YES" with different scores: neither can be told from the other.
            exact[key] = score if exact.get(key, score) == score else None
        self._exact = {key: score for key, score in exact.items() if key and score is not None}
        self._longest = max(map(len, self._exact), default=0)
        self._beginnings: dict[str, _Reach] = {}
        for key, score in self._exact.items():
            for end in range(1, len(key) + 1):
                self._beginnings.setdefault(key[:end], _Reach()).add(score)

    def __getitem__(self, option: str) -> float:
        return self._scores[option]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scores)

    def __len__(self) -> int:
        return len(self._scores)

    def exact(self, text: str) -> float | None:
        """The score of the option that a text is; None if it is none."""
        return self._exact.get(_folded(text))

    def goes_on(self, text: str) -> bool:
        """Whether a text is the beginning of a longer option."""
        key = _folded(text)
        reach = self._beginnings.get(key)
        return reach is not None and reach.count > (key in self._exact)

    def resolve(self, text: str) -> float | None:
        """The score of a reply that begins with a text.

        Returns:
            The mean of the options that the text is or is the beginning of, if they are within 0.1 of each other; of
            a word that must be two letters. The option's score where the text goes on behind it with a sign that ends
            it. Else None.
        """
        key = text.lstrip().casefold()
        reach = self._beginnings.get(key)
        if reach is not None:
            if key not in self._exact and key.isalpha() and len(key) < _FEWEST_LETTERS:
                return None
            return reach.mean if reach.high - reach.low <= _NEAR else None
        for end in range(min(len(key) - 1, self._longest), 0, -1):
            score = self._exact.get(key[:end])
            if score is not None:
                ends = _WORD_ENDS if any(sign.isalpha() for sign in key[:end]) else _NUMBER_ENDS
                return score if ends.match(key, end) else None
        return None


class _Reach:
    """The options that a beginning can become: their number, and the least, the greatest and the mean score."""

    __slots__ = ("_total", "count", "high", "low")

    def __init__(self) -> None:
        self.low, self.high, self._total, self.count = math.inf, -math.inf, 0.0, 0

    def add(self, score: float) -> None:
        self.low, self.high = min(self.low, score), max(self.high, score)
        self._total += score
        self.count += 1

    @property
    def mean(self) -> float:
        return self._total / self.count


def _folded(text: str) -> str:
    return text.strip().casefold()


@lru_cache(maxsize=64)
def number_options(low: float, high: float, pattern: str = "") -> Options:
    """The numerals that state a score, with their place in the range.

    Numerals have 0, 1 or 2 decimals; fewer in a range wider than 100 (1) or 1,000 (0), so that there are about 10,000
    of them at most. A range wider than 10,000 has none.

    Args:
        low: The range's lower end.
        high: Its upper end.
        pattern: Regular expression that the whole numeral matches, as a template's `verdict`; "" for all.

    Raises:
        ValueError: The range has no inside.
        re.error: The pattern is no regular expression.
    """
    scale = ScoreRange(float(low), float(high))
    wanted = re.compile(pattern or ".*")
    # Of the shortest decimals that give these bounds, so that 0.3 is 0.3.
    least, most = Decimal(repr(scale.low)), Decimal(repr(scale.high))
    scores: dict[str, float] = {}
    for decimals in range(_MOST_DECIMALS + 1):
        if (scale.high - scale.low) * 10**decimals > _MOST_NUMERALS:
            break
        first, last = math.ceil(least.scaleb(decimals)), math.floor(most.scaleb(decimals))
        for count in range(first, last + 1):
            numeral = f"{Decimal(count).scaleb(-decimals):f}"
            share = scale.normalise(float(numeral))
            if share is not None and wanted.fullmatch(numeral):
                scores[numeral] = share
    return Options(scores)
