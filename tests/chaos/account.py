"""What clients count, added up, and the verdict on it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rows import Row

__all__ = ["ALLOWANCE_S", "Account", "Seen"]

ALLOWANCE_S = 1.0
"""By how much a call may outlast its deadline on a busy machine."""

_MOST_INCIDENTS = 200
_DETAIL = re.compile(r"https?://\S+|0x[0-9a-f]+|\d+(?:\.\d+)?")
_REPLY_TO = re.compile(r"This is about (\d+\.\d+\.\d+)\.")


@dataclass(frozen=True, slots=True)
class Seen:
    """What came back for one row, by whichever of the calls.

    Attributes:
        ok: Whether a judge scored it.
        score: In [0, 1].
        reason: Why it was not scored.
        attempts: Requests sent for it.
        hedged: Whether it was asked once more because it took so long.
        reply: The judge's text, where the call gives it.
    """

    ok: bool
    score: float
    reason: str = ""
    attempts: int = 0
    hedged: bool = False
    reply: str = ""


@dataclass(slots=True)
class Account:
    """Counts of rows, unless said otherwise.

    Attributes:
        calls: Calls made.
        rows: Handed over.
        judged: Scored by a judge.
        fallbacks: Came back with a fallback's score.
        missing: Did not come back, or in a call that raised.
        wrong: Judged, with another score than the servers give that row.
        duplicates: Came back beyond those that were handed over, or with the reply to another row.
        overruns: Calls that took longer than their deadline and `ALLOWANCE_S`.
        asked: Conversations sent.
        hedged: Asked once more because they took so long.
        longest_s: The longest call.
        reasons: Of fallbacks and of what was raised, without addresses and numbers.
        incidents: What should not have been, with its time; the first two hundred.
    """

    calls: int = 0
    rows: int = 0
    judged: int = 0
    fallbacks: int = 0
    missing: int = 0
    wrong: int = 0
    duplicates: int = 0
    overruns: int = 0
    asked: int = 0
    hedged: int = 0
    longest_s: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    incidents: list[str] = field(default_factory=list)

    @property
    def unscored(self) -> int:
        """Fell back or missing. As one server is always well, there is no excuse for either."""
        return self.fallbacks + self.missing

    @property
    def failures(self) -> dict[str, int]:
        """What has to be 0."""
        return {
            "unscored": self.unscored,
            "wrong": self.wrong,
            "duplicates": self.duplicates,
            "overruns": self.overruns,
        }

    def call(self, what: str, at: float, seconds: float, deadline: float) -> None:
        """Count a call: what it was, when it began, how long it took, how long it might."""
        self.calls += 1
        self.longest_s = max(self.longest_s, seconds)
        if seconds > deadline + ALLOWANCE_S:
            self.overruns += 1
            self._note(f"{at:7.1f} s  {what}: took {seconds:.1f} s")

    def results(self, what: str, at: float, rows: Sequence[Row], results: Sequence[Seen]) -> None:
        """Count what came back for the rows of a call, in order."""
        self.rows += len(rows)
        self.missing += max(len(rows) - len(results), 0)
        self.duplicates += max(len(results) - len(rows), 0)
        if len(rows) != len(results):
            self._note(f"{at:7.1f} s  {what}: {len(results)} results for {len(rows)} rows")
        for row, seen in zip(rows, results, strict=False):
            self.asked += seen.attempts
            self.hedged += seen.hedged
            said = f"{at:7.1f} s  {what}, row {row.mark}, {seen.attempts} attempts"
            if not seen.ok:
                self.fallbacks += 1
                self.reasons[_DETAIL.sub("#", seen.reason)] += 1
                self._note(f"{said}: {seen.reason}")
                continue
            self.judged += 1
            if round(100 * seen.score) != row.score:
                self.wrong += 1
                self._note(f"{said}: scored {seen.score}, not {row.score / 100}")
            told = _REPLY_TO.search(seen.reply)
            if told is not None and told[1] != row.mark:
                self.duplicates += 1
                self._note(f"{said}: has the reply to {told[1]}")

    def raised(self, what: str, at: float, rows: Sequence[Row], error: Exception) -> None:
        """Count a call that raised."""
        self.rows += len(rows)
        self.missing += len(rows)
        self.reasons[_DETAIL.sub("#", f"{type(error).__name__}: {error}")] += len(rows)
        self._note(f"{at:7.1f} s  {what}: raised {type(error).__name__}: {error}")

    def _note(self, incident: str) -> None:
        if len(self.incidents) < _MOST_INCIDENTS:
            self.incidents.append(incident)

    def add(self, other: Account) -> None:
        """Take another's counts in."""
        for name in self.__slots__:
            if name != "longest_s":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_s = max(self.longest_s, other.longest_s)
        self.incidents = sorted(self.incidents)[:_MOST_INCIDENTS]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` reads it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Account:
        """What `to_dict` made."""
        return cls(**{**values, "reasons": Counter(values["reasons"])})

    def __str__(self) -> str:
        extra = 100 * (self.asked / max(self.rows, 1) - 1)
        lines = [
            f"calls            {self.calls:>8,}   the longest {self.longest_s:.1f} s",
            f"rows             {self.rows:>8,}",
            f"judged           {self.judged:>8,}",
            f"unscored         {self.unscored:>8,}   {self.fallbacks} fell back, {self.missing} missing",
            f"wrong scores     {self.wrong:>8,}",
            f"duplicates       {self.duplicates:>8,}",
            f"deadline overruns{self.overruns:>8,}",
            f"conversations    {self.asked:>8,}   {extra:.1f} % beyond one for each row; {self.hedged} hedged",
        ]
        lines += [f"  {count:>6,} rows: {reason}" for reason, count in self.reasons.most_common(10)]
        return "\n".join(lines)
