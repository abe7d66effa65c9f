"""Holding a reply to a grammar: the ways in which servers are asked for it, and what becomes of the reply."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llm_judge_remote.testing.regex_text import some_match
from llm_judge_remote.testing.wire import RequestError

__all__ = ["ConstraintKind", "Grammar", "read_grammar"]

ConstraintKind = Literal["structured_outputs", "guided_regex", "regex", "response_format", "ignored", "refused"]
"""How a server wants to be asked; see `JudgeServer`."""

_FIELDS = (
    "structured_outputs",
    "guided_regex",
    "guided_choice",
    "guided_json",
    "guided_grammar",
    "regex",
    "ebnf",
    "json_schema",
    "response_format",
)


def read_grammar(body: Mapping[str, Any], kind: ConstraintKind) -> Grammar | None:
    """What a request wants its replies to be held to, if the server understands it; other fields are passed over.

    Raises:
        RequestError: The field has no use, or the server refuses such fields.
    """
    if kind == "refused":
        found = next((name for name in _FIELDS if name in body), None)
        if found is not None:
            raise RequestError(400, f"extra fields not permitted: {found}", param=found)
        return None
    wanted = None if kind == "ignored" else body.get(kind)
    if wanted is None:
        return None
    if kind == "structured_outputs":
        if isinstance(wanted, dict) and isinstance(choices := wanted.get("choice"), list):
            return Grammar(_compile(_one_of(choices), kind), kind)
        wanted = wanted.get("regex") if isinstance(wanted, dict) else None
        return Grammar(_compile(wanted, kind), kind) if isinstance(wanted, str) else None
    if kind == "response_format":
        return _read_response_format(wanted)
    if not isinstance(wanted, str):
        raise RequestError(400, f"{kind} is a regular expression, not {wanted!r:.100}", param=kind)
    return Grammar(_compile(wanted, kind), kind)


@dataclass(frozen=True, slots=True)
class Grammar:
    """What replies are held to.

    Attributes:
        regex: Of the whole reply, or of the value in it.
        field: Of the request, for errors.
        name: Where the reply is a JSON object: its one property; else None.
        values: The property's values by their text, where they are listed.
    """

    regex: re.Pattern[str]
    field: str
    name: str | None = None
    values: Mapping[str, Any] | None = None

    def hold(self, text: str, probabilities: Mapping[str, float] | None) -> tuple[str, Mapping[str, float] | None]:
        """What becomes of a reply, and of the probabilities of what the judge could have said.

        A reply that the grammar allows stays as it is; of any other, its last part that is allowed is what is said.
        If there is none, it is the most probable of what is allowed, or a text that the grammar makes up. The
        probabilities are those among what is allowed, as in vLLM, which masks before it computes them.

        Raises:
            RequestError: Nothing that is allowed was found.
        """
        shares: dict[str, float] = {}
        for each, share in (probabilities or {}).items():
            allowed = self._allowed(each)
            if allowed is not None and share > 0.0:
                shares[allowed] = shares.get(allowed, 0.0) + share
        whole = sum(shares.values())
        said = self._allowed(text)
        if said not in shares and shares:
            said = max(shares, key=lambda each: shares[each])
        if said is None:
            said = self._made_up()
        return said, {each: share / whole for each, share in shares.items()} or None

    def _allowed(self, text: str) -> str | None:
        if self.name is None:
            return self._part(text)
        try:
            value = json.loads(text)[self.name]
        except (ValueError, LookupError, TypeError, RecursionError):
            # What stands behind the property's name is more likely its value than what stands before.
            part = self._part(text[text.rfind(self.name) + len(self.name) :] if self.name in text else text)
            return None if part is None else self._as_json(part)
        return self._as_json(str(value)) if self.regex.fullmatch(str(value)) else None

    def _part(self, text: str) -> str | None:
        if self.regex.fullmatch(text):
            return text
        found = (match.group() for match in _without_anchors(self.regex).finditer(text))
        return next((part for part in reversed(list(found)) if part and self.regex.fullmatch(part)), None)

    def _made_up(self) -> str:
        text = some_match(self.regex)
        if text is None:
            msg = f"{self.field}: this server cannot make up a text that matches {self.regex.pattern[:200]!r}"
            raise RequestError(400, msg, param=self.field)
        return text if self.name is None else self._as_json(text)

    def _as_json(self, text: str) -> str:
        return json.dumps({self.name: (self.values or {}).get(text, text)}, ensure_ascii=False)


def _read_response_format(wanted: object) -> Grammar | None:
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    described = wanted.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if isinstance(properties, dict) and len(properties) == 1:
        ((name, rule),) = properties.items()
        if isinstance(rule, dict) and isinstance(values := rule.get("enum"), list):
            regex = _compile(_one_of(values), "response_format")
            return Grammar(regex, "response_format", name, {str(each): each for each in values})
        if isinstance(rule, dict) and isinstance(pattern := rule.get("pattern"), str):
            return Grammar(_compile(pattern, "response_format"), "response_format", name)
    msg = "response_format: this server understands an object of one property with a pattern or an enum, and no other"
    raise RequestError(400, msg, param="response_format")


def _one_of(choices: list[Any]) -> str:
    return "|".join(re.escape(str(choice)) for choice in sorted(choices, key=lambda each: -len(str(each))))


def _compile(pattern: str, field: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise RequestError(400, f"Invalid {field} regex: {error}", param=field) from None


def _without_anchors(regex: re.Pattern[str]) -> re.Pattern[str]:
    """For a search within a text; `^(a|b)$` becomes `(a|b)`."""
    bare = regex.pattern.removeprefix("^")
    escapes = len(bare) - 1 - len(bare[:-1].rstrip("\\"))  # a `$` behind an odd number of them is a dollar sign
    return re.compile(bare[:-1] if bare.endswith("$") and escapes % 2 == 0 else bare, regex.flags)
