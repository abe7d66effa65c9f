"""What goes wrong, when, and with which server: a function of the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

__all__ = ["Event", "Kind", "schedule"]

Kind = Literal["kill", "move", "freeze", "pause", "loading", "fault"]

_QUIET_S = 2.0  # at the beginning
_PAUSE_S = 0.5  # mean time between two tries to let something happen
_SHORTEST_S, _LONGEST_S = 1.0, 8.0
# A process needs a second to start, and clients look for what was down every other second.
_SETTLE_S: dict[Kind, float] = {
    "kill": 6.0,
    "move": 6.0,
    "freeze": 4.0,
    "pause": 4.0,
    "loading": 4.0,
    "fault": 4.0,
}
_END_S = max(_SETTLE_S.values())
_SHARES = (0.1, 0.5, 1.0)
_WEIGHTS: dict[Kind, int] = {"kill": 3, "move": 3, "freeze": 2, "pause": 2, "loading": 1, "fault": 10}
_FAULTS = (
    "status:429:{share}",
    "status:429:{share}:retry_after=1",
    "status:503:{share}",
    "status:503:{share}:retry_after=1",
    "status:500:{share}",
    "drip:{share}",
    "drip_headers:{share}",
    "reset:{share}",
    "drop:{share}",
    "truncated:{share}",
    "garbage:{share}",
    "empty_choices:{share}",
    "hang:{share}:seconds=30",
)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that goes wrong with one server for a while.

    Attributes:
        at: Seconds from the beginning of the run.
        seconds: How long it lasts.
        server: The server's number.
        kind: `kill`: SIGKILL, and a start on the same port; `move`: the same, on another port; `freeze`: SIGSTOP and
            SIGCONT, so that connections are taken by the kernel alone; `pause`: it takes requests and answers none;
            `loading`: 503 to everything, `/health` too; `fault`: what `fault` says.
        fault: In the words of `Fault.parse`.
    """

    at: float
    seconds: float
    server: int
    kind: Kind
    fault: str = ""

    def __str__(self) -> str:
        return f"{self.at:6.1f} s  server {self.server}: {self.fault or self.kind} for {self.seconds:.1f} s"


def schedule(seed: int, seconds: float, servers: int, *, moves: bool) -> list[Event]:
    """All events of a run, in order.

    At any time at least one server is well, and has been for as long as clients need to find that out: all are spared
    for some seconds after what happened to them. So there is no excuse for a row that is not judged.

    Args:
        seed: Equal ones make equal schedules.
        seconds: The run's length; the last seconds are quiet.
        servers: How many there are, two or more.
        moves: Whether a server may come back on another port.
    """
    if servers < 2:
        msg = f"servers={servers}: with fewer than two nothing may go wrong"
        raise ValueError(msg)
    chance = random.Random(seed)
    weights = {kind: weight for kind, weight in _WEIGHTS.items() if moves or kind != "move"}
    spared_until = [0.0] * servers
    events: list[Event] = []
    at = _QUIET_S
    while True:
        at += chance.expovariate(1 / _PAUSE_S)
        length = chance.uniform(_SHORTEST_S, _LONGEST_S)
        kind = chance.choices(list(weights), list(weights.values()))[0]
        fault = chance.choice(_FAULTS).format(share=chance.choice(_SHARES)) if kind == "fault" else ""
        number = chance.randrange(servers)
        if at > seconds - _END_S:
            return events
        if at + length > seconds - _END_S or spared_until[number] > at:
            continue
        if sum(until <= at for until in spared_until) < 2:
            continue
        spared_until[number] = at + length + _SETTLE_S[kind]
        events.append(Event(at, length, number, kind, fault))
