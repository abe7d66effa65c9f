r"""Reading the judge's verdict out of its reply.

A verdict is a line that begins with `REWARD:` and a number. Of several such lines the last one counts, whether it can
be read or not: an earlier one is what the judge no longer says. No number that stands elsewhere is ever taken, and
what can be read in two ways is not read at all. The judge can be asked again; a wrong score cannot be taken back.

Before `REWARD` there may be signs, `1.`, a few labels (final, overall, my, total, verdict, answer, score) and tags,
together no more than 40 characters, and behind it the range in brackets. `>` may not stand before it: it marks a
quotation. In the middle of a sentence `REWARD: 1` is a mention, not a verdict; so it is at the beginning of a
sentence, in quotation marks and with words behind them.

==============================================  =================================================================
What stands behind `REWARD:`                     How it is read
==============================================  =================================================================
`0.85`, `.85`, `8.5e-1`, `0,85`, `+0.85`         the number
`**0.85**`, `[0.85]`, `\boxed{0.85}`, `$0.85$`   the number; also alone on the next line that is not empty
`~0.85`, `about 0.85`                            the number: an approximation is what a score is
`0.85 (good)`, `0.85.`, `0.85 because ...`       the number; the words behind it do not matter
`85%`                                            a share of the whole range, whatever the range is
`17/20`, `17 out of 20`                          a share; a value of the range if the denominator is its upper end
`0.7-0.8`, `0.7 or 0.8`, `0.5 + 0.3 = 0.8`       nothing: a second number, with nothing but signs between them
`1 if correct`, `1 on a scale of 10`, `1?`       nothing: a condition, another scale, a question
`1,000`, `0.8.5`, `0.8x`, `0x1`, `1e999`, `nan`  nothing
==============================================  =================================================================

All expressions are written so that their time is linear in the reply's length.
"""

from __future__ import annotations

import math
import re
from collections import deque
from typing import NamedTuple

from llm_judge_remote.scoring.reply import answer_of
from llm_judge_remote.scoring.verdict import NoVerdict, ScoreRange, Verdict, clip

__all__ = ["NoVerdict", "ScoreRange", "Verdict", "find_verdict", "parse_verdict"]


def parse_verdict(
    reply: str, score_range: ScoreRange, *, cut_off: bool = False, thinking: bool = False
) -> float | NoVerdict:
    """The score in [0, 1] that a judge's reply gives, or why there is none: `find_verdict` without the place."""
    verdict = find_verdict(reply, score_range, cut_off=cut_off, thinking=thinking)
    return verdict if isinstance(verdict, NoVerdict) else verdict.score


def find_verdict(
    reply: str, score_range: ScoreRange, *, cut_off: bool = False, thinking: bool = False
) -> Verdict | NoVerdict:
    """The score that a judge's reply gives, and where.

    Args:
        reply: The judge's text.
        score_range: The scale that the judge was asked to use.
        cut_off: Whether the reply ended because its token budget did (`finish_reason` "length"). A verdict at its
            very end may lack its last digits, or the `%` or `/20` that would change what it means.
        thinking: Whether the judge was asked to think. Its thoughts may then have begun in the prompt: see
            `strip_thinking`.

    Returns:
        The score and the place of the number, or why there is none. `%` and `/20` belong to the number where they make
        it what it is; where it is the same without them (`8/10`, if 10 is the best score), the place is the digits'.
        Nothing is ever raised.
    """
    answer = answer_of(reply, opened=thinking and cut_off)
    if answer is None:
        return NoVerdict("unfinished thought")
    text = answer.text
    word = _REWARD.search(text)  # most of a reply stands before it, and is passed over quickly
    if word is None:
        return NoVerdict("no REWARD: line")
    last = deque(_HEAD.finditer(text, text.rfind("\n", 0, word.start()) + 1), maxlen=1)
    if not last:
        return NoVerdict("no REWARD: line")
    scale = last[0]["scale"]
    if scale is not None and not _is_range(scale, score_range):
        return NoVerdict(f"another scale: {clip(scale)}")
    start = last[0].end()
    end = _line_end(text, start)
    alone = len(_QUOTE.findall(last[0].group())) % 2 == 1
    if _NOTHING_YET.fullmatch(text, start, end):
        alone = True
        blank = _BLANK_LINES.match(text, end)
        start = blank.end() if blank else end
        end = _line_end(text, start)
        if start == end:
            return NoVerdict("nothing after REWARD:")
    number = _read(text[start:end], score_range, alone=alone)
    if isinstance(number, NoVerdict):
        return number
    if cut_off and end == len(text) and end - start - number.read < _LONGEST_SUFFIX:
        return NoVerdict("cut off within the verdict")
    start += answer.offset
    return Verdict(number.share, start + number.start, start + number.end)


