"""Generation takes its time: are the server's slots kept full?"""

from __future__ import annotations

from bench import Bench, Measured, five, lines
from job import BATCH, REQUESTS, SINGLE, Job
from processes import StubOptions
from service import Work, ideal_makespan
from table import Table, Target, number

__all__ = ["SLOTS", "ideal", "job", "run", "stub"]

SLOTS = 256
_SERVICE = "lognormal:1000,0.6"
_QUICK_SERVICE = "lognormal:100,0.6"
# A sixteenth above the slots: while an answer is on its way to the client, the next question waits at the server.
_IN_FLIGHT = 272


def stub(bench: Bench) -> StubOptions:
    """The server."""
    return StubOptions(service=_QUICK_SERVICE if bench.quick else _SERVICE, slots=SLOTS)


def job(bench: Bench) -> Job:
    """The work."""
    return Job(REQUESTS, "", bench.count(4_096, 512), in_flight=_IN_FLIGHT, timeout=60, retries=3, warmup=4)


def ideal(bench: Bench) -> float:
    """Seconds of the in-order schedule."""
    asked, server = job(bench), stub(bench)
    work = Work(server.service, server.seed)
    numbers = range(asked.first, asked.first + asked.count)
    return ideal_makespan((work.seconds(number, 0) for number in numbers), server.slots)


def run(bench: Bench) -> list[Table]:
    """One table."""
    asked, server, best = job(bench), stub(bench), ideal(bench)
    entries = five(asked, server)
    measured = bench.measure("server_bound", [e for e in entries if e.job.is_ours], together="entries")
    measured.add(bench.measure("server_bound", [e for e in entries if not e.job.is_ours], together="entries"))
    bench.kept["server_bound"] = measured

    def cells(name: str) -> list[str]:
        return [
            number(measured.median(name, "wall_s")),
            number(_ratio(measured, name, best), 3),
            number(measured.median(name, "cpu_s")),
            number(asked.count / (measured.median(name, "stub_requests_total") or 1), 2),
            number((measured.median(name, "stub_conversations_total") or 0) - asked.count, 0),
            number(measured.median(name, "lost"), 0),
        ]

    table = Table(
        "server_bound",
        f"{asked.count} samples, service {server.service} (ms, sigma), {SLOTS} slots, {_IN_FLIGHT} in flight",
        ("contender", "wall s", "wall / ideal", "CPU s", "per request", "extra", "lost"),
        lines(measured, entries, cells),
        [
            f"ideal: {best:.2f} s, the in-order schedule: each slot, as it gets free, takes the next sample.",
            f"wall / ideal: medians of {bench.repeats}. Ours includes making prompts and reading replies.",
            "Side by side, each with a server of its own: the alternatives; the two of ours.",
            "per request: samples in one HTTP request; extra: conversations sent beyond one for each sample.",
        ],
        [Target(f"wall / ideal of {name}", _ratio(measured, name, best), 1.03, digits=3) for name in (BATCH, SINGLE)],
        measured.runs,
    )
    return [table]


def _ratio(measured: Measured, name: str, best: float) -> float | None:
    wall = measured.median(name, "wall_s")
    return None if wall is None else wall / best
