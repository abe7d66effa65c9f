r"""Whether two formulas are equal, by the optional package `math-verify` (on sympy), for a narrow class of formulas.

Its own timeouts are made with signals, which only the main thread may set, and sympy can compute for hours, some of it
within a single operation on integers, which nothing can interrupt. So its timeouts are off, and the bound is on what
gets there: short formulas of +, -, *, /, `\frac`, `\sqrt`, `\pi`, single letters, and powers with small exponents.
They take some ten milliseconds, and hardly a hostile one more than a second.

Nor does anything get there that it is known to read in another way than people do: `2(3)` (as 2 + 3), `1/2x`, `R` (as
`r`), `5-6` (a range), choices of a test (`(B) 12`) and letters alone. Its answer alone counts for nothing: the values
of both formulas at a few points must agree with it.
"""

from __future__ import annotations

import importlib
import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llm_judge_remote.rules.choices import looks_like_choice

__all__ = ["symbolic_verdict"]


@lru_cache(maxsize=4096)  # a group asks about the same pairs again and again
def symbolic_verdict(candidate: str, reference: str) -> bool | None:
    """Whether two formulas, in the spelling of `canonical`, have the same value for all values of their letters.

    Returns:
        None without `math-verify` (0.8 or newer), and for all but plain formulas. True if math-verify finds them equal
        and their values are the same at some points; False if they have the same letters, and clearly other values
        at each of the points.
    """
    if not _admitted(candidate, reference):
        return None
    library = _library()
    if library is None:
        return None
    rounded = any("." in text or text.lstrip("-").isdigit() for text in (candidate, reference))
    try:
        left, right = _parsed(library, candidate), _parsed(library, reference)
        if left is None or right is None:
            return None
        verdict = _verdict(library, left, right, rounded=rounded)
        if verdict is False and ("\\pi" in candidate) is not ("\\pi" in reference):
            degrees, radians = (right, left) if "\\pi" in candidate else (left, right)
            return None if _is_angle(library, degrees, radians, rounded=rounded) else False
        return verdict
    except (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, TypeError, ValueError):
        return None  # sympy's ways to say that it cannot


def _admitted(one: str, other: str) -> bool:
    if looks_like_choice(one) or looks_like_choice(other):
        return False
    letters = set()
    for text in (one, other):
        if len(text) > _LONGEST or not _FORMULA.fullmatch(text) or _MISREAD.search(text):
            return False
        power = 1
        for exponent in _EXPONENT.finditer(text):
            power *= max(int(exponent[1] or exponent[2]), 1)
        if power > _HIGHEST_POWER or _depth(text) > _DEEPEST:
            return False
        letters |= set(_LETTER.findall(text))
    return len(letters) <= _MOST_LETTERS and len(letters) == len({letter.lower() for letter in letters})


def _depth(text: str) -> int:
    deepest = depth = 0
    for sign in text:
        depth += (sign in "({") - (sign in ")}")
        deepest = max(deepest, depth)
    return deepest


@dataclass(frozen=True, slots=True)
class _Library:
    sympy: Any
    math_verify: Any


@lru_cache(maxsize=1)
def _library() -> _Library | None:
    try:
        library = _Library(importlib.import_module("sympy"), importlib.import_module("math_verify"))
    except ImportError:
        return None
    for name in ("parser", "grader"):
        logging.getLogger(f"math_verify.{name}").addFilter(_is_no_timeout_warning)
    return library


