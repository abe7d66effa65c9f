"""What stands above a template's text: the scale, the system message, the verdict's form, and examples."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from llm_judge_remote.errors import ConfigError

__all__ = ["Example", "FrontMatter"]

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)
_FIELDS = {"range", "system", "verdict", "options", "examples"}
# What engines that hold a reply to a pattern do not know. Behind a backslash or in brackets, a sign is another thing.
_PIECE = re.compile(r"(?P<anchor>[\^$]|\\[AbBZ])|(?P<other>\\[1-9]|\(\?[^:])|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_EXAMPLE_FIELDS = ("problem", "reference", "candidate", "verdict")


@dataclass(frozen=True, slots=True)
class Example:
    """A row with the verdict that the judge should give."""

    problem: str
    reference: str
    candidate: str
    verdict: str


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The front matter of a template; see `PromptTemplate` for what the fields mean."""

    system: str = ""
    low: float = 0.0
    high: float = 1.0
    verdict: str = ""
    options: Mapping[str, float] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    @classmethod
    def split(cls, source: str, name: str) -> tuple[FrontMatter, str]:
        """The front matter of a template's source, and the text below it.

        Raises:
            ConfigError: It cannot be read; the message names the template and the field.
        """
        source = source.replace("\r\n", "\n").lstrip()
        match = _FRONT_MATTER.match(source)
        if match is None:
            return cls(), source.strip("\n")
        return cls._read(match.group(1), f"prompt_template {name}"), source[match.end() :].strip("\n")

    @classmethod
    def _read(cls, text: str, where: str) -> FrontMatter:
        try:
            head = yaml.safe_load(text) or {}
        except yaml.YAMLError as error:
            msg = f"{where}: the front matter is no YAML: {error}"
            raise ConfigError(msg) from None
        if not isinstance(head, dict) or not head.keys() <= _FIELDS:
            msg = f"{where}: the front matter takes {', '.join(sorted(_FIELDS))}, not {head!r}"
            raise ConfigError(msg)
        low, high = _read_range(head.get("range", [0, 1]), where)
        system, verdict = (_read_text(head, name, where) for name in ("system", "verdict"))
        _check_pattern(verdict, where)
        options = _read_options(head.get("options") or {}, low, high, where)
        if verdict and options:
            msg = f"{where}: verdict and options exclude each other; a reply is a number or one of the words"
            raise ConfigError(msg)
        examples = _read_examples(head.get("examples") or [], where)
        for example in examples:
            if example.verdict not in options if options else not re.fullmatch(verdict or r"[\d.]+", example.verdict):
                msg = f"{where}: the verdict {example.verdict!r} of an example is none that the template allows"
                raise ConfigError(msg)
        return cls(system, low, high, verdict, options, examples)


def _read_text(head: Mapping[str, Any], field_name: str, where: str) -> str:
    value = head.get(field_name)
    if value is None:
        return ""
    if not isinstance(value, str):
        msg = f"{where}: {field_name} is a text, not {value!r}; put it in quotes"
        raise ConfigError(msg)
    return value.strip()


def _check_pattern(verdict: str, where: str) -> None:
    try:
        pattern = re.compile(verdict)
    except re.error as error:
        msg = f"{where}: verdict={verdict!r} is no regular expression: {error}"
        raise ConfigError(msg) from None
    for piece in _PIECE.finditer(verdict):
        if piece.lastgroup == "anchor":
            msg = f"{where}: verdict={verdict!r} holds the anchor {piece.group()}, which servers refuse; leave it out, "
            msg += "as the whole score must match anyway"
            raise ConfigError(msg)
        if piece.lastgroup == "other":
            msg = f"{where}: verdict={verdict!r} holds {piece.group()}, which servers refuse, as they do all flags, "
            msg += "lookarounds, named groups and backreferences; write out what is allowed, with plain groups: "
            msg += "(...) or (?:...)"
            raise ConfigError(msg)
    if verdict and pattern.fullmatch(""):
        msg = f"{where}: verdict={verdict!r} allows a reply without a score; write a pattern that needs a digit, "
        msg += "as in '[0-9]', or leave verdict out to let the judge say more"
        raise ConfigError(msg)


def _read_range(value: object, where: str) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
        low, high = float(value[0]), float(value[1])
        if low < high and math.isfinite(high - low):
            return low, high
    msg = f"{where}: range is two numbers, the lower first, not {value!r}"
    raise ConfigError(msg)


def _read_options(value: object, low: float, high: float, where: str) -> dict[str, float]:
    if not isinstance(value, dict) or not all(isinstance(word, str) and word.strip() == word for word in value):
        msg = f"{where}: options are scores by word, not {value!r}; put words in quotes, as a bare Yes is true in YAML"
        raise ConfigError(msg)
    for word, score in value.items():
        if not (_is_number(score) and low <= score <= high and re.search(r"\w", word)):
            msg = f"{where}: the option {word!r} is a word with a score from {low:g} to {high:g}, not {score!r}"
            raise ConfigError(msg)
    if value and (len(value) < 2 or len({word.lower() for word in value}) < len(value)):
        msg = f"{where}: options are two words or more that differ by more than case, not {value!r}"
        raise ConfigError(msg)
    return {word: (float(score) - low) / (high - low) for word, score in value.items()}


def _read_examples(value: object, where: str) -> tuple[Example, ...]:
    if not isinstance(value, list):
        msg = f"{where}: examples are a list, not {value!r}"
        raise ConfigError(msg)
    examples = []
    for each in value:
        if not (isinstance(each, dict) and {"candidate", "verdict"} <= each.keys() <= set(_EXAMPLE_FIELDS)):
            msg = f"{where}: an example has {', '.join(_EXAMPLE_FIELDS)}, not {each!r}"
            raise ConfigError(msg)
        texts = {name: each.get(name, "") for name in _EXAMPLE_FIELDS}
        wrong = next((name for name, text in texts.items() if not isinstance(text, str)), None)
        if wrong is not None:
            msg = f"{where}: {wrong} of an example is a text, not {texts[wrong]!r}; put it in quotes"
            raise ConfigError(msg)
        examples.append(Example(**texts))
    return tuple(examples)


def _is_number(value: object) -> bool:
    return type(value) in (int, float)
