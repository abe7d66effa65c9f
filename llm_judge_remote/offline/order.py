"""What is to be done with a file: everything that the judgements depend on, and what an unfinished run had to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.offline.table import digest
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.scoring.lexical import PLACEHOLDERS
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Order", "check", "differences", "key_of"]

_JUDGING = (
    "model_name",
    "prompt_template",
    "temperature",
    "top_p",
    "max_new_tokens",
    "enable_thinking",
    "thinking_budget",
    "structured_output",
    "scoring",
    "mass_floor",
    "votes",
    "vote_reduce",
    "seed",
    "filter_gt_by_prompt_token",
    "routes",
    "scorer",
    "gate",
    "defences",
    "fallback",
    "fallback_metric",
)
"""Settings that a score depends on. Where the judge is, how fast and how patiently it is asked may change meanwhile."""


@dataclass(frozen=True, slots=True)
class Order:
    """A file to score.

    Attributes:
        input: Parquet or JSON.
        output: Parquet.
        candidate: Column of the candidates; None for the usual names.
        problem: The same of the problems.
        reference: The same of the references.
        prefix: Before the names of the columns that are added.
        failed_only: Judge only rows that fell back or failed in an earlier scoring, which `input` is the output of.
        keep_prompts: Add what the judge was sent.
        engine: `local`: this process; `ray`: the actors of a Ray cluster.
        actors: How many of them; None for one on each machine.
        max_not_judged: Share of rows that may fall back or fail before it is worth stopping; see `local`.
        overwrite: Replace an output that is there.
        restart: Drop what an unfinished run with another order has left.
    """

    input: Path
    output: Path
    candidate: str | None = None
    problem: str | None = None
    reference: str | None = None
    prefix: str = ""
    failed_only: bool = False
    keep_prompts: bool = False
    engine: str = "local"
    actors: int | None = None
    max_not_judged: float = 0.0
    overwrite: bool = False
    restart: bool = False

    @property
    def is_in_place(self) -> bool:
        """Whether the output takes the input's place."""
        return self.input.resolve() == self.output.resolve()

    def facts(self, settings: JudgeSettings) -> dict[str, Any]:
        """What the output depends on, of JSON's types; no keys, and no secrets."""
        chosen = settings.model_dump(mode="json", include=set(_JUDGING))
        if settings.routes is not None:
            chosen["routes"] = {
                prefix: {name: str(value) for name, value in profile.items() if name != "api_key"}
                for prefix, profile in settings.routes.items()
            }
        template = TemplateLibrary(PLACEHOLDERS).get(settings.prompt_template).text
        return {
            "recipe": "llm-judge-remote score",
            "input": {"name": self.input.name, "sha256": digest(self.input)},
            "columns": {
                "candidate": self.candidate,
                "problem": self.problem,
                "reference": self.reference,
                "prefix": self.prefix,
                "prompts": self.keep_prompts,
            },
            "failed_only": self.failed_only,
            "settings": {**chosen, "template_sha256": hashlib.sha256(template.encode()).hexdigest()},
        }


def key_of(facts: Mapping[str, Any]) -> str:
    """Another one for other facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """What of the facts is not as it was, in words."""
    found = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{path}{name}.")
        elif old != new:
            found.append(f"{path}{name} was {old!r} and is {new!r}")
    return found


def check(order: Order) -> None:
    """Refuse what cannot be done before anything is read.

    Raises:
        ConfigError: The order makes no sense.
    """
    if order.output.suffix != ".parquet":
        msg = f"{order.output}: the output is parquet; give it a name that ends with .parquet"
        raise ConfigError(msg)
    if order.output.is_dir():
        msg = f"{order.output} is a folder; name a file"
        raise ConfigError(msg)
    if order.is_in_place and not (order.failed_only or order.overwrite):
        msg = f"{order.output}: the output would replace the input; give it another name"
        raise ConfigError(msg)
