"""An inspection of a trainer's file: what it holds, how it would be judged, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from llm_judge_remote.dataset.as_judged import AsJudged, Context
from llm_judge_remote.dataset.findings import Findings
from llm_judge_remote.dataset.inspection_report import Example, Inspection
from llm_judge_remote.dataset.measures import Lengths, Repeats
from llm_judge_remote.dataset.row_checks import Overrides, check_texts, prompt_texts
from llm_judge_remote.dataset.trainer_file import TrainerFile, TrainerRow
from llm_judge_remote.errors import ConfigError, DatasetError
from llm_judge_remote.examination import Examiner
from llm_judge_remote.rules.degenerate import degenerate
from llm_judge_remote.sample import Sample
from llm_judge_remote.settings import JudgeSettings

__all__ = ["DEFAULT_CONTEXT", "inspect_file"]

DEFAULT_CONTEXT = 32_768
"""Tokens that Qwen3-32B takes without rope scaling; from its model card."""

_MOST_SOURCES = 10_000
_FEW_ROWS, _FEW_SHARE = 10, 0.01
_PROGRESS_EVERY = 4096  # rows

Key = tuple[str, tuple[str, ...]]


def inspect_file(
    path: str | Path,
    settings: JudgeSettings | None = None,
    *,
    candidate: str | None = None,
    context: Context | None = None,
    examples: int = 3,
    wanted: Collection[int] = (),
    on_progress: Callable[[int, int | None], None] | None = None,
) -> Inspection:
    """Look at every row of a trainer's file, as the public calls would read it; nobody is asked anything.

    Args:
        path: Parquet, or JSON lines or one JSON array (`.gz` or not), with verl's columns, SkyRL's, or the arguments
            of `compute_score`.
        settings: Those of the training run; None for what the environment and the YAML file say.
        candidate: Column of candidates; None for `candidate`, `solution_str`, `response` or `completion`.
        context: What the judge's model takes; None for Qwen3's 32,768 tokens, by the rule of thumb.
        examples: So many rows are shown: the first of each data source and set of overridden settings, then the first.
        wanted: Rows to show instead, counted from 0.
        on_progress: Called now and then with the rows done and their number, if it is known.

    Returns:
        What there is to say. Memory does not grow with the number of rows but for 44 bytes each, or 4 more for each
        further reference.

    Raises:
        DatasetError: The file cannot be read, is no trainer's, or has not all of the wanted rows.
        ConfigError: Nobody could run with the settings.
    """
    context = context or Context(DEFAULT_CONTEXT)
    settings = settings if settings is not None else JudgeSettings()
    file = TrainerFile(Path(path), candidate)
    walk = _Walk(AsJudged(settings, context), file.candidate is not None, examples, frozenset(wanted))
    rows = 0
    for row in file:
        walk.look_at(row)
        rows += 1
        if on_progress is not None and rows % _PROGRESS_EVERY == 0:
            on_progress(rows, file.row_count)
    if missing := [number for number in sorted(wanted) if number >= rows]:
        msg = f"{path} has {rows} rows, counted from 0: there is no row {missing[0]}"
        raise DatasetError(msg)
    findings = walk.findings
    _about_the_file(file, rows, findings)
    walk.conclude(rows)
    return Inspection(
        file=file.path.name,
        format=file.format,
        layout=file.layout.name,
        rows=rows,
        requests=walk.requests,
        columns=file.fields,
        metadata=file.metadata,
        data_sources=dict(walk.sources.most_common()),
        lengths={name: length for name, each in walk.lengths.items() if (length := each.summary()) is not None},
        overrides=tuple(walk.overrides.to_dicts()),
        judge={
            "prompt_template": settings.prompt_template,
            "model_name": settings.model_name,
            "context": context.tokens,
            "counted_by": "rule of thumb" if context.count is None else "tokenizer",
        },
        findings=findings.listed(),
        examples=walk.examples(),
    )


def _about_the_file(file: TrainerFile, rows: int, findings: Findings) -> None:
    if not rows:
        findings.add_many("no_rows", 0, [])
    for name in file.layout.needs:
        if name not in file.names:
            findings.add_many("missing_column", 0, [], name)
    for name, kinds in file.mixed:
        findings.add_many("mixed_types", 0, [], f"{name} holds {kinds}")
    if file.candidate is not None and file.layout.needs:
        findings.add_many("candidate_column", 0, [], file.candidate)


class _Walk:
    """Goes from row to row, and remembers little of each."""

    def __init__(self, as_judged: AsJudged, has_candidates: bool, examples: int, wanted: Collection[int]) -> None:
        self.findings = Findings()
        self.overrides = Overrides()
        self.sources: Counter[str] = Counter()
        self.lengths = {name: Lengths() for name in ("prompt", "problem", "reference", "candidate", "judge_prompt")}
        self.requests = 0
        self._as_judged = as_judged
        self._has_candidates = has_candidates
        self._most = examples
        self._wanted = wanted
        self._repeats = {"duplicate": Repeats(), "problem": Repeats(), "references": Repeats()}
        self._first: list[tuple[int, Sample]] = []
        self._kinds: dict[Key, tuple[int, Sample]] = {}

    def look_at(self, row: TrainerRow) -> None:
        """Take a row in."""
        sample = self._as_judged.sample(row)
        source = sample.data_source
        self.sources[source if source in self.sources or len(self.sources) < _MOST_SOURCES else "…"] += 1
        turns = prompt_texts(row.prompt)
        self._measure(row, sample, "\n".join(turns))
        is_scored = self._can_be_scored(row, sample)
        if not sample.defect:
            check_texts(row, sample, turns, self.findings)
            self.overrides.add(row, sample, self.findings)
        self._keep(row.index, sample, is_scored)

    def conclude(self, rows: int) -> None:
        """What can be said only of all rows together."""
        duplicates, problems, same = (each.later() for each in self._repeats.values())
        for code, found in (("duplicate", duplicates), ("other_reference", problems & ~same)):
            if found.any():
                first = found.nonzero()[0][:10]
                self.findings.add_many(code, int(found.sum()), [int(each) for each in first])
        self.overrides.tell(self.findings)
        if len(self.sources) > _MOST_SOURCES:
            self.findings.add_many("many_sources", 0, [], f"more than {_MOST_SOURCES}")
            return
        for name, count in self.sources.items():
            if len(self.sources) > 1 and count < _FEW_ROWS and count < _FEW_SHARE * rows:
                self.findings.add_many("few_of_source", count, [], repr(name))

    def examples(self) -> tuple[Example, ...]:
        """The rows to show, in order."""
        chosen = dict(list(self._kinds.values())[: self._most])
        for index, sample in self._first:
            if len(chosen) >= self._most and not self._wanted:
                break
            chosen[index] = sample
        return tuple(
            Example(index, sample.data_source, tuple(sample.overrides), self._as_judged.shown(sample))
            for index, sample in sorted(chosen.items())
        )

    def _measure(self, row: TrainerRow, sample: Sample, prompt: str) -> None:
        index = row.index
        if prompt:
            self.lengths["prompt"].add(len(prompt), index)
        if sample.problem:
            self.lengths["problem"].add(len(sample.problem), index)
        for reference in sample.references:
            self.lengths["reference"].add(len(reference), index)
        if self._has_candidates:
            self.lengths["candidate"].add(len(sample.candidate), index)
        problem = sample.problem or prompt
        candidate = sample.candidate if self._has_candidates else ""
        key = (prompt, problem, sample.references, candidate) if problem or sample.references else index
        self._repeats["duplicate"].add(key)
        self._repeats["problem"].add(problem or index)
        self._repeats["references"].add((problem or index, sample.references))

    def _can_be_scored(self, row: TrainerRow, sample: Sample) -> bool:
        """Whether anything can ever score the row; notes why not."""
        index, add = row.index, self.findings.add
        if sample.defect:
            add("unreadable_row", index, sample.defect)
            return False
        try:
            examiner = self._as_judged.examiner(sample)
        except ConfigError as error:
            add("no_scorer", index, str(error))
            return False
        if examiner is None:
            return True  # by another scorer, whose affair it is
        if not sample.references:
            add("no_reference", index)
            return False
        if isinstance(examiner, str):
            add("unusable_setting", index, examiner)
            return False
        self.requests += len(sample.references)
        self.lengths["judge_prompt"].add(self._as_judged.length(examiner, sample), index)
        if self._has_candidates and not self._is_judged(row, sample, examiner):
            return True
        code = self._as_judged.fit(examiner, sample, self._has_candidates)
        if code:
            add(code, index, self._as_judged.context.words)
        if code == "too_long":
            return False
        if why := self._as_judged.failure(examiner, sample):
            add("template_fails", index, why)
        return not why

    def _is_judged(self, row: TrainerRow, sample: Sample, examiner: Examiner) -> bool:
        """Whether the candidate comes before the judge."""
        if not sample.candidate.strip():
            self.findings.add("empty_candidate", row.index)
            return False
        if examiner.settings.defences and degenerate(sample.candidate, sample.references):
            self.findings.add("degenerate_candidate", row.index)
            return False
        return True

    def _keep(self, index: int, sample: Sample, is_scored: bool) -> None:
        if self._wanted:
            if index in self._wanted:
                self._first.append((index, sample))
            return
        if is_scored and len(self._first) < self._most:
            self._first.append((index, sample))
        if is_scored and len(self._kinds) < self._most:
            self._kinds.setdefault((sample.data_source, tuple(sample.overrides)), (index, sample))
