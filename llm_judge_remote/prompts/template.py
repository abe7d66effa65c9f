"""One prompt template: its text, its score range, and how a row's texts get into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import jinja2
import jinja2.meta
import jinja2.sandbox

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.prompts.fence import Fence
from llm_judge_remote.prompts.front_matter import Example, FrontMatter

__all__ = ["Message", "PromptTemplate"]

Message = Mapping[str, str]
Measure = Callable[[str, str], float]

_FENCE = Fence()
_TEXTS = ("PROBLEM", "REFERENCE_SOLUTION", "CANDIDATE_SOLUTION")


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
        options: Score in [0, 1] by word, in a template whose reply is one of these words; empty for all others.
        examples: Rows with their verdicts, shown as earlier turns of the conversation.
        measures: Further placeholders: functions of (candidate, reference), called only where the text uses them.
    """

    name: str
    text: str
    system: str
    low: float
    high: float
    verdict: str
    options: Mapping[str, float]
    examples: tuple[Example, ...]
    measures: Mapping[str, Measure]

    @classmethod
    def parse(cls, source: str, name: str, measures: Mapping[str, Measure]) -> PromptTemplate:
        """A template from its source: YAML front matter between `---` lines, if any, and the text.

        The front matter takes `range`, `system`, `verdict` or `options`, and `examples`.

        Raises:
            ConfigError: The front matter or the Jinja cannot be read, or the candidate has no place in the text.
        """
        head, text = FrontMatter.split(source, name)
        template = cls(
            name, text, head.system, head.low, head.high, head.verdict, head.options, head.examples, measures
        )
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

    @cached_property
    def grammar(self) -> tuple[str, str] | None:
        """Regular expressions of the whole reply and of the verdict in it; None where the judge may say more."""
        if self.options:
            words = "|".join(re.escape(word) for word in self.options)
            return f"({words})", words
        return (f"REWARD: ({self.verdict})", self.verdict) if self.verdict else None

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

    def messages(self, *, problem: str, reference: str, candidate: str, fence: Fence = _FENCE) -> tuple[Message, ...]:
        """The chat messages that ask for one verdict.

        Raises:
            ConfigError: The Jinja fails on these texts.
        """
        return (*self._beginning(fence), self._question(problem, reference, candidate, fence))

    def _beginning(self, fence: Fence) -> tuple[Message, ...]:
        """What comes before the row, the same for all rows: the system message and the examples."""
        made = self._beginnings.get(fence)
        if made is None:
            turns: list[Message] = [{"role": "system", "content": self.system}] if self.system else []
            for each in self.examples:
                reply = each.verdict if self.options else f"REWARD: {each.verdict}"
                turns.append(self._question(each.problem, each.reference, each.candidate, fence))
                turns.append({"role": "assistant", "content": reply})
            made = self._beginnings[fence] = tuple(turns)
        return made

    def _question(self, problem: str, reference: str, candidate: str, fence: Fence) -> Message:
        values = {
            "PROBLEM": fence.text(problem),
            "REFERENCE_SOLUTION": fence.text(reference),
            "CANDIDATE_SOLUTION": fence.candidate(candidate, self.options),
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
        return {"role": "user", "content": content}

    @cached_property
    def _beginnings(self) -> dict[Fence, tuple[Message, ...]]:
        return {}

    @cached_property
    def _compiled(self) -> jinja2.Template:
        template = _ENVIRONMENT.from_string(self.text)
        template.globals = dict(template.globals)  # Jinja's own chain of mappings is walked through at each rendering
        return template

    @cached_property
    def _pieces(self) -> list[str]:
        """What stands between the placeholders of a text that is no Jinja, and at odd places their names."""
        return re.split(r"\{(" + "|".join((*_TEXTS, *self.measures)) + r")\}", self.text)


# Immutable and sandboxed: a template text may come with a row. Undefined names are an error, not an empty string.
_ENVIRONMENT = jinja2.sandbox.ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, keep_trailing_newline=False, trim_blocks=True, lstrip_blocks=True
)
