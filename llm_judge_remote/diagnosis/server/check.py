"""A check of all servers that the settings lead to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from llm_judge_remote.client.capabilities import Capabilities
from llm_judge_remote.diagnosis.server.answering import batch_endpoint, chat, context_limit
from llm_judge_remote.diagnosis.server.judging import many_samples, one_sample, throughput
from llm_judge_remote.diagnosis.server.load import Load, LoadLevel
from llm_judge_remote.diagnosis.server.look import Look, take
from llm_judge_remote.diagnosis.server.reaching import auth, health, models
from llm_judge_remote.diagnosis.server.report import Report, Section, SectionKind
from llm_judge_remote.diagnosis.server.reward_function import reward_function
from llm_judge_remote.diagnosis.server.servers import look_up
from llm_judge_remote.diagnosis.server.structured import structured_output
from llm_judge_remote.diagnosis.server.thinking import thinking_off, thinking_on
from llm_judge_remote.diagnosis.server.together import alike
from llm_judge_remote.diagnosis.server.visit import ServerVisit, Visit
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.finding import Finding
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.scoring.lexical import PLACEHOLDERS
from llm_judge_remote.setting_types import is_registry, split_weight, without_secrets
from llm_judge_remote.settings import JudgeSettings

__all__ = ["ServerCheck"]

_SERVER: tuple[Look[ServerVisit], ...] = (
    Look("health", health),
    Look("auth", auth, ("health",)),
    Look("models", models, ("auth",)),
    Look("chat", chat, ("auth",)),
    Look("batch endpoint", batch_endpoint, ("chat",)),
    Look("structured output", structured_output, ("chat",)),
    Look("thinking off", thinking_off, ("chat",)),
    Look("thinking on", thinking_on, ("chat",)),
    Look("context limit", context_limit, ("chat",)),
    Look("one sample", one_sample, ("models", "chat")),
    Look("many samples", many_samples, ("one sample",)),
)
_LOAD: Look[Visit] = Look("load", throughput, ("many samples",))
_REWARD: Look[Visit] = Look("reward function", reward_function, ("many samples",))
_Visit = TypeVar("_Visit", bound=Visit)


class ServerCheck:
    """Looks at every server that the settings lead to, and where there are several, at all of them as one.

    One look that fails prevents none but those that need what it looks for.

    Args:
        settings: Where the servers are, and how training asks them.
        load: How much load to put on each server, and on all of them; None for none.
        begun: Told what is looked at, and for what, before each look.
        seen: Told each section when it is complete.

    Raises:
        ConfigError: No server is named, or nobody could run with these settings.
    """

    def __init__(
        self,
        settings: JudgeSettings,
        load: Load | None = None,
        *,
        begun: Callable[[str, str], None] = lambda _, __: None,
        seen: Callable[[Section], None] = lambda _: None,
    ) -> None:
        if not settings.server_url:
            msg = "server_url is not set: give --server-url http://HOST:PORT, or set LLM_JUDGE_SERVER_URL"
            raise ConfigError(msg)
        TemplateLibrary(PLACEHOLDERS).get(settings.prompt_template)
        self._settings = settings
        self._load = load
        self._begun = begun
        self._seen = seen
        self._sections: list[_Draft] = []
        self._told: dict[str, Capabilities | None] = {}
        self._is_complete = False

    def run(self) -> Report:
        """Look at everything; `report` says what has been found so far, also when this is interrupted.

        Raises:
            ConfigError: A registry cannot be used.
        """
        addresses = self._addresses()
        well = [self._look_at(address, is_alone=len(addresses) == 1) for address in addresses]
        if len(addresses) > 1:
            self._look_at_all(well)
        self._is_complete = True
        return self.report()

    def report(self) -> Report:
        """What was found so far."""
        return Report(tuple(draft.section() for draft in self._sections), self._is_complete)

    def _addresses(self) -> list[str]:
        """The servers that are named, and those that registries list, each once."""
        found: dict[str, None] = {}
        for url in self._settings.server_url:
            if not is_registry(url):
                found[split_weight(url)[0]] = None
                continue
            with self._section("registry", without_secrets(url)) as draft:
                self._begun(draft.title, "registry")
                finding, listed = look_up(url)
                draft.findings.append(finding)
                found.update(dict.fromkeys(listed))
        return list(found)

    def _look_at(self, address: str, *, is_alone: bool) -> bool:
        """Look at one server; whether it judges."""
        last = (_LOAD, _REWARD) if is_alone else (_LOAD,)
        visit = ServerVisit(address, self._settings, self._load)
        with self._section("server", address) as draft, contextlib.closing(visit):
            draft.levels = visit.levels
            try:
                self._take((*_SERVER, *last), visit, draft)
            finally:
                self._told[address] = visit.capabilities
        levels = {finding.name: finding.level for finding in draft.findings}
        return levels["many samples"] in ("ok", "warning")

    def _look_at_all(self, well: Sequence[bool]) -> None:
        looks: tuple[Look[Visit], ...] = (
            Look("servers", lambda _: alike(self._told, sum(well))),
            Look("many samples", many_samples, ("servers",)),
            _LOAD,
            _REWARD,
        )
        visit = Visit(self._settings, self._load)
        with self._section("together", f"all {len(well)} servers as one") as draft, contextlib.closing(visit):
            draft.levels = visit.levels
            self._take(looks, visit, draft)

    def _take(self, looks: Sequence[Look[_Visit]], visit: _Visit, draft: _Draft) -> None:
        take(looks, visit, begin=lambda name: self._begun(draft.title, name), found=draft.findings.append)

    @contextlib.contextmanager
    def _section(self, kind: SectionKind, title: str) -> Iterator[_Draft]:
        draft = _Draft(kind, title)
        self._sections.append(draft)
        yield draft
        self._seen(draft.section())


@dataclass(slots=True)
class _Draft:
    """A section that is not complete yet."""

    kind: SectionKind
    title: str
    findings: list[Finding] = field(default_factory=list)
    levels: list[LoadLevel] = field(default_factory=list)

    def section(self) -> Section:
        return Section(self.kind, self.title, tuple(self.findings), tuple(self.levels))
