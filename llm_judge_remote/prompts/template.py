"""One prompt template: its text, its score range, and how a row's texts get into it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jinja2
import jinja2.meta
import jinja2.sandbox
import yaml

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.prompts.fence import fence, inert

__all__ = ["Message", "PromptTemplate"]

Message = Mapping[str, str]
Measure = Callable[[str, str], float]

_TEXTS = ("PROBLEM", "REFERENCE_SOLUTION", "CANDIDATE_SOLUTION")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)
_HEAD_FIELDS = {"range", "system", "verdict"}


@dataclass(frozen=True)
class PromptTemplate:
    """A prompt with placeholders, and the range of the score that it asks for.

    A text that holds `{{` or `{%` is Jinja, run in a sandbox; in any other, `{PROBLEM}`, `{REFERENCE_SOLUTION}`,
    `{CANDIDATE_SOLUTION}` and the names of `measures` are replaced in a single pass, and every other brace stays as it
    is. Either way a row's text is data: it is put in once and never looked at again.

    Attributes:
        name: For messages.
        text: The user message.
        system: The system message, or "" for none.
        low: The score of the worst candidate.
        high: The score of the best one.
        verdict: Regular expression of the score, in a template whose reply is the line `REWARD: <score>` and nothing
            else; "" for a template that lets the judge say more.
        measures: Further placeholders: functions of (candidate, reference), called only where the text uses them.
    """

    name: str
    text: str
    system: str
    low: float
    high: float
    verdict: str
    measures: Mapping[str, Measure]

    @classmethod
    def parse(cls, source: str, name: str, measures: Mapping[str, Measure]) -> PromptTemplate:
        """A template from its source: YAML front matter between `---` lines, if any, and the text.

        The front matter takes `range`, `system` and `verdict`.

        Raises:
            ConfigError: The front matter or the Jinja cannot be read, or the candidate has no place in the text.
        """
        head: dict[str, Any] = {}
        source = source.replace("\r\n", "\n").lstrip()
        match = _FRONT_MATTER.match(source)
        if match:
            try:
                head = yaml.safe_load(match.group(1)) or {}
            except yaml.YAMLError as error:
                msg = f"prompt_template {name}: the front matter is no YAML: {error}"
                raise ConfigError(msg) from None
            if not isinstance(head, dict) or not head.keys() <= _HEAD_FIELDS:
                msg = f"prompt_template {name}: the front matter takes {', '.join(sorted(_HEAD_FIELDS))}, not {head!r}"
                raise ConfigError(msg)
        low, high = _read_range(head.get("range", [0, 1]), name)
        text = source[match.end() :] if match else source
        system, verdict = (_read_text(head, field, name) for field in ("system", "verdict"))
        try:
            re.compile(verdict)
        except re.error as error:
            msg = f"prompt_template {name}: verdict={verdict!r} is no regular expression: {error}"
            raise ConfigError(msg) from None
        template = cls(name, text.strip("\n"), system, low, high, verdict, measures)
        used = template.placeholders
        if "CANDIDATE_SOLUTION" not in used:
            how = (
                "{{ CANDIDATE_SOLUTION }}, as `{{` or `{%` makes it Jinja"
                if template.is_jinja
                else "{CANDIDATE_SOLUTION}"
            )
            msg = f"prompt_template {name}: the text has no place for CANDIDATE_SOLUTION; write {how}"
            raise ConfigError(msg)
        return template

    @property
    def grammar(self) -> str | None:
        """Regular expression of the whole reply, where the template leaves the judge nothing else to say."""
        return f"REWARD: ({self.verdict})" if self.verdict else None

    @cached_property
    def is_jinja(self) -> bool:
        """Whether the text is Jinja."""
        return "{{" in self.text or "{%" in self.text

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """The placeholders that the text uses."""
        if not self.is_jinja:
            return frozenset(self._pieces[1::2])
        try:
            used = jinja2.meta.find_undeclared_variables(_ENVIRONMENT.parse(self.text))
        except jinja2.TemplateError as error:
            msg = f"prompt_template {self.name}: {error}"
            raise ConfigError(msg) from None
        unknown = sorted(used - {*_TEXTS, *self.measures})
        if unknown:
            known = ", ".join((*_TEXTS, *self.measures))
            msg = f"prompt_template {self.name}: unknown placeholder {unknown[0]}; there are {known}"
            raise ConfigError(msg)
        return frozenset(used)

    def messages(self, *, problem: str, reference: str, candidate: str) -> tuple[Message, ...]:
        """The chat messages that ask for one verdict.

        Raises:
            ConfigError: The Jinja fails on these texts.
        """
        values = {
            "PROBLEM": inert(problem),
            "REFERENCE_SOLUTION": inert(reference),
            "CANDIDATE_SOLUTION": fence(candidate),
        }
        for name in self.placeholders - values.keys():
            values[name] = f"{self.measures[name](candidate, reference):.3f}"
        if self.is_jinja:
            try:
                content = self._compiled.render(values)
            except Exception as error:  # noqa: BLE001 (whatever a template of the user does)
                msg = f"prompt_template {self.name}: {type(error).__name__}: {error}"
                raise ConfigError(msg) from None
        else:
            pieces = list(self._pieces)
            pieces[1::2] = [values[name] for name in pieces[1::2]]
            content = "".join(pieces)
        user = {"role": "user", "content": content}
        return ({"role": "system", "content": self.system}, user) if self.system else (user,)

    @cached_property
    def _compiled(self) -> jinja2.Template:
        return _ENVIRONMENT.from_string(self.text)

    @cached_property
    def _pieces(self) -> list[str]:
        """What stands between the placeholders of a text that is no Jinja, and at odd places their names."""
        return re.split(r"\{(" + "|".join((*_TEXTS, *self.measures)) + r")\}", self.text)


def _read_text(head: Mapping[str, Any], field: str, name: str) -> str:
    value = head.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        msg = f"prompt_template {name}: {field} is a text, not {value!r}; put it in quotes"
        raise ConfigError(msg)
    return value.strip()


def _read_range(value: object, name: str) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2 and all(type(bound) in (int, float) for bound in value):
        low, high = float(value[0]), float(value[1])
        if low < high and math.isfinite(high - low):
            return low, high
    msg = f"prompt_template {name}: range is two numbers, the lower first, not {value!r}"
    raise ConfigError(msg)


# Immutable and sandboxed: a template text may come with a row. Undefined names are an error, not an empty string.
_ENVIRONMENT = jinja2.sandbox.ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, keep_trailing_newline=False, trim_blocks=True, lstrip_blocks=True
)
