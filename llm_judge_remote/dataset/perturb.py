r"""A solution after changes, so that its final answer is another one.

What is changed, and in what order:

1. One digit of one number in the final answer (`rules.answers.final_answer`), or the letter of a choice. Exponents and
   indices are left alone where there is another number; a number becomes another number (`rules.quantities.compare`).
2. The same number where it stands in the last two steps, so that they lead to the answer.
3. One digit of one number in the steps before.
4. Two steps that follow each other change places, if there are two before the last two, each of them with all its
   braces, formulas and environments closed.

A step is a line, or in a text of few lines a sentence. The third and fourth change are left out where the text has no
room for them, or where the final answer would not be read as it was written any more. Nothing but digits, the letter
and the order of whole steps changes, so LaTeX that was balanced stays so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from llm_judge_remote.dataset.texts import Hashes, without_blanks
from llm_judge_remote.rules.answers import marked_answers
from llm_judge_remote.rules.quantities import canonical, compare, quantity

__all__ = ["perturb", "row_words"]


def row_words(rows: int, seed: int) -> Hashes:
    """A random number below 2^64 for each row, the same however the rows are cut into blocks."""
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 2**64, rows, np.uint64)


def perturb(solution: str, word: int) -> str | None:
    """The solution with another final answer, wherever it stands.

    Args:
        solution: A text that marks its final answer (`rules.answers`), or is one short line.
        word: A random number in [0, 2^64), which decides what is changed.

    Returns:
        A text that differs by more than whitespace. None if the solution marks no answer, or several that are spelt
        differently, or one in which there is neither a digit nor the letter of a choice.
    """
    found = marked_answers(solution, whole=True)
    final = canonical(found.final)
    if not final or any(canonical(mark) != final for mark in found.marked):
        return None
    draw = _Draw(word)
    plain = without_blanks(solution)
    for answer, old, new in _other_answers(found.final, draw):
        for changed in _variants(solution, found.final, answer, (old, new), draw):
            if _reads(changed, answer, final, doubtful=found.doubtful) and without_blanks(changed) != plain:
                return changed
    return None


class _Draw:
    """Random numbers from one: a linear congruential generator (Knuth's MMIX), of which the high bits are taken."""

    def __init__(self, word: int) -> None:
        self._state = word

    def below(self, limit: int) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._state >> 33) % limit


def _other_answers(answer: str, draw: _Draw) -> Iterator[tuple[str, str, str]]:
    """Other answers, each with the number or letter in which it differs and what that becomes."""
    places = list(_NUMBER.finditer(answer)) or list(_SCRIPT.finditer(answer))
    own = quantity(canonical(answer))
    for _ in range(_TRIES if places else 0):
        place = places[draw.below(len(places))]
        new = _with_another_digit(place.group(), draw)
        other = answer[: place.start()] + new + answer[place.end() :]
        if own is not None:
            number = quantity(canonical(other))
            if number is None or compare(number, own) is not False:
                continue
        yield other, place.group(), new
    choice = None if places else _CHOICE.fullmatch(answer)
    if choice:
        letters = [each for each in ("ABCDE" if choice[2].isupper() else "abcde") if each != choice[2]]
        letter = letters[draw.below(len(letters))]
        yield choice[1] + letter + choice[3], "", ""


def _with_another_digit(number: str, draw: _Draw) -> str:
    """Never 0 in the first place, nor as the only digit."""
    digits = [place for place, sign in enumerate(number) if sign.isdigit()]
    place = digits[draw.below(len(digits))]
    least = int(place == digits[0])
    others = [digit for digit in _DIGITS[least:] if digit != number[place]]
    return number[:place] + others[draw.below(len(others))] + number[place + 1 :]


def _variants(text: str, former: str, answer: str, change: tuple[str, str], draw: _Draw) -> Iterator[str]:
    """The text with this answer for the former one, with all further changes first, then with fewer.

    Both answers are equally long, so places in the text stay what they are.
    """
    steps = _steps(text)
    length = len(answer)
    places = [mark.end() for mark in _MARK.finditer(text) if text.startswith(former, mark.end())]
    places = places or [text.rfind(former)]
    if places[0] < 0:
        return
    pieces, end = [], 0
    for place in places:
        pieces += [text[end:place], answer]
        end = place + length
    pieces.append(text[end:])
    changed = "".join(pieces)
    if change[0]:
        start = min(steps[-2][0] if len(steps) > 1 else 0, places[-1])

        def renumbered(part: str) -> str:
            return _NUMBER.sub(lambda number: change[1] if number.group() == change[0] else number.group(), part)

        consistent = "".join(
            [changed[:start], renumbered(changed[start : places[-1]]), answer, renumbered(changed[end:])]
        )
        other = _with_another_number(consistent, steps, draw)
        yield _with_steps_swapped(other, steps, draw)
        yield other
        yield consistent
    yield changed


