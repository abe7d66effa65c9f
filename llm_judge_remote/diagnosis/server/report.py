"""What a check of servers found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llm_judge_remote.diagnosis.server.load import LoadLevel, knee
from llm_judge_remote.finding import Finding, Level

__all__ = ["Report", "Section", "SectionKind"]

SectionKind = Literal["registry", "server", "together"]


@dataclass(frozen=True, slots=True)
class Section:
    """What was found out about one registry, one server, or all servers together.

    Attributes:
        kind: Which of them.
        title: Its address without secrets, or `all N servers`.
        findings: In the order in which they were looked for.
        levels: What came of load; empty where there was none.
    """

    kind: SectionKind
    title: str
    findings: tuple[Finding, ...]
    levels: tuple[LoadLevel, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Its attributes, and the knee's concurrency, or None."""
        bend = knee(self.levels)
        return {
            "kind": self.kind,
            "title": self.title,
            "findings": [finding.to_dict() for finding in self.findings],
            "load": [level.to_dict() for level in self.levels],
            "knee": bend.concurrency if bend else None,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found.

    Attributes:
        sections: Registries, servers, and where there are several, all together.
        is_complete: Whether all was looked at that there was to look at.
    """

    sections: tuple[Section, ...]
    is_complete: bool = True

    @property
    def counts(self) -> dict[Level, int]:
        """How many findings there are of each level."""
        found = Counter(finding.level for section in self.sections for finding in section.findings)
        levels: Sequence[Level] = ("ok", "warning", "error", "skipped")
        return {level: found[level] for level in levels}

    @property
    def has_errors(self) -> bool:
        """Whether something is wrong."""
        return self.counts["error"] > 0

    def to_dict(self) -> dict[str, Any]:
        """Sections, counts, and whether it is complete."""
        return {
            "complete": self.is_complete,
            "counts": self.counts,
            "sections": [section.to_dict() for section in self.sections],
        }
