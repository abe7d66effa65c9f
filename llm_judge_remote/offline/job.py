"""The whole way from a file of candidates to the same file with their judgements.

What is done is in a work folder beside the output, `.<output's name>.work`, until all rows are: parts of the output
that are complete, and a journal of the rows of those that are not. A run that was killed leaves it behind, and the
next one with the same input and settings goes on from there. The output appears in the end, at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_judge_remote.dataset.parquet import read_metadata
from llm_judge_remote.dataset.work_folder import WorkFolder, writing
from llm_judge_remote.errors import ConfigError, DatasetError
from llm_judge_remote.offline.journal import Journal
from llm_judge_remote.offline.layout import Layout
from llm_judge_remote.offline.local import Stopped, judge_locally
from llm_judge_remote.offline.order import Order, check, differences, key_of
from llm_judge_remote.offline.prompts import Prompts
from llm_judge_remote.offline.record import NAMES, judgement_schema, kept_columns
from llm_judge_remote.offline.row_judge import offline_settings
from llm_judge_remote.offline.table import Table, open_table
from llm_judge_remote.offline.tally import Tally
from llm_judge_remote.offline.work import OUTPUT, ROWS, Columns, Work
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Scored", "score_file"]

_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Scored:
    """How far a scoring came.

    Attributes:
        output: The file.
        rows: In the input.
        taken_over: Rows that an earlier run had done.
        seconds: That this run took for the others.
        tally: Of all rows that are done.
        work_folder: Where they are, if these are not all; else None.
        stopped: Why these are not all, in words; else "".
        signal: Of the signal that ended it; else 0.
    """

    output: Path
    rows: int
    taken_over: int
    seconds: float
    tally: Tally
    work_folder: Path | None = None
    stopped: str = ""
    signal: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether the output is there."""
        return self.work_folder is None

    @property
    def rows_per_s(self) -> float:
        """Rows that this run judged, by its seconds."""
        return (self.tally.rows - self.taken_over) / self.seconds if self.seconds else 0.0


def score_file(
    order: Order, settings: JudgeSettings, *, on_progress: Callable[[int, int, Tally], None] = lambda *_: None
) -> Scored:
    """Judge the rows of a file, and write it with their judgements.

    Args:
        order: What is to be done.
        settings: How; see `llm_judge_remote.offline.row_judge.offline_settings` for what differs from a call's.
        on_progress: Called a few times a second with the rows in all, the rows taken over, and the tally so far.

    Returns:
        How far it came. What is done is kept, and the same order goes on from there.

    Raises:
        ConfigError: Order or settings are of no use; nothing was done.
        DatasetError: The input cannot be read, or the output not written.
    """
    check(order)
    settings = offline_settings(settings)
    table = open_table(order.input)
    facts = order.facts(settings)
    folder = order.output.with_name(f".{order.output.name}.work")
    _clear_up(folder, order.output)
    if order.output.exists() and not order.overwrite and not order.is_in_place:
        return _there_already(order, facts, table)
    columns = _columns(order, table)
    with _work_folder(folder, facts, restart=order.restart) as opened:
        try:
            return _run(order, settings, table, columns, facts, opened, on_progress)
        finally:
            with suppress(OSError):
                _leave_nothing_empty(opened)


