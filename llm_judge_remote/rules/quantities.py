r"""Answers in one spelling, and the numbers among them, exact.

No float is made of a number: 0.5, 1/2, \frac{1}{2} and 50% are one Fraction, and 0.1 + 0.2 is not 0.3 by accident.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Quantity", "canonical", "compare", "quantity"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit.

    Attributes:
        value: The number as it is written; 50 for 50%.
        step: What the last digit that is written counts; 0 for a fraction. A number can be the rounding of another
            that is less than a step away.
        unit: The unit in one spelling, "%" among them; "" if there is none.
        thousand: Whether its one point or comma has three digits behind it, as in 1.234 and 1,234: which of the two is
            a thousand times the other depends on the country.
    """

    value: Fraction
    step: Fraction
    unit: str = ""
    thousand: bool = False


def canonical(answer: str) -> str:
    """The answer without what only says how it is set: delimiters, spacing, sizes, the full stop. Case is kept.

    Texts of more than 300 characters are no short answers, and come back as they are, without blanks around.
    """
    text = answer.strip()
    if len(text) > _LONGEST:
        return text
    if not text.isascii():
        text = text.translate(_TWINS)
    text = _bare(_END_TOKEN.sub("", text))
    if text.isalnum():
        return text
    if "\\" in text or "{" in text:
        text = _plain_latex(text)
    text = " ".join(text.split())
    if ", " in text:
        text = _LIST.sub(";", text)
    text = _NEEDLESS_BLANK.sub("", text)
    if "\\" in text or "^" in text or "_" in text:
        text = _SINGLE_DENOMINATOR.sub(r"\1{\2}", _SINGLE_ARGUMENT.sub(r"\1{\2}", text))
        text = _SINGLE_SCRIPT.sub(r"\1\2", text)
    choice = _CHOICE.fullmatch(text)
    return choice[1] if choice else text


def quantity(text: str) -> Quantity | None:
    """The number that an answer in its canonical spelling is; None if it is none, or one with words we do not know."""
    if len(text) > _LONGEST:
        return None
    lead = _LEAD.match(text)
    if lead is None:
        return None
    for pattern in (_LATEX_FRACTION, _FRACTION, _DECIMAL):
        match = pattern.match(text, lead.end())
        if match is not None:
            break
    else:
        return None
    number = _decimal(match) if pattern is _DECIMAL else _fraction(match)
    unit = _unit(lead["before"] or lead["behind"] or "", text[match.end() :].lstrip(" "))
    if number is None or unit is None:
        return None
    value, step = number
    thousand = pattern is _DECIMAL and _THOUSAND.fullmatch(match["number"]) is not None
    return Quantity(-value if lead["sign"] == "-" else value, step, unit, thousand)


def compare(one: Quantity, other: Quantity) -> bool | None:
    """Whether two numbers are surely the same (True) or surely not (False).

    None is what a person might see either way: one can be the rounding of the other (0.33 and 1/3, 18 and 17.6), units
    that may be converted into each other, 50 for 50%, and 1.234 for 1234.
    """
    verdict = _compare(one, other)
    if verdict is False and (one.thousand or other.thousand) and 1000 in _ratios(one.value, other.value):
        return None
    return verdict


def _ratios(one: Fraction, other: Fraction) -> tuple[Fraction, ...]:
    return (one / other, other / one) if one and other else ()


def _compare(one: Quantity, other: Quantity) -> bool | None:
    if one.unit == other.unit:
        if one.value == other.value:
            return True
        return None if abs(one.value - other.value) < max(one.step, other.step) else False
    if one.unit and other.unit:
        return None
    if "%" in {one.unit, other.unit}:
        return _compare_percent(*((one, other) if one.unit else (other, one)))
    if one.value == other.value:
        return True
    if not {one.unit, other.unit} <= _WITHOUT_CONVERSION or abs(one.value - other.value) < max(one.step, other.step):
        return None
    # Dollars against cents, or thousands of dollars.
    return None if one.value and other.value and _is_power_of_ten(one.value / other.value) else False


def _compare_percent(percent: Quantity, bare: Quantity) -> bool | None:
    share, step = percent.value / 100, max(percent.step / 100, bare.step)
    if share == bare.value:
        return True
    if abs(share - bare.value) < step or abs(percent.value - bare.value) < max(percent.step, bare.step):
        return None
    return None if percent.value == bare.value else False


def _is_power_of_ten(ratio: Fraction) -> bool:
    high, low = max(abs(ratio.numerator), ratio.denominator), min(abs(ratio.numerator), ratio.denominator)
    return low == 1 and str(high).strip("0") == "1"


def _bare(text: str) -> str:
    """The text without marks of emphasis, delimiters of formulas and full stops around it."""
    for _ in range(_WRAPPINGS):
        before = text
        text = text.strip(" \t\r\n*_`").rstrip(".,;:")
        for opening, closing in _DELIMITERS:
            if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
                inside = text[len(opening) : len(text) - len(closing)]
                if opening not in inside and closing not in inside:  # `$1$ or $2$`
                    text = inside
        if text == before:
            break
    return text


def _plain_latex(text: str) -> str:
    text = _THIN.sub("", text.replace("{,}", ","))
    text = _TEXT.sub(r"\1", text)
    text = _SIZE.sub(" ", text)
    text = _BLANK.sub(" ", text)
    text = _SIZED_FRACTION.sub(r"\\frac", text)
    text = _TIMES.sub("*", text)
    text = _AFTER_COMMAND.sub(r"\1", text)
    return text.replace("\\%", "%").replace("\\$", "$")


