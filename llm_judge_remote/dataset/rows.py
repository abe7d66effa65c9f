"""Items become rows that a trainer reads: verl's columns, or SkyRL's.

Everything is done on whole columns; nothing here makes a Python object for a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llm_judge_remote.dataset.prompt import PROBLEM, TURNS, first_words, prompts
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.layers import settings_for_row
from llm_judge_remote.setting_sources import ALIASES, nearest
from llm_judge_remote.settings import ROW_FIELDS, JudgeSettings

__all__ = ["ENV_CLASS", "RowOptions", "first_references", "own_references", "schema", "verl_batch"]

ENV_CLASS = "llm_judge_remote"
"""The environment that rows of SkyRL's layout name; `llm_judge_remote.integrations.skyrl` registers it."""

_METHOD = "llm_judge"
_TEXTS = pa.list_(pa.string())


@dataclass(frozen=True, slots=True)
class RowOptions:
    """What all rows of a file have in common.

    Attributes:
        data_source: What the trainer's and this package's routes tell data sets apart by.
        split: `extra_info.split`.
        ability: verl's column of that name.
        style: `reward_model.style`; verl gives rows of style `rule` to its own rules in some releases.
        system_prompt: Put before prompts that have none of their own.
        prompt_template: The user's turn, with the problem in place of `{problem}`; other braces are text. Chat
            messages of the input are taken as they are.
        all_references: Whether `ground_truth` is the list of all references, and not the first one as a string.
        judge_settings: Settings of the judge that every row carries, by field name. Better kept in the trainer's
            configuration, which a data set outlives.
        include_target_gt: Whether `extra_info.target_gt`, which replaces `ground_truth`, is there.
        assistant_prefix_ratio: Share, from 0 to 1, of the solution's bytes with which an assistant's turn at the end
            of the prompt begins; cut behind a whole word.
        pair: The method that made the pairs of membership data, or None; rows then say whether they are a `member`.
        layout: Whose columns: `verl`'s, or `skyrl`'s with `env_class` and `reward_spec`.

    Raises:
        ConfigError: A value is of no use.
    """

    data_source: str
    split: str = "train"
    ability: str = "math"
    style: str = "model"
    system_prompt: str | None = None
    prompt_template: str | None = None
    all_references: bool = False
    judge_settings: Mapping[str, Any] = field(default_factory=dict)
    include_target_gt: bool = False
    assistant_prefix_ratio: float = 0.0
    pair: str | None = None
    layout: Literal["verl", "skyrl"] = "verl"

    def __post_init__(self) -> None:
        """Refuse what would make rows that nobody can use."""
        if not self.data_source:
            msg = "data_source: rows without one cannot be told from those of another data set"
            raise ConfigError(msg)
        if self.prompt_template is not None and PROBLEM not in self.prompt_template:
            msg = f"prompt_template: has no place for the problem; write {PROBLEM} where it belongs"
            raise ConfigError(msg)
        if not 0 <= self.assistant_prefix_ratio <= 1:
            msg = f"assistant_prefix_ratio: {self.assistant_prefix_ratio} is no share from 0 to 1"
            raise ConfigError(msg)
        if self.layout not in ("verl", "skyrl"):
            msg = f"layout: {self.layout!r} is neither verl nor skyrl"
            raise ConfigError(msg)
        object.__setattr__(self, "judge_settings", _checked(self.judge_settings))


def schema(options: RowOptions) -> pa.Schema:
    """The schema of all rows with these options.

    `data_source`, `prompt` (role, content), then verl's `ability` and `reward_model` (style, ground_truth) or SkyRL's
    `env_class` and `reward_spec` (method, ground_truth), and `extra_info`: `index` (of the row in the file), `split`,
    `problem`, where asked for `target_gt`, `member` (1 or 0) and `pair`, and the judge's settings.
    """
    truth = pa.field("ground_truth", _TEXTS if options.all_references else pa.string())
    if options.layout == "verl":
        scored = [
            pa.field("ability", pa.string()),
            pa.field("reward_model", pa.struct([pa.field("style", pa.string()), truth])),
        ]
    else:
        scored = [
            pa.field("env_class", pa.string()),
            pa.field("reward_spec", pa.struct([pa.field("method", pa.string()), truth])),
        ]
    extra = [pa.field("index", pa.int64()), pa.field("split", pa.string()), pa.field("problem", pa.string())]
    if options.include_target_gt:
        extra.append(pa.field("target_gt", _TEXTS))
    if options.pair is not None:
        extra += [pa.field("member", pa.int64()), pa.field("pair", pa.string())]
    extra += [pa.field(name, pa.scalar(value).type) for name, value in options.judge_settings.items()]
    fields = [pa.field("data_source", pa.string()), pa.field("prompt", TURNS), *scored]
    return pa.schema([*fields, pa.field("extra_info", pa.struct(extra))])