def _run(
    order: Order,
    settings: JudgeSettings,
    table: Table,
    columns: Columns,
    facts: Mapping[str, Any],
    folder: WorkFolder,
    on_progress: Callable[[int, int, Tally], None],
) -> Scored:
    prompts = Prompts(settings) if order.keep_prompts else None
    with ExitStack() as opened:
        journal = opened.enter_context(Journal(folder.folder, table.part_rows))
        work = opened.enter_context(Work(table, columns, folder, journal, {**facts, "key": key_of(facts)}, prompts))
        taken_over = work.taken_over

        def look() -> None:
            on_progress(table.row_count, taken_over, work.tally())

        def told(**more: Any) -> Scored:
            seconds = time.monotonic() - began
            return Scored(order.output, table.row_count, taken_over, seconds, work.tally(), **more)

        began = time.monotonic()
        try:
            if order.engine == "ray":
                from llm_judge_remote.offline.on_ray import judge_on_ray  # noqa: PLC0415 (ray is heavy, and an extra)

                judge_on_ray(work, settings, actors=order.actors, on_look=look)
            else:
                judge_locally(work, settings, stop_in_vain=order.max_not_judged < 1, on_look=look)
        except Stopped as why:
            opened.pop_all().__exit__(type(why), why, None)
            return told(work_folder=folder.folder, stopped=why.why, signal=why.signal)
    folder.publish({OUTPUT: order.output})
    return told()


def _columns(order: Order, table: Table) -> Columns:
    names = table.schema.names
    if order.failed_only and not {f"{order.prefix}{name}" for name in NAMES} <= set(names):
        msg = f"{order.input} is no output of an earlier scoring: it has no column {order.prefix}judge_outcome"
        raise ConfigError(msg)
    kept = kept_columns(names, order.prefix, with_prompt=order.keep_prompts)
    layout = Layout.of(kept, candidate=order.candidate, problem=order.problem, reference=order.reference)
    added = judgement_schema(order.prefix, with_prompt=order.keep_prompts)
    return Columns(layout, tuple(kept), added, order.prefix, order.failed_only)


def _there_already(order: Order, facts: Mapping[str, Any], table: Table) -> Scored:
    """The output is there: well, if it is what would be made."""
    if _made_by(order.output) != key_of(facts):
        msg = f"{order.output} is there already, and was made otherwise; give another name, or --overwrite"
        raise ConfigError(msg)
    tally = Tally()
    for chunk in open_table(order.output).chunks(0, table.part_rows):
        for values in zip(*(chunk.values(f"{order.prefix}{name}") for name in NAMES), strict=True):
            tally.add_values([*values])
    return Scored(order.output, table.row_count, table.row_count, 0.0, tally)


def _made_by(output: Path) -> str | None:
    """The key of the facts that a file was made with; None if this made it not."""
    try:
        return (read_metadata(output) or {}).get("key")
    except DatasetError:
        return None


def _clear_up(folder: Path, output: Path) -> None:
    """Remove a work folder whose file has its name already: the run was killed before it could do so itself."""
    before = _read(folder / _MANIFEST)
    if before is None or not (folder / ROWS).exists() or (folder / OUTPUT).exists():
        return
    if (folder / ROWS).stat().st_size and _made_by(output) == key_of(before):
        WorkFolder(folder, key_of(before), [ROWS]).remove()


def _work_folder(folder: Path, facts: Mapping[str, Any], *, restart: bool) -> WorkFolder:
    manifest = folder / _MANIFEST
    key = key_of(facts)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    before = _read(manifest)
    part = manifest.with_suffix(".part")  # which a full disk or a kill may have left
    if before is None and any(file != part for file in folder.iterdir()):
        msg = f"{folder} holds the work of another command; remove it, or give the output another name"
        raise ConfigError(msg)
    if before is not None and key_of(before) != key:
        if not restart:
            what = "; ".join(differences(before, facts))
            msg = (
                f"{folder} holds the work of a run that was not finished, with another order: {what}. "
                "Give the order of then to go on, or --restart to drop that work"
            )
            raise ConfigError(msg)
        WorkFolder(folder, key_of(before), [ROWS]).remove()  # which makes sure that nobody is at it
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    with writing(manifest):
        part.write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
        part.replace(manifest)
    return WorkFolder(folder, key, [ROWS])


def _read(manifest: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _leave_nothing_empty(folder: WorkFolder) -> None:
    """Remove a folder in which nothing was done."""
    if not folder.notes and not any(folder.folder.glob("judged-*.jsonl")):
        folder.remove()
