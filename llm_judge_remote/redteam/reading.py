"""Targets from files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.redteam.target import Target, answer_key
from llm_judge_remote.sample import as_text

__all__ = ["read_targets"]


def read_targets(path: Path, limit: int | None = None) -> tuple[Target, ...]:
    """The targets of a file, one for each row with a problem or a reference.

    Args:
        path: JSON lines, or parquet (`.parquet`, needs pandas). A row has `problem`, `reference`, and `candidate`: a
            wrong solution. Where that is missing or blank, the reference of the nearest later row with another final
            answer takes its place.
        limit: Take only so many rows, from the first on.

    Raises:
        ConfigError: The file cannot be read, a row has no reference, or a wrong candidate is nowhere to be had.
    """
    rows = _parquet(path) if path.suffix == ".parquet" else _json_lines(path)
    rows = list(islice(rows, limit)) if limit is not None else rows
    if not rows:
        msg = f"{path} has no rows"
        raise ConfigError(msg)
    texts = [{name: as_text(row.get(name)) for name in ("problem", "reference", "candidate")} for row in rows]
    references = [row["reference"] for row in texts]
    targets = []
    for index, row in enumerate(texts):
        candidate = row["candidate"]
        if row["reference"].strip() and not candidate.strip():
            candidate = _foreign(index, references, path)
        try:
            targets.append(Target(row["problem"], row["reference"], candidate))
        except ValueError as error:
            known = ", ".join(rows[index]) or "none"
            msg = f"{path}, row {index + 1}: {error} (its columns: {known})"
            raise ConfigError(msg) from None
    return tuple(targets)


def _foreign(index: int, references: Sequence[str], path: Path) -> str:
    own = answer_key(references[index])
    for other in (*references[index + 1 :], *references[:index]):
        if other.strip() and answer_key(other) != own:
            return other
    msg = f"{path}, row {index + 1}: it has no candidate, and no other row's reference has another final answer"
    raise ConfigError(msg)


def _json_lines(path: Path) -> list[Mapping[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines, which also splits inside of JSON strings
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ConfigError(msg) from None
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            msg = f"{path}, line {number}: no JSON: {error}"
            raise ConfigError(msg) from None
        if not isinstance(row, dict):
            msg = f"{path}, line {number}: holds a {type(row).__name__}; write one object a line"
            raise ConfigError(msg)
        rows.append(row)
    return rows


def _parquet(path: Path) -> list[Mapping[str, Any]]:
    try:
        import pandas as pd  # noqa: PLC0415 (heavy, and an extra)
    except ImportError:
        msg = f"{path} needs pandas: pip install 'llm-judge-remote[data]'"
        raise ConfigError(msg) from None
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        msg = f"{path} cannot be read: {error}"
        raise ConfigError(msg) from None
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
