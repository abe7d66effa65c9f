"""Reading a verdict that is one of a few words, such as Yes or No, out of the judge's reply.

The verdict is the last line that begins with `REWARD:`, `Verdict:`, `Answer:` or `Final answer:`; in a reply without
such a line, the reply itself. It is read where it is the bare option, in any case, with nothing around it but space,
Markdown, quotation marks, brackets, tags and final punctuation: `Yes`, `**No.**`, `Verdict: "yes"`, `{"REWARD": "No"}`.

Behind a head stands nothing else, to the end of the reply: `Answer: Yes, since 9 + 9 = 18` is how candidates end, and
a judge may end by repeating one. Above the head there may be anything but another option alone on the first line: a
judge that answers, and then makes up further questions and answers as in the examples of its prompt, is not read by the
last of these.

Behind an option without a head, words may follow and are passed over, on these conditions:

- Between stands one of `,` `.` `:` `;` and a blank, or a line break. What goes on in any other way may be `Yes or No`
  (the instruction echoed), `No doubt it is right`, `Yes?`.
- They do not begin with `but`, `if`, `or` and their like, which take back what was said; nor, behind a full stop, with
  a digit: `No. 5 is right`.
- No option with another score occurs in them: `No. Wait, the answer is: yes` can be read in two ways and is not read.
- The option is a word: `1. The candidate ...` counts its sentences.
- The option is not quoted: `"Yes", says the candidate` reports.

So a reason that follows is not looked at, and a judge that reasons itself out of its first word without naming another
is read by that word; a template that wants the reasons first asks for a head. A reply that was cut off gives no verdict
at all, since its last line is not known. The judge can be asked again; a wrong score cannot be taken back.

All expressions are written so that their time is linear in the reply's length.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from functools import lru_cache

from llm_judge_remote.scoring.reply import answer_of
from llm_judge_remote.scoring.verdict import NoVerdict, Verdict, clip

__all__ = ["find_option"]


def find_option(
    reply: str, options: Mapping[str, float], *, cut_off: bool = False, thinking: bool = False
) -> Verdict | NoVerdict:
    """The option that a judge's reply states, and where.

    Args:
        reply: The judge's text.
        options: Each option's score, in [0, 1].
        cut_off: Whether the reply ended because its token budget did (`finish_reason` "length").
        thinking: Whether the judge was asked to think: see `strip_thinking`.

    Returns:
        The score and the place of the option, or why there is none. Nothing is ever raised.
    """
    answer = answer_of(reply, opened=thinking and cut_off)
    if answer is None:
        return NoVerdict("unfinished thought")
    if cut_off:
        return NoVerdict("cut off, so that its last line is not known")
    text = answer.text
    names = tuple(name for name in options if name.strip())
    if not names:
        return NoVerdict("no options to choose from")
    option = _any_of(names)
    last = deque(_HEAD.finditer(text), maxlen=1)
    begin = last[0].end() if last else 0
    lead = _LEAD.match(text, begin)
    found = option.match(text, lead.end() if lead else begin)
    if found is None:
        return NoVerdict(f"none of the options: {clip(text[begin:])}")
    scores = [options[name] for name in names]
    score = scores[_index(found)]
    unlike = {name.casefold() for name, other in zip(names, scores, strict=True) if other != score}
    if names[_index(found)].casefold() in unlike:
        return NoVerdict(f"two options of the same name: {clip(found.group())}")
    if not _CLOSED.fullmatch(text, found.end()):
        remark = None if last or _QUOTE.search(text, 0, found.start()) else _remark(text, found)
        if remark is None or any(scores[_index(other)] != score for other in option.finditer(remark)):
            return NoVerdict(f"not one clear option: {clip(text[begin:])}")
    if last and (first := _opening(text, option)) and scores[_index(first)] != score:
        return NoVerdict(f"two options: {clip(first.group())} and {clip(found.group())}")
    return Verdict(score, answer.offset + found.start(), answer.offset + found.end())


def _opening(text: str, option: re.Pattern[str]) -> re.Match[str] | None:
    """The option that the reply begins with on a line of its own."""
    lead = _LEAD.match(text)
    first = option.match(text, lead.end() if lead else 0)
    if first is None:
        return None
    line_end = text.find("\n", first.end())
    return first if _CLOSED.fullmatch(text, first.end(), len(text) if line_end < 0 else line_end) else None


def _remark(text: str, found: re.Match[str]) -> str | None:
    """The words behind an option that may be passed over; None if they may not."""
    between = _BETWEEN.match(text, found.end())
    if between is None or _DOUBT.match(text, between.end()) or not any(sign.isalpha() for sign in found.group()):
        return None
    return text[between.end() :]


@lru_cache(maxsize=64)
def _any_of(names: tuple[str, ...]) -> re.Pattern[str]:
    """An option as a word of its own: one group for each, the longest tried first."""
    order = sorted(range(len(names)), key=lambda index: -len(names[index]))
    words = (rf"(?P<o{index}>{_SPACES.join(map(re.escape, names[index].split()))})" for index in order)
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(words)})(?![^\W_])", re.IGNORECASE)


def _index(match: re.Match[str]) -> int:
    # By group and not by text: what IGNORECASE takes for equal is not always equal when case-folded.
    return int((match.lastgroup or "o0")[1:])


_SPACES = r"[ \t]{1,9}"

_TAG = r"</?(?:answer|b|code|em|final|i|output|p|result|reward|score|strong|verdict)>"
_COMMAND = r"\\(?:boxed|textbf|text|mathbf|mathrm)"
_NO_LETTER = r"(?![^\W_])"
# A quotation (`>`) is no verdict of the judge, nor is what stands in the middle of a sentence.
_HEAD = re.compile(
    rf"^(?:{_TAG}|[^\w\n>»›~?]|_){{0,40}}(?:(?:my|final){_NO_LETTER}[ \t]{{1,9}}){{0,2}}"
    rf"(?:reward|verdict|answer){_NO_LETTER}"
    rf"""(?:{_TAG}|[ \t*_`"'”’)\]}}$\\]){{0,40}}(?::=|[:=])""",
    re.IGNORECASE | re.MULTILINE,
)
_LEAD = re.compile(rf"""(?:{_TAG}|[\s*_`"'“”‘’«(\[{{<$#]|{_COMMAND}|\\)*""", re.IGNORECASE)
_CLOSED = re.compile(rf"""(?:{_TAG}|[\s*_`"'”“’‘»)\]}}>$\\.,!])*""", re.IGNORECASE)
_BETWEEN = re.compile(r"[*_]{0,4}(?:(?:[,:;]|\.(?![\s*_]{1,9}\d))[*_]{0,4}[ \t]|[,.:;!]?[*_]{0,4}[ \t]*\n)\s*")
_DOUBT = re.compile(
    r"(?:although|assuming|but|except|however|if|maybe|not|only|or|perhaps|provided|though|unless|when|whenever)\b",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"""["'`“”‘’„«]""")