def _is_no_timeout_warning(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Timeout is disabled")


def _parsed(library: _Library, text: str) -> Any:
    """The sympy expression of a formula; None if it is none, or holds functions: `x(2)`."""
    math_verify, sympy = library.math_verify, library.sympy
    reading = math_verify.LatexNormalizationConfig(
        basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none", equations=False
    )
    found = math_verify.parse(
        f"${_DECIMAL.sub(_as_fraction, text)}$",
        [math_verify.LatexExtractionConfig(boxed_match_priority=-1, normalization_config=reading)],
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,
    )
    if len(found) != 1 or not isinstance(found[0], sympy.Expr) or found[0].atoms(sympy.core.function.AppliedUndef):
        return None
    return found[0]


def _as_fraction(decimal: re.Match[str]) -> str:
    """Exact: sympy makes a float of 0.1."""
    return rf"\frac{{{decimal[1]}{decimal[2]}}}{{1{'0' * len(decimal[2])}}}"


def _verdict(library: _Library, left: Any, right: Any, *, rounded: bool) -> bool | None:
    letters = sorted(left.free_symbols | right.free_symbols, key=str)
    distances = []
    for point in _POINTS:
        values = {letter: library.sympy.Rational(*value) for letter, value in zip(letters, point, strict=False)}
        distance = _distance(left.subs(values), right.subs(values))
        if distance is None:
            return None
        distances.append(distance)
    if max(distances) < _SAME:
        return True if library.math_verify.verify(right, left, timeout_seconds=None) else None
    # Other letters may be other names only; i and e may be numbers.
    if left.free_symbols != right.free_symbols or {"i", "e"} & {str(letter) for letter in letters}:
        return None
    return False if min(distances) > (_OTHER_ROUNDED if rounded else _OTHER) else None


def _is_angle(library: _Library, degrees: Any, radians: Any, *, rounded: bool) -> bool:
    """Whether two numbers may be one angle, in degrees and in radians."""
    distance = _distance(degrees * library.sympy.pi / 180, radians)
    return distance is not None and distance < (_OTHER_ROUNDED if rounded else _OTHER)


def _distance(left: Any, right: Any) -> float | None:
    """How far two values are apart, as a share of the larger one; None if one of them is no finite number."""
    values = [expression.doit().evalf(_PRECISION) for expression in (left, right)]
    if not all(value.is_number and value.is_finite for value in values):
        return None
    larger = max(abs(value) for value in values)
    return float(abs(values[0] - values[1]) / larger) if larger else 0.0


_LONGEST = 60  # characters
_DEEPEST = 4  # brackets; the time to parse doubles with each
_HIGHEST_POWER = 16  # all exponents multiplied
_MOST_LETTERS = 4
_PRECISION = 30  # digits
_SAME = 1e-20
_OTHER = 1e-6
_OTHER_ROUNDED = 0.05  # 0.33 may stand for 1/3, and 94 for 30 pi
# A value for each letter, as (numerator, denominator). Two points are positive, as a letter may be meant to be: there
# sqrt(x^2) is x; two are not.
_POINTS = (
    ((13, 11), (29, 17), (31, 23), (43, 37)),
    ((-7, 5), (19, 13), (-41, 29), (23, 19)),
    ((53, 7), (-61, 11), (67, 13), (-71, 17)),
    ((3, 31), (5, 37), (7, 41), (11, 43)),
)

_DECIMAL = re.compile(r"([0-9]+)\.([0-9]+)")
_EXPONENT = re.compile(r"\^(?:([0-9])|\{-?([0-9]{1,2})\})")
_FORMULA = re.compile(
    r"(?:[-+*/()]|[0-9]{1,9}(?:\.[0-9]{1,6})?(?![0-9.])|\\(?:frac|sqrt)(?=\{)|[{}]|\\(?:pi|theta)(?![A-Za-z])"
    rf"|[A-Za-z](?![A-Za-z])|(?<=[a-z]) (?=[a-z])|{_EXPONENT.pattern})+"
)
_MISREAD = re.compile(
    r"\(-?[0-9.]+\)(?!\^)"  # (2)(3)
    r"|[0-9]\\frac\{[0-9]+\}\{[0-9]+\}"  # a mixed number, or a product
    r"|/[0-9A-Za-z.]+[ (\\/A-Za-z]|/\([^()]*\)[0-9A-Za-z(\\/]"  # 1/2x
    r"|^[0-9.]+(?:-[0-9.]+)+$"  # 5-6, a range or a score
    r"|[0-9][eE][0-9]|\^[0-9][0-9]|[-+*/][-+*/]|(?<![0-9.])0[0-9]"
)
_LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])")