def _fraction(match: re.Match[str]) -> tuple[Fraction, Fraction] | None:
    top, bottom = _number(match["top"]), _number(match["bottom"])
    if not bottom:
        return None
    value = top / bottom
    if match["whole"]:
        return (int(match["whole"]) + value, Fraction(0)) if 0 < value < 1 else None
    return value, Fraction(0)


def _decimal(match: re.Match[str]) -> tuple[Fraction, Fraction]:
    digits = match["number"]
    scale = Fraction(10) ** int(match["exponent"] or 0)
    places = len(digits.partition(".")[2])
    return _number(digits) * scale, Fraction(1, 10**places) * scale


def _number(digits: str) -> Fraction:
    return Fraction(digits.replace(",", ""))


def _unit(sign: str, rest: str) -> str | None:
    """One spelling of the unit that a sign before a number and the words behind it give; None if that is not clear."""
    before = _UNITS[sign] if sign else ""
    if not rest:
        return before
    words = _UNIT.fullmatch(rest)
    if words is None or words["name"].lower() not in _UNITS or (words["shape"] and words["power"]):
        return None
    after = _UNITS[words["name"].lower()]
    if words["shape"] or words["power"]:
        after += words["power"] or ("^3" if words["shape"].lower() == "cubic" else "^2")
    return after if before in {"", after} else None


def _spellings() -> dict[str, str]:
    """Units by their spelling. None of one letter, which may be a variable."""
    words = (
        "cent dollar euro degree millimeter centimeter meter kilometer inch yard mile second minute hour day week month"
        " year gram kilogram pound ounce liter gallon point unit"
    )
    table = {spelling: word for word in words.split() for spelling in (word, f"{word}s")}
    table |= {"$": "dollar", "usd": "dollar", "€": "euro", "£": "pound sterling", "¥": "yen"}
    table |= {"^\\circ": "degree", "%": "%", "percent": "%", "inches": "inch", "feet": "foot", "foot": "foot"}
    table |= {"ft": "foot", "mm": "millimeter", "cm": "centimeter", "km": "kilometer", "kg": "kilogram", "lbs": "pound"}
    return table


_LONGEST = 300
_WRAPPINGS = 6
_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ('"', '"'), ("“", "”"))

# Full-width forms, and signs that have a spelling in ASCII or LaTeX.
_TWINS: dict[int, int | str] = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_TWINS |= dict.fromkeys(map(ord, "\xa0\u2007\u2009\u200a\u202f\u3000"), " ")
_TWINS |= {ord("−"): "-", ord("×"): "*", ord("·"): "*", ord("⋅"): "*", ord("÷"): "/", ord("⁄"): "/", ord("。"): "."}
_TWINS |= {ord("°"): "^\\circ ", ord("π"): "\\pi ", ord("∞"): "\\infty ", ord("’"): "'"}

_END_TOKEN = re.compile(r"(?:\s*(?:<\|[^|<>]{1,40}\|>|</s>))+$")
_THIN = re.compile(r"\\!\s*")
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm|normal)?|mathrm|mathbf|mathit|mbox|boxed) ?\{([^{}]*)\}")
_SIZE = re.compile(r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle)(?![A-Za-z])")
_BLANK = re.compile(r"(?<!\\)\\(?:[,;:> ]|q?quad(?![A-Za-z]))|~")
_SIZED_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_TIMES = re.compile(r"\\(?:times|cdot)(?![A-Za-z])")
_LIST = re.compile(r"(?<=[0-9]), (?=[0-9]{3}(?![0-9]))")  # without its blank it would be a thousand
_AFTER_COMMAND = re.compile(r"(\\[A-Za-z]+)\s+(?=[0-9])")
_NEEDLESS_BLANK = re.compile(r"(?<![0-9A-Za-z]) | (?![0-9A-Za-z])")
_SINGLE_ARGUMENT = re.compile(r"(\\(?:frac|sqrt)) ?([0-9A-Za-z])")
_SINGLE_DENOMINATOR = re.compile(r"(\\frac\{[^{}]*\}) ?([0-9A-Za-z])")
_SINGLE_SCRIPT = re.compile(r"([\^_])\{([0-9A-Za-z]|\\[A-Za-z]+)\}")
_CHOICE = re.compile(r"\(([A-Za-z])\)")

_WHOLE = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3}){1,12}(?![0-9])|0(?![0-9])|[1-9][0-9]{0,39})"  # 007 is a name
_DIGITS = rf"(?:{_WHOLE}(?:\.[0-9]{{0,40}})?|\.[0-9]{{1,40}})"
_THOUSAND = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
_LEAD = re.compile(r"(?P<before>[$€£¥])?(?P<sign>[-+])?(?P<behind>[$€£¥])?")
_DECIMAL = re.compile(rf"(?P<number>{_DIGITS})(?:(?:[eE]|\*10\^)\{{?(?P<exponent>[+-]?[0-9]{{1,2}})\}}?)?")
_FRACTION = re.compile(rf"(?:(?P<whole>[0-9]{{1,12}}) )?(?P<top>{_DIGITS})/(?P<bottom>{_DIGITS})")
_LATEX_FRACTION = re.compile(
    rf"(?:(?P<whole>[0-9]{{1,12}}) ?)?\\frac\{{(?P<top>-?{_DIGITS})\}}\{{(?P<bottom>{_DIGITS})\}}"
)
_UNIT = re.compile(
    r"(?:(?P<shape>square|sq|cubic) )?(?P<name>[%$€£]|\^\\circ|[a-z]{2,10})(?P<power>\^[23])?", re.IGNORECASE
)
_UNITS = _spellings()
_WITHOUT_CONVERSION = frozenset({"", "dollar", "euro", "pound sterling", "degree"})
