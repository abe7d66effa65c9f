r"""The answers that a text marks as such.

=====================================  ================================================================================
Mark                                   What is taken
=====================================  ================================================================================
`\boxed{...}`                          what stands in the outermost braces; boxes within it belong to it
`<answer>...</answer>`                 what stands between
`#### ...`                             the rest of the line, if it is a number or the text's last line: else a heading
`... answer is ...`                    up to the end of the sentence or the line; not if it is denied or supposed
`Answer: ...`, `**Final answer:** ..`  the same; if nothing stands there, the next line; not in a comment of a program
`A: ...`                               the same, on the text's last line only: elsewhere it may be a choice
=====================================  ================================================================================

Time is linear in the text's length, and little where there is no mark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_judge_remote.rules.doubts import goes_on, is_doubted
from llm_judge_remote.scoring.thinking import strip_thinking

__all__ = ["Answers", "final_answer", "marked_answers"]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a text gives as its answer.

    Attributes:
        final: The answer that counts, as it is written: the last box, else the last tag, else the last `####`, else the
            last sentence or line that says "answer"; "" if there is none, or it is empty or cut off.
        marked: All that stands in boxes, in tags and behind `####`. More than one different is a hedge.
        said: All that a sentence or a line gives as the answer; some of it may only mention one.
        doubtful: Whether the final answer is only said in a sentence, and the text behind it goes on to another number
            or choice, or doubts it: "the answer is 18. But wait".
    """

    final: str = ""
    marked: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    doubtful: bool = False


def final_answer(text: str, *, whole: bool = False) -> str | None:
    r"""The answer that a text ends in, as it is written there.

    Args:
        text: A solution. Its thinking (`<think>` and the like) is passed over.
        whole: Whether a text of one short line that marks no answer is one.

    Returns:
        What the last mark gives, without blanks around; see the table above. None if there is no mark, or if the
        last box is empty or cut off, or in an unfinished thought.
    """
    return marked_answers(text, whole=whole).final or None


def marked_answers(text: str, *, whole: bool = False) -> Answers:
    """All answers that a text marks, in the order of the text; see `final_answer`."""
    spoken = strip_thinking(text)
    if spoken is None:
        return Answers()
    boxes = _boxes(spoken)
    tags = _tags(spoken)
    hashes = _hashes(spoken)
    said, doubtful = _said(spoken)
    final = next((found[-1] for found in (boxes, tags, hashes, said) if found), "")
    if not (boxes or tags or hashes or said) and whole:
        line = spoken.strip()
        final = line if len(line) <= _SHORT and "\n" not in line else ""
    return Answers(final, (*boxes, *tags, *hashes), tuple(said), doubtful and not (boxes or tags or hashes))


def _boxes(text: str) -> list[str]:
    start = text.find("\\boxed")
    if start < 0:
        return []
    found: list[str] = []
    depth = level = 0
    content = -1  # where the box that is open began
    denied = False
    for brace in _BRACE.finditer(text, start):
        sign = brace.group()
        if sign == "}":
            if content >= 0 and depth == level:
                found.append("" if denied else text[content : brace.start()].strip())
                content = -1
            depth = max(depth - 1, 0)
        elif sign == "{" or sign.startswith("\\b"):
            depth += 1
            if sign != "{" and content < 0:
                content, level = brace.end(), depth
                denied = _DENIAL.search(text, max(brace.start() - 24, 0), brace.start()) is not None
    return [*found, ""] if content >= 0 else found  # cut off


def _tags(text: str) -> list[str]:
    if "</answer>" not in text:
        return []
    return [content for tag in _TAG.finditer(text) if (content := tag[1].strip()) and "\\boxed" not in content]


def _hashes(text: str) -> list[str]:
    if "####" not in text:
        return []
    end = len(text.rstrip())
    return [
        line[1].strip(_AROUND)
        for line in _HASHES.finditer(text)
        if _NUMERIC.fullmatch(line[1]) or (line.end() >= end and "\\boxed" not in line[1])
    ]