def verl_batch(
    items: pa.RecordBatch,
    options: RowOptions,
    *,
    start: int,
    member: int | None = None,
    target_gt: pa.Array | None = None,
) -> pa.RecordBatch:
    """The rows of items.

    Args:
        items: Of the schema `ITEMS`.
        options: Common to all rows.
        start: `extra_info.index` of the first row.
        member: 1 or 0 for membership data (`options.pair`), None otherwise.
        target_gt: Lists of texts, one for each item; without them the references that are the ground truth.

    Returns:
        As many rows, of `schema(options)`.

    Raises:
        ValueError: `member` is missing in membership data, or given elsewhere.
    """
    if (member is None) != (options.pair is None):
        msg = "member and options.pair belong together"
        raise ValueError(msg)
    count = items.num_rows
    problem = items.column("problem").cast(pa.string())
    own = own_references(items, options).cast(_TEXTS)
    solution = first_references(items).cast(pa.string())
    prefix = first_words(solution, options.assistant_prefix_ratio) if options.assistant_prefix_ratio else None
    prompt = prompts(
        problem,
        items.column("messages"),
        system=options.system_prompt,
        template=options.prompt_template,
        prefix=prefix,
    )
    truth = own if options.all_references else solution

    def same(value: Any) -> pa.Array:
        return pa.repeat(pa.scalar(value), count)

    extra = [pa.array(np.arange(start, start + count)), same(options.split), problem]
    if options.include_target_gt:
        extra.append(own if target_gt is None else target_gt.cast(_TEXTS))
    if options.pair is not None:
        extra += [same(member), same(options.pair)]
    extra += [same(value) for value in options.judge_settings.values()]
    if options.layout == "verl":
        scored = [same(options.ability), [same(options.style), truth]]
    else:
        scored = [same(ENV_CLASS), [same(_METHOD), truth]]
    made = schema(options)
    columns = [same(options.data_source), prompt, *scored, extra]
    return pa.record_batch([_column(each, of) for each, of in zip(columns, made, strict=True)], schema=made)


def own_references(items: pa.RecordBatch, options: RowOptions) -> pa.Array:
    """The texts that the items' own ground truth consists of, as lists: all references, or the first one alone."""
    references = items.column("references")
    if options.all_references:
        return references
    solutions = first_references(items)
    return pa.LargeListArray.from_arrays(pa.array(np.arange(len(solutions) + 1)), solutions)


def first_references(items: pa.RecordBatch) -> pa.Array:
    """The solution of each item."""
    references = items.column("references")
    texts = references.flatten()
    # None of them is empty: as many texts as items are one for each, and nothing has to be copied.
    return texts if len(texts) == len(references) else pc.list_element(references, 0)


def _column(values: pa.Array | list[pa.Array], of: pa.Field) -> pa.Array:
    if isinstance(values, list):
        return pa.StructArray.from_arrays(values, fields=list(of.type))
    return values


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """A row's settings by field name, each of use to a judge, and of a type that a column can have."""
    settings = {}
    for alias, value in given.items():
        name = ALIASES.get(alias, alias)
        if name not in ROW_FIELDS:
            what = "a row cannot change it" if name in JudgeSettings.model_fields else "unknown"
            msg = f"judge_settings: {alias!r}: {what}{nearest(alias, sorted(ROW_FIELDS))}; a row can change "
            raise ConfigError(msg + ", ".join(sorted(ROW_FIELDS)))
        if name == "api_key":
            msg = "judge_settings: a key does not belong into a data set; set LLM_JUDGE_API_KEY where the trainer runs"
            raise ConfigError(msg)
        if not _has_type(value):
            msg = f"judge_settings: {alias}={value!r}: only text, numbers, yes or no, and lists of texts go into rows"
            raise ConfigError(msg)
        settings[name] = value
    defaults = {name: each.get_default(call_default_factory=True) for name, each in JudgeSettings.model_fields.items()}
    settings_for_row(JudgeSettings.complete(defaults, "defaults"), settings)
    return settings


def _has_type(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(each, str) for each in value)
    return isinstance(value, (str, int, float, bool))