class _Number(NamedTuple):
    """A number at the beginning of a line: its share of the range, its place, and how far it was read."""

    share: float
    start: int
    end: int
    read: int


def _is_range(text: str, score_range: ScoreRange) -> bool:
    match = _SCALE.fullmatch(text)
    try:
        return match is not None and (float(match[1]), float(match[2])) == (score_range.low, score_range.high)
    except ValueError:  # "1.2.3"
        return False


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _read(line: str, score_range: ScoreRange, *, alone: bool) -> _Number | NoVerdict:
    """The number that a line begins with. `alone`: no words may follow."""
    lead = _LEAD.match(line)
    number = _NUMBER.match(line, lead.end() if lead else 0)
    if number is None:
        return NoVerdict(f"not a number: {clip(line)}")
    unit = _UNIT.match(line, number.end())
    end = unit.end() if unit else number.end()
    measured = _measured(number.group(), unit, score_range)
    if measured is None or _doubtful(line, lead, end, alone=alone):
        return NoVerdict(f"not one clear number: {clip(line)}")
    value, scale = measured
    share = scale.normalise(value)
    if share is None:
        return NoVerdict(f"outside {score_range.low:g}..{score_range.high:g}: {clip(line[number.start() : end])}")
    bare = _value(number.group())
    alike = bare is not None and score_range.normalise(bare) == share
    return _Number(share, number.start(), number.end() if alike else end, end)


def _doubtful(line: str, lead: re.Match[str] | None, end: int, *, alone: bool) -> bool:
    """Whether what stands around a number could change what it means."""
    if _DOUBT.match(line, end) or _HEAD_AGAIN.search(line, end):
        return True
    if alone and not _NO_MORE.fullmatch(line, end):
        return True
    # `<0.85>` is a template filled in, `< 0.85` an inequality.
    if lead is None or "<" not in lead.group() or _ANGLE_CLOSED.match(line, end):
        return False
    return any(match[1] for match in _LEAD_ANGLE.finditer(lead.group()))


def _measured(digits: str, unit: re.Match[str] | None, score_range: ScoreRange) -> tuple[float, ScoreRange] | None:
    """A value and the range that it belongs to; None if that is not clear."""
    value = _value(digits)
    if value is None or unit is None:
        return None if value is None else (value, score_range)
    if unit["denominator"] is None:
        return value / 100, _WHOLE
    denominator = _value(unit["denominator"])
    if denominator == score_range.high:
        return value, score_range
    # 0.7/0.8 is more likely two scores than one.
    if not denominator or not denominator.is_integer():
        return None
    return value / denominator, _WHOLE


def _value(digits: str) -> float | None:
    """The number that digits stand for; None if they can be read in two ways, or are too large."""
    value = float(digits.replace(",", "."))
    return None if _THOUSANDS.match(digits) or not math.isfinite(value) else value


_WHOLE = ScoreRange()
_LONGEST_SUFFIX = 30  # characters; " out of 20" and its like are shorter