def _reads(text: str, answer: str, former: str, *, doubtful: bool) -> bool:
    """Whether this, and not the former one, is the final answer of a text, and as clearly so."""
    now = marked_answers(text, whole=True)
    return (
        now.final == answer
        and all(mark == answer for mark in now.marked)
        and all(canonical(said) != former for said in now.said)
        and now.doubtful <= doubtful
    )


def _with_another_number(text: str, steps: list[tuple[int, int]], draw: _Draw) -> str:
    end = steps[-2][0] if len(steps) > 2 else 0
    places = list(_NUMBER.finditer(text, 0, end))
    if not places:
        return text
    place = places[draw.below(len(places))]
    return text[: place.start()] + _with_another_digit(place.group(), draw) + text[place.end() :]


def _with_steps_swapped(text: str, steps: list[tuple[int, int]], draw: _Draw) -> str:
    steps = steps[:-2]
    places = [
        place
        for place in range(len(steps) - 1)
        if all(_is_closed(text[slice(*each)]) for each in steps[place : place + 2])
    ]
    if not places:
        return text
    (start, middle), (_, end) = steps[(place := places[draw.below(len(places))])], steps[place + 1]
    one, other = text[start:middle], text[middle:end]
    # What stands between the steps stays where it is: the blanks behind each.
    one_words, other_words = one.rstrip(), other.rstrip()
    return text[:start] + other_words + one[len(one_words) :] + one_words + other[len(other_words) :] + text[end:]


def _steps(text: str) -> list[tuple[int, int]]:
    """Where steps begin and end: lines, or sentences if there are fewer than four lines."""
    for pattern in (_LINE_END, _SENTENCE_END):
        ends = [match.end() for match in pattern.finditer(text) if match.end() < len(text)]
        bounds = [0, *ends, len(text)]
        if len(bounds) > _FEW_STEPS:
            break
    return [(start, end) for start, end in pairwise(bounds) if not text[start:end].isspace()]


def _is_closed(step: str) -> bool:
    """Whether each brace, formula, environment and figure that begins in a step ends there, in the right order."""
    stack: list[str] = []
    for match in _BRACKET.finditer(step):
        sign = match.group()
        if sign in ("$", "$$"):
            if stack and stack[-1] == sign:
                stack.pop()
            elif sign in stack:
                return False
            else:
                stack.append(sign)
        elif sign in _NO_BRACKETS:
            continue
        elif sign in _CLOSES:
            if not stack or stack.pop() != _CLOSES[sign]:
                return False
        else:
            stack.append(sign)
    return not stack


_TRIES = 8  # at a digit that makes another number
_FEW_STEPS = 4
_DIGITS = "0123456789"

_DIGIT_RUN = r"[0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?"
_NOT_WITHIN = r"(?<![0-9.^_])(?<![0-9],)(?<![\^_]\{)(?<![\^_]\{-)"  # another number, or an exponent or index
_NUMBER = re.compile(_NOT_WITHIN + _DIGIT_RUN)
_SCRIPT = re.compile(_DIGIT_RUN)
_CHOICE = re.compile(r"((?:\\(?:text|textbf|mathrm)\{)?\(?)([A-Ea-e])([).]?\}?)")
_MARK = re.compile(r"(?:\\boxed *\{|####|<answer>|[Aa](?:nswer|NSWER)(?:\s+is)?[:=]?)[\s*_$]{0,9}")
_LINE_END = re.compile(r"\n+")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?:\$|\\\))?\s+(?=[A-Z$\\])|\n+")
_BRACKET = re.compile(
    r"\\\\|\\[{}$]|\\\[|\\\]|\\\(|\\\)|\\begin(?![A-Za-z])|\\end(?![A-Za-z])|\\left(?![A-Za-z])|\\right(?![A-Za-z])"
    r"|\[/?asy\]|\$\$?|[{}]|<<|>>"
)
_NO_BRACKETS = frozenset({"\\\\", "\\{", "\\}", "\\$"})
_CLOSES = {"}": "{", "\\]": "\\[", "\\)": "\\(", "\\end": "\\begin", "\\right": "\\left"}
_CLOSES |= {"[/asy]": "[asy]", ">>": "<<"}
