"""What a judge makes of its prompt: the row that it is shown, and the form that its verdict is to have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_judge_remote.testing.conversation import message_text

__all__ = ["Form", "ShownRow", "read_row"]


@dataclass(frozen=True, slots=True)
class Form:
    """How a verdict is written: as a line `REWARD: <number>`, or as one of two words.

    Attributes:
        low: The number of the worst candidate.
        high: The number of the best one.
        decimals: Digits behind the point.
        words: The words for the worst and the best candidate, in place of the line.
        wants_reasons: Whether reasons are to come before the verdict.
    """

    low: float = 0.0
    high: float = 1.0
    decimals: int = 1
    words: tuple[str, str] | None = None
    wants_reasons: bool = False

    def write(self, share: float) -> str:
        """The verdict for a place in the range, from 0 for its worst to 1 for its best."""
        if self.words is not None:
            return self.words[share >= 0.5]
        return f"REWARD: {self.low + share * (self.high - self.low):.{self.decimals}f}"

    def share(self, value: float) -> float:
        """The place of a number in the range; of one outside, the nearest end."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row, as a prompt shows it.

    Attributes:
        problem: The task; "" where none is shown.
        reference: The reference solution.
        candidate: All that the candidate put into the prompt.
        outside: What of it stands behind a marker that ends the candidate, and so looks like the operator's: all that
            follows the first one. Without markers nothing tells candidate and operator apart, and this is None.
        form: How the verdict is to be written.
    """

    problem: str
    reference: str
    candidate: str
    outside: str | None
    form: Form


def read_row(messages: Sequence[Mapping[str, Any]]) -> ShownRow | None:
    """The row that a conversation asks about, in the last user message that shows one; None if there is none.

    Problem and reference stand between `<problem>`, `<reference>` and their ends, and behind them the candidate between
    `<candidate_CODE>` or `<candidate>` and its end. A prompt without such markers has lines `Problem:`, `Reference
    solution:` and `Candidate solution:`, in this order.
    """
    asked = [message_text(each) for each in messages if each.get("role") == "user"]
    system = "\n".join(message_text(each) for each in messages if each.get("role") == "system")
    for text in reversed(asked):
        row = _between_markers(text, system) or _under_headings(text, system)
        if row is not None:
            return row
    return None


def _between_markers(text: str, system: str) -> ShownRow | None:
    reference = _REFERENCE.search(text)
    opening = _CANDIDATE.search(text, reference.end()) if reference else None
    if reference is None or opening is None:
        return None
    closing = f"</{opening[1]}>"
    start, first, last = opening.end(), text.find(closing, opening.end()), text.rfind(closing)
    if first < 0:
        return None
    problem = _PROBLEM.search(text, 0, reference.start())
    head = text[: (problem or reference).start()]
    return ShownRow(
        problem[1] if problem else "",
        reference[1],
        text[start:last].removesuffix("\n"),
        text[first + len(closing) : last] if first < last else "",
        _read_form(f"{system}\n{head}", text[last:]),
    )


def _under_headings(text: str, system: str) -> ShownRow | None:
    reference = _REFERENCE_HEADING.search(text)
    candidate = _CANDIDATE_HEADING.search(text, reference.end()) if reference else None
    if reference is None or candidate is None:
        return None
    problem = _PROBLEM_HEADING.search(text, 0, reference.start())
    shown, tail = text[candidate.end() :], ""
    before, gap, last = shown.rpartition("\n\n")
    if gap and _ASKS.search(last):
        shown, tail = before, last
    return ShownRow(
        text[problem.end() : reference.start()].strip() if problem else "",
        text[reference.end() : candidate.start()].strip(),
        shown.strip("\n"),
        None,
        _read_form(f"{system}\n{text[: (problem or reference).start()]}", tail),
    )


def _read_form(head: str, tail: str) -> Form:
    """The form that instructions ask for; `tail` is what stands behind the row."""
    reasons = re.search(r"\breason(?:s|ing)?\b", tail, re.IGNORECASE) is not None
    words = None if _LINE.search(tail) or _LINE.search(head) else _WORDS.search(tail) or _WORDS.search(head)
    if words is not None:
        return Form(words=(words[2], words[1]), wants_reasons=reasons)
    bounds = _BOUNDS.search(tail) or _BOUNDS.search(head)
    if bounds is None:
        return Form(wants_reasons=reasons)
    low, high = sorted(float(bound) for bound in bounds.groups() if bound is not None)
    return Form(low, high, 1 if "." in bounds.group() else 0, wants_reasons=reasons) if low < high else Form()


_LINES = re.IGNORECASE | re.MULTILINE
_PROBLEM = re.compile(r"<problem>\n(.*?)\n</problem>", re.DOTALL)
_REFERENCE = re.compile(r"<reference>\n(.*?)\n</reference>", re.DOTALL)
_CANDIDATE = re.compile(r"^<(candidate(?:_\w+)?)>\n", re.MULTILINE)
_PROBLEM_HEADING, _REFERENCE_HEADING, _CANDIDATE_HEADING = (
    re.compile(rf"^[#* \t]*(?:the )?{name}(?:'s)?(?: solution| answer| response)?[* \t]*(?::[* \t]*|$)", _LINES)
    for name in ("(?:problem|question)", "reference", "candidate")
)
_ASKS = re.compile(r"REWARD: ?<|\bverdict\b|\banswer (?:with|only|\w+ or)\b|\breply\b", re.IGNORECASE)
_LINE = re.compile(r"REWARD\s*:")
_WORDS = re.compile(r"\b[Aa]nswer (?:with |only )?['\"`]?(\w+)['\"`]? or ['\"`]?(\w+)")
_BOUND = r"(-?\d+(?:\.\d+)?)"
_BOUNDS = re.compile(rf"<{_BOUND} or {_BOUND}>|from {_BOUND} to {_BOUND}")
