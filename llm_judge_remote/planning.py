"""How the samples of a call are judged, and which of them need no judge."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from dataclasses import dataclass

from llm_judge_remote.client.cache import ReplyCache, remembering
from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.runtime import Runtime
from llm_judge_remote.client.submission import Job, Task
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.examination import Examiner
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.layers import settings_for_row
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.rules.degenerate import degenerate
from llm_judge_remote.ruling import Ruling
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.fallback import check_fallback
from llm_judge_remote.setting_types import is_registry
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Plan", "Planner", "Row"]

_MOST_PLANS = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows with the same settings are judged."""

    examiner: Examiner
    channel: Channel
    cache: ReplyCache | None
    kind: Hashable

    @property
    def settings(self) -> JudgeSettings:
        """Those of the rows."""
        return self.examiner.settings

    def task(self, sample: Sample, reference: str) -> Task[Ruling]:
        """The job of judging a sample against one of its references."""
        start = functools.partial(self._job, sample, reference)
        group = (self.kind, self.examiner.template.name, sample.problem, reference)
        # The candidate has no part in it: siblings begin alike up to there.
        prefix = (self.examiner.settings.prompt_template, sample.problem, *sample.references)
        return Task(start, self.channel, self.kind, group, prefix, alone=self.examiner.request.draws > 1)

    def _job(self, sample: Sample, reference: str) -> Job[Ruling]:
        job = self.examiner.examine(sample, reference)
        # Behind a registry nobody can tell which model `auto` stands for, now and the next time.
        is_unclear = self.settings.model_name == "auto" and any(map(is_registry, self.settings.server_url))
        if self.cache is None or is_unclear:
            return job
        return remembering(job, self.cache, self.settings.server_url, lambda ruling: ruling.score is not None)


@dataclass(frozen=True, slots=True)
class Row:
    """One sample of a call: concluded already, impossible, or to be judged by a plan."""

    settings: JudgeSettings
    plan: Plan | None = None
    done: Judgement | None = None
    error: ConfigError | None = None


class Planner:
    """Makes the plans of one judge in one process, and keeps them.

    Args:
        templates: What may be asked.
        runtime: Where.
    """

    def __init__(self, templates: TemplateLibrary, runtime: Runtime) -> None:
        self._templates = templates
        self._runtime = runtime
        self._plans: dict[int, Plan] = {}
        self._row_settings: dict[object, JudgeSettings] = {}

    def plan(self, settings: JudgeSettings) -> Plan:
        """What rows with these settings share; they are told apart by identity, which is quicker than by value.

        Raises:
            ConfigError: Nobody could run with these settings.
        """
        plan = self._plans.get(id(settings))
        if plan is None:
            examiner = Examiner(settings, self._templates.get(settings.prompt_template))
            check_fallback(settings)
            channel = self._runtime.channel(settings)
            cache = self._runtime.cache(settings)
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[id(settings)] = Plan(examiner, channel, cache, examiner.request.sampling)
        return plan

    def row(self, sample: Sample, settings: JudgeSettings) -> Row:
        """How a sample is judged, or why it is not.

        Raises:
            ConfigError: The call's settings name no server.
        """
        if sample.defect:
            return Row(settings, done=Judgement(0.0, Outcome.FAILED, f"the row cannot be read: {sample.defect}"))
        if not sample.candidate.strip():
            return Row(settings, done=Judgement(0.0, Outcome.EMPTY_CANDIDATE, "the candidate is empty"))
        if not sample.references:
            return Row(settings, done=Judgement(0.0, Outcome.NO_REFERENCE, "the row has no reference"))
        if settings.defences and (reason := degenerate(sample.candidate, sample.references)):
            return Row(settings, done=Judgement(0.0, Outcome.DEGENERATE_CANDIDATE, reason))
        try:
            plan = self.plan(self._settings_of(sample, settings) if sample.overrides else settings)
        except ConfigError as error:
            return Row(settings, error=error)
        if not plan.settings.server_url:
            msg = "server_url is not set: give the judge's address, http://HOST:PORT, or set LLM_JUDGE_SERVER_URL"
            if settings.server_url:
                return Row(settings, error=ConfigError(msg))
            raise ConfigError(msg)
        return Row(plan.settings, plan)

    def _settings_of(self, sample: Sample, settings: JudgeSettings) -> JudgeSettings:
        key = (settings, repr(sorted(sample.overrides.items())))
        made = self._row_settings.get(key)
        if made is None:
            if len(self._row_settings) >= _MOST_PLANS:
                self._row_settings.clear()
            made = self._row_settings[key] = settings_for_row(settings, sample.overrides)
        return made
