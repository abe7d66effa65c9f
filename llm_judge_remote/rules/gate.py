"""A check by rule, before a judge is asked: what is surely right or surely wrong needs none."""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_judge_remote.rules.answers import Answers, final_answer, marked_answers
from llm_judge_remote.rules.choices import choice
from llm_judge_remote.rules.quantities import canonical, compare, quantity
from llm_judge_remote.rules.symbolic import symbolic_verdict

__all__ = ["final_answer", "rule_verdict"]


def rule_verdict(candidate: str, references: Sequence[str]) -> bool | None:
    """Whether the candidate's final answer is that of one of the references, where a rule can tell.

    The final answer is what `final_answer` says, or the whole text where that is one short line. Two of them are the
    same if they are spelt the same but for how they are set, if they are equal numbers (exactly: 0.50 and 1/2), or if
    the optional package `math-verify` finds them equal and so do their values. They differ if both are numbers, or
    expressions whose values differ. A choice is its letter: `(B) 12` is `B`. Words that differ may still
    mean the same, and are open.

    Returns:
        True if it surely is, False if it surely differs from all of them; None if that is open: no clear answer,
        several different ones, or two that cannot be compared.
    """
    text = candidate.strip()
    if text and any(text == reference.strip() for reference in references):
        return True
    answer = _clear_answer(candidate)
    if not answer or not references:
        return None
    verdicts = []
    for reference in references:
        wanted = _clear_answer(reference)
        verdict = _same(answer, wanted) if wanted else None
        if verdict:
            return True
        verdicts.append(verdict)
    return None if None in verdicts else False


def _clear_answer(text: str) -> str:
    """The final answer in its canonical spelling; "" if there is none, or others that are not the same."""
    answers = marked_answers(text, whole=True)
    if not answers.final or answers.doubtful:
        return ""
    final = canonical(answers.final)
    return "" if _is_hedge(answers, final) else final


def _is_hedge(answers: Answers, final: str) -> bool:
    if len({*answers.marked, *answers.said}) > _MOST_ANSWERS:
        return True
    for answer in answers.marked:
        if answer != answers.final and not _same(canonical(answer), final):
            return True
    # A sentence may say "the answer is the larger of the two", but a number or a choice in it is an answer.
    for answer in answers.said:
        if answer != answers.final:
            other = canonical(answer)
            clear = quantity(_split_name(other)[1]) is not None or choice(other) is not None
            if clear and not _same(other, final):
                return True
    return False


def _same(answer: str, wanted: str) -> bool | None:
    if answer == wanted:
        return True
    chosen, wanted_choice = choice(answer), choice(wanted)
    if chosen and wanted_choice:
        return _same_choice(chosen, wanted_choice)
    name, value = _split_name(answer)
    wanted_name, wanted_value = _split_name(wanted)
    if name and wanted_name and name != wanted_name:
        return None
    number, wanted_number = quantity(value), quantity(wanted_value)
    if number is not None and wanted_number is not None:
        return compare(number, wanted_number)
    if number is None and wanted_number is None:  # 1,000 is no list
        items, wanted_items = _split_list(value), _split_list(wanted_value)
        if items or wanted_items:
            return _same_lists(items, wanted_items) if items and wanted_items else None
    if value == wanted_value or _same_words(value, wanted_value):
        return True
    return symbolic_verdict(value, wanted_value)


def _same_choice(one: tuple[str, str], other: tuple[str, str]) -> bool | None:
    (letter, text), (other_letter, other_text) = one, other
    if not text or not other_text:  # a letter alone may be a name in a formula
        return True if letter == other_letter else None
    verdict = _same(text, other_text)
    # The same text with another letter, or the same letter with another text: one of the two is a slip.
    return verdict if verdict is (letter == other_letter) else None


def _same_lists(items: list[str], wanted: list[str]) -> bool | None:
    """Compare lists as `_split_list` gives them: first the brackets, then what stands in them."""
    if len(items) != len(wanted) or items[0] != wanted[0]:
        return None
    verdicts = [_same(*pair) for pair in zip(items[1:], wanted[1:], strict=True)]
    if all(verdicts):
        return True
    # Without brackets and in braces the order may not matter.
    return False if False in verdicts and items[0] in _ORDERED else None


def _same_words(one: str, other: str) -> bool:
    # Single letters and formulas mean something else in the other case.
    return len(one) >= _WORD and one.replace(" ", "").isalpha() and one.casefold() == other.casefold()


def _split_name(text: str) -> tuple[str, str]:
    """`x` and `5` for `x=5`; "" and the text where it is no such thing."""
    match = _NAMED.fullmatch(text)
    return (match[1], match[2]) if match else ("", text)


def _split_list(text: str) -> list[str]:
    """The brackets of a list and what stands in it between commas; nothing if it is no list."""
    if not 0 < text.count(",") + text.count(";") < _LONGEST_LIST:
        return []
    brackets = ""
    for opening, closing in _BRACKETS:
        if text.startswith(opening) and text.endswith(closing):
            brackets, text = opening + closing, text[len(opening) : -len(closing)]
            break
    items, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        if sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if depth < 0:  # (1,2)\cup(3,4)
                return []
        elif sign in ",;" and not depth:
            items.append(text[start:place])
            start = place + 1
    return [brackets, *items, text[start:]] if items else []


_MOST_ANSWERS = 8  # spelt differently; more would be compared for long
_LONGEST_LIST = 12
_WORD = 4  # letters
_BRACKETS = (("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"), ("\\{", "\\}"))
_ORDERED = frozenset({"()", "[]", "(]", "[)"})
_NAMED = re.compile(r"([A-Za-z](?:_[0-9A-Za-z]|\([a-z]\))?)=([^=]+)")
