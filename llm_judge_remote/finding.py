"""What one look found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Finding", "Level"]

Level = Literal["ok", "warning", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found.

    Attributes:
        name: What was looked at, in a few words; the same from run to run.
        level: `error` where no engine can start or rewards will be wrong or missing, `warning` where they will be slow
            or in danger, `skipped` where it could not be looked at, or need not.
        message: What was found, with the value and the server's own words.
        fix: What to do; "" where all is well.
    """

    name: str
    level: Level
    message: str
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Its attributes."""
        return asdict(self)
