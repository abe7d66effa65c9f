"""What `llm-judge-remote doctor` prints for people."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_judge_remote.diagnosis.setup.examination import Found
from llm_judge_remote.diagnosis.setup.setting_table import SettingValue
from llm_judge_remote.finding import Finding, Level

__all__ = ["Report"]

_STYLES = {"ok": "green", "warning": "yellow", "error": "red", "skipped": "dim"}
_LEVEL_WIDTH, _NAME_WIDTH = 9, 15
_COUNTED: tuple[tuple[Level, str, str], ...] = (
    ("error", "error", "errors"),
    ("warning", "warning", "warnings"),
    ("ok", "ok", "ok"),
)


class Report:
    """Prints findings as they come, in sections.

    Of the second and further servers, what is well is one line; so is what was skipped for one and the same reason.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._where = ""
        self._servers: list[str] = []
        self._well: list[str] = []
        self._skipped: list[Finding] = []

    def settings(self, values: Sequence[SettingValue], hidden: int) -> None:
        """A table of settings with their layers."""
        self._console.print("Settings", style="bold")
        if values:
            table = Table.grid(padding=(0, 2))
            table.add_column(overflow="fold")
            table.add_column(overflow="fold")
            table.add_column(overflow="fold")
            for value in values:
                table.add_row(f"  {value.name}", Text(value.value), Text(value.origin, style="dim"))
            self._console.print(table)
        self._where = "settings"
        if hidden:
            self._console.print(f"  {hidden} have their default (--all-settings shows them)", style="dim")

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Show that something is being waited for, on a terminal."""
        with self._console.status("Looking ...") if self._console.is_terminal else contextlib.nullcontext():
            yield

    def add(self, found: Found) -> None:
        """Print a finding, under the heading of what it is about."""
        if found.where != self._where:
            self._end_section()
            self._where = found.where
            if found.is_server:
                self._servers.append(found.where)
            self._console.print(Text(f"\n{found.where}", style="bold"))
        finding = found.finding
        if found.is_server and len(self._servers) > 1 and finding.level in ("ok", "skipped"):
            if finding.level == "ok":
                self._well.append(finding.name)
            return
        if self._skipped and self._skipped[0].message != finding.message:
            self._show_skipped()
        if finding.level == "skipped":
            self._skipped.append(finding)
        else:
            self._line(finding.level, finding.name, finding.message, finding.fix)

    def end(self, found: Sequence[Found], *, stopped: bool) -> None:
        """Print the sum, and what to do first."""
        self._end_section()
        counts = Counter(each.finding.level for each in found)
        told = [f"{counts[level]} {one if counts[level] == 1 else many}" for level, one, many in _COUNTED]
        said = f"\n{'Stopped. So far: ' if stopped else ''}{', '.join(told)}."
        if counts["skipped"]:
            said += f" {counts['skipped']} were not looked at."
        self._console.print(said, style="bold")
        first = next((each for each in found if each.finding.level == "error" and each.finding.fix), None)
        if first is not None:
            self._console.print(Text(f"Begin with the first error: {first.finding.name}, {first.where}."))

    def _show_skipped(self) -> None:
        names, skipped = [finding.name for finding in self._skipped], self._skipped
        self._skipped = []
        if len(names) == 1:
            self._line("skipped", names[0], skipped[0].message, "")
        elif names:
            self._line("skipped", "", f"{', '.join(names)}: {skipped[0].message}", "")

    def _end_section(self) -> None:
        self._show_skipped()
        if self._well:
            self._line("ok", "", ", ".join(self._well), "")
            self._well = []

    def _line(self, level: str, name: str, message: str, fix: str) -> None:
        text = Text(message)
        if fix:
            text.append(f"\nfix: {fix}", style="bold")
        table = Table.grid(padding=(0, 1))
        table.add_column(width=_LEVEL_WIDTH)
        table.add_column(width=_NAME_WIDTH, overflow="fold")
        table.add_column(overflow="fold", ratio=1)
        table.add_row(Text(f"  {level}", style=_STYLES[level]), Text(name), text)
        self._console.print(table)
