"""From files to a report: one walk for the numbers, and the texts of a few rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.report import formats
from llm_judge_remote.report.columns import Wanted
from llm_judge_remote.report.examples import ExampleGroup, read_examples
from llm_judge_remote.report.load import Progress, load
from llm_judge_remote.report.matching import Match, match_rows
from llm_judge_remote.report.picks import pick_rows
from llm_judge_remote.report.plots.figure import Figure
from llm_judge_remote.report.prompts import prompt_source
from llm_judge_remote.report.scored import Scored
from llm_judge_remote.report.section import Section, Tile
from llm_judge_remote.report.sections.agreement import agreement
from llm_judge_remote.report.sections.comparison import comparison
from llm_judge_remote.report.sections.groups import groups
from llm_judge_remote.report.sections.outcomes import outcomes
from llm_judge_remote.report.sections.over_time import over_time
from llm_judge_remote.report.sections.scores import scores
from llm_judge_remote.report.sections.speed import speed
from llm_judge_remote.report.source import open_source
from llm_judge_remote.report.texts import one_line

__all__ = ["Report", "ReportOptions", "make_report"]


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report is made by.

    Attributes:
        wanted: Columns that the user names.
        threshold: Score from which on a candidate counts as taken for right.
        against: A second file, of another judge.
        examples: Most rows to read of each sort.
        template: Prompt template to render prompts with; "" for that of the settings.
    """

    wanted: Wanted = field(default_factory=Wanted)
    threshold: float = 0.5
    against: Path | None = None
    examples: int = 8
    template: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A report as a value.

    Attributes:
        file: The file's name.
        rows: How many it has.
        sections: Its parts.
        examples: Rows to read.
    """

    file: str
    rows: int
    sections: tuple[Section, ...]
    examples: tuple[ExampleGroup, ...]

    @property
    def figures(self) -> Iterator[Figure]:
        """All figures, in order."""
        for section in self.sections:
            yield from section.figures

    @property
    def headline(self) -> tuple[Tile, ...]:
        """The first number of each part."""
        return (Tile("Rows", formats.count(self.rows)), *(each.tiles[0] for each in self.sections if each.tiles))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader should not miss."""
        return tuple(words for section in self.sections for words in section.warnings)

    def to_dict(self) -> dict[str, Any]:
        """The numbers: `file`, `rows`, `warnings`, one key for each section (None with nothing to show), `examples`."""
        found: dict[str, Any] = {"file": self.file, "rows": self.rows, "warnings": list(self.warnings)}
        for section in self.sections:
            numbers: Mapping[str, Any] | None = None if section.missing else section.numbers
            found[section.key] = None if numbers is None else dict(numbers)
        found["examples"] = {
            group.key: {"of": group.of, "rows": [example.row for example in group.examples]} for group in self.examples
        }
        return found


def make_report(path: Path, options: ReportOptions, on_progress: Progress = lambda done, total: None) -> Report:  # noqa: ARG005
    """Read a scored file, twice: all rows' numbers in batches, then the texts of the rows to read.

    Args:
        path: Parquet or JSON with a column `score`.
        options: What the report is made by.
        on_progress: Called with the rows that were read, and with how many there are where that is known.

    Raises:
        ConfigError: A named column, the score or the template is not there; or the files have no row in common.
        DatasetError: A file cannot be read.
    """
    prompts = prompt_source(options.template)
    source = open_source(path)
    against = None if options.against is None else open_source(options.against)
    with_identity = against is not None
    scored = load(source, path, options.wanted, with_identity=with_identity, on_progress=on_progress)
    if not scored.rows:
        msg = f"{path.name} has no rows"
        raise ConfigError(msg)
    other: Scored | None = None
    match: Match | None = None
    if options.against is not None and against is not None:
        wanted = Wanted(candidate=options.wanted.candidate)
        other = load(against, options.against, wanted, with_identity=True, on_progress=on_progress)
        match = match_rows(scored, other)
    sections = [
        scores(scored),
        outcomes(scored),
        agreement(scored, options.threshold),
        groups(scored),
        speed(scored),
        over_time(scored),
    ]
    if other is not None and match is not None:
        sections.append(comparison(scored, other, match, options.threshold))
    picks = pick_rows(scored, options.threshold, options.examples, other, match)
    columns = scored.columns
    shown = read_examples(picks, source, against, columns.candidate, scored.label, prompts)
    return Report(one_line(path.name), scored.rows, tuple(sections), shown)
