"""A text that a regular expression matches: what a judge says when a grammar leaves it nothing else."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable
from typing import Any

__all__ = ["some_match"]

# The parser of `re` itself; Python has no other name for it.
_PARSER: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

_MOST_CHARACTERS = 10_000
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.,:;!?'\"()[]{}<>/\\|@#$%^&*+=~` \n\t"
_CLASSES = {"DIGIT": r"\d", "NOT_DIGIT": r"\D", "SPACE": r"\s", "NOT_SPACE": r"\S", "WORD": r"\w", "NOT_WORD": r"\W"}
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_NOTHING = ("AT", "ASSERT", "ASSERT_NOT")


def some_match(regex: re.Pattern[str]) -> str | None:
    """A text that the whole regular expression matches, about the shortest there is; always the same one.

    Literals, classes, groups, references to them, alternatives, repeats and anchors are understood. Of alternatives the
    shortest is taken, of a class the first of digits, small letters, capitals and signs. Where look-arounds or
    conditions want something else, there is no answer.

    Returns:
        The text, or None if none was found.
    """
    try:
        text = _Writer().sequence(_PARSER.parse(regex.pattern, regex.flags))
    except (_CannotError, RecursionError):
        return None
    return text if regex.fullmatch(text) else None


class _CannotError(Exception):
    """The expression holds what is not understood."""


class _Writer:
    """Writes down what a parsed expression matches; `groups` holds what the groups did so far."""

    def __init__(self) -> None:
        self.groups: dict[int, str] = {}

    def sequence(self, parsed: Iterable[tuple[Any, Any]]) -> str:
        text = "".join(self._one(str(operation), argument) for operation, argument in parsed)
        if len(text) > _MOST_CHARACTERS:
            raise _CannotError
        return text

    def _one(self, operation: str, argument: Any) -> str:
        if operation == "LITERAL":
            return chr(argument)
        if operation == "NOT_LITERAL":
            return _first(lambda letter: letter != chr(argument))
        if operation == "ANY":
            return _LETTERS[0]
        if operation == "IN":
            return _of_class(argument)
        if operation == "BRANCH":
            return min((self.sequence(each) for each in argument[1]), key=len)
        if operation in _REPEATS:
            return self._repeated(argument)
        if operation == "SUBPATTERN":
            text = self.sequence(argument[-1])
            if argument[0] is not None:
                self.groups[argument[0]] = text
            return text
        if operation == "ATOMIC_GROUP":
            return self.sequence(argument)
        if operation == "GROUPREF":
            return self.groups.get(argument, "")
        if operation in _NOTHING:
            return ""
        raise _CannotError

    def _repeated(self, argument: Any) -> str:
        least: int = argument[0]
        inner = argument[2]
        text = self.sequence(inner) if least else ""
        if least * len(text) > _MOST_CHARACTERS:
            raise _CannotError
        return text * least


def _of_class(items: list[tuple[Any, Any]]) -> str:
    negated = str(items[0][0]) == "NEGATE"
    members = items[1:] if negated else items
    for letter in _LETTERS:
        if any(_is_in(letter, str(kind), value) for kind, value in members) != negated:
            return letter
    for kind, value in () if negated else members:  # beyond ASCII
        if str(kind) in ("LITERAL", "RANGE"):
            return chr(value if str(kind) == "LITERAL" else value[0])
    raise _CannotError


def _is_in(letter: str, kind: str, value: Any) -> bool:
    if kind == "LITERAL":
        return letter == chr(value)
    if kind == "RANGE":
        return bool(value[0] <= ord(letter) <= value[1])
    expression = _CLASSES.get(str(value).removeprefix("CATEGORY_"))
    if kind != "CATEGORY" or expression is None:
        raise _CannotError
    return re.match(expression, letter) is not None


def _first(wanted: Any) -> str:
    return next(letter for letter in _LETTERS if wanted(letter))