def _said(text: str) -> tuple[list[str], bool]:
    """What sentences and lines give as the answer, and whether the last of it is doubtful; see `Answers`."""
    found = []
    behind = -1  # where the text goes on, if the last one is in a sentence
    for word in _WORD.finditer(text) if "nswer" in text or "NSWER" in text else ():
        says = _IS.match(text, word.end())
        labelled = False
        if says is None and _begins_line(text, word.start()):
            says = (_COLON if word.group()[0] == "A" else _PLAIN_COLON).match(text, word.end())
            labelled = True
        content = _sentence(text, says.end()) if says else ""
        if not says or not content or "\\boxed" in content or "<answer>" in content:
            continue
        if labelled or not is_doubted(text, word.start()):
            found.append(content)
            behind = -1 if labelled else text.find(content, says.end()) + len(content)
    end = len(text.rstrip())
    last = _LETTER_A.match(text, text.rfind("\n", 0, end) + 1, end)
    if last and "\\boxed" not in last[1]:
        found.append(last[1].strip(_AROUND))
        behind = -1
    return found, behind >= 0 and goes_on(text, behind, found[-1])


def _begins_line(text: str, place: int) -> bool:
    """Whether nothing but signs and a few words like "final" stand before it on its line."""
    start = text.rfind("\n", max(place - _LONGEST_LABEL, 0), place) + 1
    if not start and place > _LONGEST_LABEL:
        return False
    return _LABEL.fullmatch(text, start, place) is not None and not _COMMENT.match(text, start, place)


def _sentence(text: str, start: int) -> str:
    """What stands from there to the end of the sentence or the line; "" if that is too long to be an answer."""
    blank = _NOTHING_YET.match(text, start)
    start = blank.end() if blank else start
    end = text.find("\n", start, start + _LONGEST + 1)
    if end < 0:
        end = start + _LONGEST + 1
    stop = _STOP.search(text, start, end)
    content = text[start : stop.start() if stop else end].strip(_AROUND)
    return content if len(content) <= _LONGEST else ""


_AROUND = " \t\r\n*_`"
_SHORT = 100  # characters
_LONGEST = 300

_DENIAL = re.compile(r"(?:\bnot?|n['’]t|\bnever)[^\w\n]{0,9}\Z")
_BRACE = re.compile(r"\\boxed[ \t]{0,9}\{|\\[{}]|[{}]")
_TAG = re.compile(r"<answer>([^<>]{0,300})</answer>", re.IGNORECASE)
_HASHES = re.compile(r"^[ \t]{0,9}####(?!#)[ \t]*([^\n]{1,300})$", re.MULTILINE)
_NUMERIC = re.compile(r"[ \t*$\\]*[-+]?[$\\]*[0-9.,/]*[0-9][%$* \t]*")  # `#### 1.` numbers a heading
_WORD = re.compile(r"[Aa](?:nswer|NSWER)")
_IS = re.compile(r"\s{1,4}(?:is|IS)(?![^\W_])[ \t*_:]{0,8}")
_LABEL = re.compile(r"[^\w\n]{0,9}_{0,3}(?:(?:the|my|our|final|correct)[ \t]{1,4}){0,2}", re.IGNORECASE)
_LONGEST_LABEL = 40
_COMMENT = re.compile(r"[ \t]*(?:#(?!#)|//|--|;|%|/\*)")  # `# answer: 5` in a program
_COLON = re.compile(r"[ \t*_]{0,4}[:=][ \t*_]{0,8}")
_PLAIN_COLON = re.compile(r"[ \t*_]{0,4}:[ \t*_]{0,8}")  # `answer = 5` is a line of a program
_LETTER_A = re.compile(r"[ \t*_]{0,9}A[*_]{0,3}:[ \t*_]{0,9}([^\n]{1,300})")
_NOTHING_YET = re.compile(r"[ \t*_$]{0,9}\n\s{0,9}")
_STOP = re.compile(r"\.(?=[\s*_]|$)|。")
