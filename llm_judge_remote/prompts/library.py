"""The templates by name, and templates that users write."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.prompts.template import Measure, PromptTemplate

__all__ = ["TemplateLibrary", "template_names"]


@lru_cache(maxsize=1)
def template_names() -> tuple[str, ...]:
    """The names that `prompt_template` takes."""
    files = (resources.files(__package__) / "templates").iterdir()
    return tuple(sorted(file.name.removesuffix(".jinja") for file in files if file.name.endswith(".jinja")))


class TemplateLibrary:
    """Templates, each parsed once.

    Args:
        measures: Placeholders beside the row's texts: functions of (candidate, reference).
    """

    _MAX_KEPT = 256  # a data set whose rows bring a template each must not fill the memory

    def __init__(self, measures: Mapping[str, Measure]) -> None:
        self._measures = measures
        self._parsed: dict[str, PromptTemplate] = {}

    def get(self, value: str) -> PromptTemplate:
        """The template for a value of `prompt_template`: one of the names, or a template's text.

        Raises:
            ConfigError: The value is neither; the message lists the names.
        """
        template = self._parsed.get(value)
        if template is None:
            if len(self._parsed) >= self._MAX_KEPT:
                self._parsed.clear()
            template = self._parsed[value] = self._parse(value)
        return template

    def _parse(self, value: str) -> PromptTemplate:
        if value in template_names():
            file = resources.files(__package__) / "templates" / f"{value}.jinja"
            source = file.read_text(encoding="utf-8")
            return PromptTemplate.parse(source, repr(value), self._measures)
        if "{" not in value:
            msg = (
                f"prompt_template={value!r} is no template; name one of {', '.join(template_names())}, "
                "or give a text with {PROBLEM}, {REFERENCE_SOLUTION} and {CANDIDATE_SOLUTION}"
            )
            raise ConfigError(msg)
        return PromptTemplate.parse(value, "given as text", self._measures)
