"""What one client process is told to do, and what it says afterwards."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

__all__ = ["AIOHTTP", "BATCH", "OPENAI", "REQUESTS", "SINGLE", "Job", "is_installed"]

REQUESTS = "requests pool"
AIOHTTP = "aiohttp"
OPENAI = "openai, async"
SINGLE = "ours, single"
BATCH = "ours, batch"

_NEEDS = {AIOHTTP: "aiohttp", OPENAI: "openai"}


def is_installed(contender: str) -> bool:
    """Whether the package that a contender stands for can be imported here."""
    return find_spec(_NEEDS.get(contender, "requests")) is not None


@dataclass(frozen=True, slots=True)
class Job:
    """One contender's work.

    Attributes:
        contender: Which client: one of the names above.
        url: The server.
        count: Samples.
        first: Number of the first sample; the others follow.
        row_bytes: Characters of problem, reference and candidate together.
        group: Samples that share problem and reference, and stand together.
        in_flight: Requests, or samples of ours, at once.
        timeout: Seconds for an attempt.
        retries: Further attempts after a failed one; for ours the setting `max_retries`.
        settings: Further settings of ours, by name.
        call: How ours is called: `batched`, `async` (one `compute_score_async` for each sample, all at once) or
            `threads` (one `compute_score` for each sample, in as many threads as `in_flight`, all at once).
        warmup: Samples sent before the clock starts, with numbers of their own.
        rounds: How often the work is done, the clock running anew; the median counts.
        rows_file: Real rows, in place of made ones; see `rows.from_file`.
        shuffle: Seed for the order of the rows; None leaves them in groups.
        core: CPU to keep to, or None.
    """

    contender: str
    url: str
    count: int
    first: int = 1
    row_bytes: int = 850
    group: int = 8
    in_flight: int = 128
    timeout: float = 60.0
    retries: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    call: str = "batched"
    warmup: int = 0
    rounds: int = 1
    rows_file: str = ""
    shuffle: int | None = None
    core: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this package does it."""
        return self.contender in (SINGLE, BATCH)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Job:
        """What `to_json` made."""
        return cls(**json.loads(line))