_REWARD = re.compile("[Rr][Ee][Ww][Aa][Rr][Dd]")  # quicker than with IGNORECASE, and the same
_TAG = r"</?(?:answer|b|code|em|final|i|output|p|result|reward|score|strong|verdict)>"
# In each of the alternations under a star below, the first character decides which alternative can match, or a wrong
# choice fails at the next character: that is what keeps them linear.
_COMMAND = r"\\(?:boxed|textbf|text|mathbf|mathrm)"
_SIGN = rf"(?:{_TAG}|{_COMMAND}|[^\w\n>»›]|_)"  # anything but letters, digits, and marks of quotation
_NO_LETTER = r"(?![^\W_])"
_HEAD = re.compile(
    r"^(?=[^\n]{0,40}?reward)"
    rf"{_SIGN}*(?:\d{{1,2}}[.)]{_SIGN}*)?"
    rf"(?:(?:final|overall|my|total|verdict|answer|score){_NO_LETTER}{_SIGN}+)*"
    rf"reward{_NO_LETTER}(?:[ \t]+(?:score|value){_NO_LETTER})?"
    r"(?:[ \t*_]*[(\[](?P<scale>[^()\[\]\n]{0,30})[)\]])?"
    rf"""(?:{_TAG}|[ \t*_`"'”’)\]}}$\\])*(?::=|[:=])""",
    re.IGNORECASE | re.MULTILINE,
)
_SCALE = re.compile(r"\s*(?:from\s)?\s*([-+]?[\d.]{1,9})\s*(?:-|–|to|\.\.)\s*([\d.]{1,9})\s*", re.IGNORECASE)
_HEAD_AGAIN = re.compile(r"\breward[\W_]{0,9}[:=]", re.IGNORECASE)
_NOTHING_YET = re.compile(rf"""(?:{_TAG}|[\s*_`"#$({{\[\\])*""", re.IGNORECASE)
_QUOTE = re.compile(r"""["'`“”‘’„«]""")
_BLANK_LINES = re.compile(r"(?:[ \t*_`#$\\()\[\]{}]*\n)*")

_LEAD = re.compile(
    rf"""(?:{_TAG}|[\s*_`"'“”‘’«(\[{{<$|≈]|~(?!~)|{_COMMAND}|\\"""
    r"|(?:about|around|roughly|approximately|approx\.?)(?=[\s~]))*",
    re.IGNORECASE,
)
_LEAD_ANGLE = re.compile(rf"{_TAG}|(<)", re.IGNORECASE)
_ANGLE_CLOSED = re.compile(r"(?:[^\w>]|_)*>")

_DIGITS = r"(?:\d{1,40}(?:[.,]\d{1,40})?|\.\d{1,40})(?:e[+-]?\d{1,3})?(?![^\W_]|[.,]\d)"
_NUMBER = re.compile(rf"[+-]?{_DIGITS}", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?0*[1-9]\d*,\d{3}(?!\d)")  # 1,000 may be 1 or 1000; 0,850 can only be 0.85

_CLOSE = rf"""(?:{_TAG}|\\[a-z]+\{{?|[\s*_`"'”’»)\]}}>$\\])*"""
_UNIT = re.compile(
    rf"{_CLOSE}(?:%|per\s?cent(?:age)?\b|pct\b"
    rf"|(?:[(\[]\s*)?(?:(?:points?|marks?)\s+)?(?:/|out\s+of\b|of\b)[\s*_`(\[{{}}]*(?P<denominator>{_DIGITS}))",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    rf"{_CLOSE}(?:[(\[,]\s*)?"
    r"(?:[/?‰%]|out\s+of\b|(?:if|when|whenever|unless)\b|(?:[-–—]{1,3}\s{0,3})?(?:(?:on|in|from|using)\b.{0,20})?\bscale\b"
    # "1 for correct, 0 for incorrect", "1 (correct) or 0 (incorrect)": what the scores mean, and none of them
    r"|for\b.*\d\s+(?:for|if|otherwise)\b"
    r"|[^\d\n]{0,80}?(?:[,;]|\bor\b|\band\b)\s{0,3}\d[\d.]{0,5}\s{0,3}(?:=|\(|means\b|for\b|if\b|otherwise\b))"
    # Another number, with nothing but signs or a conjunction between. Brackets open a remark: "0.85 (17 of 20 steps)".
    rf"|(?:{_TAG}|\\[a-z]+|[^\w(\[]|_)*"
    r"(?:(?:to|or|and|through|thru|until|in|over|per|plus|minus|times|vs|versus|but|then|now|not|x)\b[\W_]*)?\d",
    re.IGNORECASE,
)
_NO_MORE = re.compile(rf"(?:{_TAG}|[^\w]|_)*", re.IGNORECASE)
