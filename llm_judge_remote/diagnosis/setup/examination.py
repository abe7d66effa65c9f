"""A whole setup: settings, this machine, verl's configuration, a file of rows, registries and servers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from llm_judge_remote.diagnosis.setup.longest_row import LongestRows, longest_rows
from llm_judge_remote.diagnosis.setup.looks import guarded
from llm_judge_remote.diagnosis.setup.registries import look_at_registry
from llm_judge_remote.diagnosis.setup.server import look_at_server
from llm_judge_remote.diagnosis.setup.setting_table import SettingValue, setting_table, strange_variables
from llm_judge_remote.diagnosis.setup.targets import Target, profiles, registries, targets
from llm_judge_remote.diagnosis.setup.verl.checks import look_at_configuration
from llm_judge_remote.diagnosis.setup.verl.configuration import Configuration, read_configuration
from llm_judge_remote.diagnosis.setup.verl.release import release_of
from llm_judge_remote.diagnosis.setup.verl.reward import Reward, reward_of
from llm_judge_remote.diagnosis.setup.versions import versions
from llm_judge_remote.diagnosis.setup.walks import side_by_side
from llm_judge_remote.errors import ConfigError, DatasetError
from llm_judge_remote.finding import Finding
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Examination", "Found", "Setup"]

_SERVERS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Setup:
    """What is to be examined, beside what the environment and the YAML file say.

    Attributes:
        command_line: Settings given there, by field name.
        data: A trainer's file, or None.
        verl_files: Its configurations; of settings that several give, the last one's counts.
        verl_release: Which release is to run with them; None for the one that is installed.
        timeout: Seconds for each request, lookup or reading.
        problem: Why no settings could be made; "" if they can.
    """

    command_line: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: Path | None = None
    verl_files: tuple[Path, ...] = ()
    verl_release: str | None = None
    timeout: float = 15.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, and what it is about.

    Attributes:
        where: `settings`, `this machine`, a file, a registry or a server's address.
        finding: The same name means the same look.
        is_server: Whether it is about a server.
    """

    where: str
    finding: Finding
    is_server: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The finding's attributes, and where."""
        return {"where": self.where, **self.finding.to_dict()}


class Examination:
    """Of a setup. Making it reads the settings and verl's files; `findings` goes out and asks.

    Args:
        setup: What is to be examined.

    Attributes:
        settings: All layers together; None if none could be made.
        table: Each of them with its layer.

    Raises:
        ConfigError: The release of verl is none.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._release, self._release_from = release_of(setup.verl_release)
        self._unreadable: dict[Path, str] = {}
        self._rewards: list[tuple[Configuration, Reward]] = []
        for path in setup.verl_files:
            try:
                configuration = read_configuration(path)
            except ConfigError as error:  # noqa: PERF203 (one file that cannot be read must not hide the others)
                self._unreadable[path] = str(error)
            else:
                self._rewards.append((configuration, reward_of(configuration, self._release)))
        self.settings: JudgeSettings | None = None
        self.table: list[SettingValue] = []
        self._problem = setup.problem
        if not self._problem:
            self._make_settings()

    def findings(self) -> Iterator[Found]:
        """What there is to say, as soon as it is known."""
        yield from _at("settings", self._about_settings())
        yield from _at("this machine", versions(self.settings))
        for path, words in self._unreadable.items():
            yield Found(f"verl: {path}", Finding("file", "error", words, "name verl's YAML file, or the script"))
        for configuration, reward in self._rewards:
            yield from _at(f"verl: {configuration.path}", self._about_verl(configuration, reward))
        if self.settings is None:
            return
        rows: list[LongestRows] = []
        if self._setup.data is not None:
            yield from _at(f"rows: {self._setup.data}", self._about_rows(self._setup.data, self.settings, rows))
        registered: dict[str, list[str]] = {}
        for url in registries(self.settings):
            found = registered[url] = []
            yield from _at("registry", look_at_registry(url, self._setup.timeout, found))
        yield from self._about_servers(targets(self.settings, registered), rows[0] if rows else None)

    def _make_settings(self) -> None:
        given, sources = {}, {}
        for configuration, reward in self._rewards:
            given.update(reward.call)
            sources.update(dict.fromkeys(reward.call, str(configuration.path)))
        command_line = dict(self._setup.command_line)
        try:
            self.settings = _usable(JudgeSettings(**{**given, **command_line}))
        except ConfigError as error:
            self._problem = str(error).replace("given in the call", "from verl's configuration")
            try:
                self.settings, sources = _usable(JudgeSettings(**command_line)), {}
            except ConfigError:
                return
        self.table = setting_table(self.settings, command_line, sources)

    def _about_settings(self) -> Iterator[Finding]:
        if self._problem:
            words = self._problem
            if self.settings is None:
                words += "; no server and no rows can be looked at until that is put right"
            yield Finding("settings", "error", words, "correct the value where it comes from, or take it out")
        yield from strange_variables()
        if self.settings is None:
            return
        if not list(profiles(self.settings)):
            fix = "export LLM_JUDGE_SERVER_URL=http://HOST:PORT, or give --server-url"
            yield Finding("server_url", "error", "no judge is named: server_url is not set in any layer", fix)
        elif not self._problem:
            changed = sum(value.layer != "default" for value in self.table)
            rest = f"{changed} {'is' if changed == 1 else 'are'} not the default"
            yield Finding("settings", "ok", f"all {len(self.table)} can be used; {rest}")

    def _about_verl(self, configuration: Configuration, reward: Reward) -> Iterator[Finding]:
        yield Finding("release", "ok", f"taken for verl {self._release} ({self._release_from})")
        yield from look_at_configuration(configuration, reward, self._release)

    def _about_rows(self, path: Path, settings: JudgeSettings, rows: list[LongestRows]) -> Iterator[Finding]:
        most = max((reward.candidate_tokens for _, reward in self._rewards), default=0)
        try:
            found = longest_rows(path, settings, self._setup.timeout, most)
        except (DatasetError, ConfigError) as error:
            yield Finding("rows", "error", str(error), f"see `llm-judge-remote inspect {path}`")
            return
        rows.append(found)
        if not found.longest:
            words = f"{found.rows} rows, and not one of them is for the judge"
            yield Finding("rows", "error", words, f"see `llm-judge-remote inspect {path}`")
            return
        longest = found.longest[0]
        words = f"{found.rows} rows; row {longest.index} makes the longest prompt, of {longest.size} bytes"
        if not found.is_whole:
            yield Finding("rows", "warning", f"the first {words}: then the time was up", "give --timeout")
            return
        yield Finding("rows", "ok", words)

    def _about_servers(self, servers: list[Target], rows: LongestRows | None) -> Iterator[Found]:
        walks: list[Callable[[], Iterator[Finding]]] = [
            partial(look_at_server, each.address, each.settings, self._setup.timeout, rows) for each in servers
        ]
        for server, findings in zip(servers, side_by_side(walks, _SERVERS_AT_ONCE), strict=True):
            for finding in findings:
                yield Found(server.where, finding, is_server=True)


def _usable(settings: JudgeSettings) -> JudgeSettings:
    """The same settings.

    Raises:
        ConfigError: Those of a route are of no use.
    """
    list(profiles(settings))
    return settings


def _at(where: str, findings: Iterator[Finding]) -> Iterator[Found]:
    return (Found(where, finding) for finding in guarded(where.partition(":")[0], findings))
