"""The whole way from a data set to the files that a trainer reads: written in steps, and in the end all or none.

A step is a row group of the parquet file, and the lines of the pairs in it. Steps are made side by side and written in
their order. What is written is in a work folder beside the output, `.<output's name>.work`, until everything is there;
a run that was killed leaves it behind, and the next one with the same input and arguments goes on from there: it copies
the rows that are done into a new parquet file, as half of one cannot be read, and makes the others. As a step depends
on nothing but input and arguments, the files are the same in the end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from llm_judge_remote.dataset.order import Membership, Order, key_of
from llm_judge_remote.dataset.pair_lines import together
from llm_judge_remote.dataset.parquet import ROW_GROUP_ROWS, RowFile, unpacked
from llm_judge_remote.dataset.rows import RowOptions, schema
from llm_judge_remote.dataset.skipped import Skipped
from llm_judge_remote.dataset.source import Source
from llm_judge_remote.dataset.stages import Progress, Stages
from llm_judge_remote.dataset.steps import MEMBERS, NONMEMBERS, ROWS, in_order
from llm_judge_remote.dataset.targets import Augmentation
from llm_judge_remote.dataset.work_folder import WorkFolder, writing
from llm_judge_remote.errors import ConfigError, DatasetError

__all__ = ["Membership", "Prepared", "prepare"]

_PARQUET, _SUMMARY = "rows.parquet", "summary.json"
_MOST_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was written.

    Attributes:
        rows: In the parquet file.
        taken_over: How many of them an earlier run had made.
        files: All files; the parquet file first.
        skipped: Rows of the input that were left out.
    """

    rows: int
    taken_over: int
    files: tuple[Path, ...]
    skipped: Skipped


def prepare(
    source: Source,
    output: Path,
    options: RowOptions,
    *,
    recipe: str = "prepare",
    arguments: Mapping[str, Any] | None = None,
    membership: Membership | None = None,
    targets: str | None = None,
    subset_size: int | None = None,
    seed: int = 0,
    row_group_rows: int = ROW_GROUP_ROWS,
    on_progress: Callable[[int, int | None], None] = lambda *_: None,
) -> Prepared:
    """Write a data set as parquet, and where asked for members and non-members as JSON lines with a summary.

    Args:
        source: The items.
        output: The parquet file. `<stem>_members.jsonl`, `<stem>_nonmembers.jsonl` and `<stem>_summary.json` stand
            beside it.
        options: Of the rows.
        recipe: For the metadata: what was called.
        arguments: For the metadata: what the items depend on beside the files, of JSON's types; columns, for example.
            A run goes on from another one's work only if they are equal.
        membership: How to make pairs; None for plain rows.
        targets: How to add other solutions to each row's `target_gt`; see `llm_judge_remote.dataset.targets`.
        subset_size: Take only so many rows of the source, drawn by `seed`, in its order.
        seed: Of all that is drawn.
        row_group_rows: Most rows of a row group; fewer if their texts are long.
        on_progress: Called with the rows done, each time the data is gone through, and with how many there will be
            then, if that is known.

    Returns:
        What was written.

    Raises:
        DatasetError: The input cannot be read, or has too few rows, or the output cannot be written. Then no file of
            the output has changed; what is left for another run, if anything, the message says.
        ConfigError: `targets` cannot be read, or `output` is no name for a file, or a file of the output is an input.
    """
    if targets is not None:
        Augmentation.parse(targets)
        options = replace(options, include_target_gt=True)
    if membership is not None:
        options = replace(options, pair=membership.method)
    order = Order(source, options, recipe, arguments or {}, membership, targets, subset_size, seed, row_group_rows)
    _check_names(_named(order, output).values(), order.files())
    folder = output.with_name(f".{output.name}.work")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        facts = order.facts()
    except BaseException:
        with suppress(OSError):  # not empty: another run's
            folder.rmdir()
        raise
    with WorkFolder(folder, key_of(facts), _names(order)) as work:
        try:
            return _run(order, output, facts, work, Progress(on_progress))
        except DatasetError as error:
            if work.is_broken and work.notes:
                done = sum(note["rows"] for note in work.notes)
                msg = f"{error}; the {done} rows that are done are kept in {folder}, for the same command to go on"
                raise DatasetError(msg) from error
            work.remove()
            raise


def _run(order: Order, output: Path, facts: Mapping[str, Any], work: WorkFolder, progress: Progress) -> Prepared:
    taken_over = rows = sum(note["rows"] for note in work.notes)
    with Stages(order, work.folder, progress) as stages:
        steps = stages.steps()
        progress.begin(steps.total)
        parquet = work.folder / _PARQUET
        with RowFile(parquet, schema(order.options), facts, partial(work.writing, _PARQUET)) as file:
            for done in unpacked(work.folder / ROWS):
                file.write(done)
            progress(rows)
            for step in in_order(steps.after(rows), min(os.cpu_count() or 1, _MOST_WORKERS)):
                work.append(step.pieces, step.note)
                file.write(step.rows)
                rows += step.note["rows"]
                progress(rows)
        skipped = stages.skipped
    if order.membership is not None:
        summary = _summary(facts, work.notes, skipped)
        text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
        with work.writing(_SUMMARY):
            (work.folder / _SUMMARY).write_text(text, encoding="utf-8")
    named = _named(order, output)
    work.publish(named)
    return Prepared(rows, taken_over, (output, *(each for each in named.values() if each != output)), skipped)


def _named(order: Order, output: Path) -> dict[str, Path]:
    """What the files of the work folder are called in the end, the parquet file last."""
    if not output.name or output.name == "..":
        msg = f"{output} is a folder; the output is the name of a parquet file"
        raise ConfigError(msg)
    beside = () if order.membership is None else (MEMBERS, NONMEMBERS, _SUMMARY)
    return {**{name: output.with_name(f"{output.stem}_{name}") for name in beside}, _PARQUET: output}


def _check_names(outputs: Iterable[Path], inputs: Iterable[str]) -> None:
    """Refuse to write over what is no file, or is an input: its rows would be gone."""
    inputs = list(inputs)
    for each in outputs:
        with writing(each):
            if not each.exists():
                continue
            if not each.is_file():
                msg = f"{each} is {'a folder' if each.is_dir() else 'no file'}; the output would take its place"
                raise ConfigError(msg)
            for file in inputs:
                if each.samefile(file):
                    msg = f"{each} would be written over, and {file} is an input: choose another name for the output"
                    raise ConfigError(msg)


def _names(order: Order) -> tuple[str, ...]:
    return (ROWS,) if order.membership is None else (ROWS, MEMBERS, NONMEMBERS)


def _summary(facts: Mapping[str, Any], notes: list[Any], skipped: Skipped) -> dict[str, Any]:
    count = sum(note["rows"] for note in notes)
    lengths = {
        kind: {part: together([note["lengths"][name][part] for note in notes]) for part in ("problem", "solution")}
        for kind, name in (("members", MEMBERS), ("nonmembers", NONMEMBERS))
    }
    return {
        "counts": {"members": count, "nonmembers": count, "skipped": skipped.count},
        "lengths in characters": lengths,
        "skipped": [{"file": Path(file).name, "line": line, "why": why} for file, line, why in skipped.first],
        **facts,
    }
