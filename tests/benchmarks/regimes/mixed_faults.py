"""All that goes wrong on a bad day, on each sample's first attempt: is anything lost, and how much later is it done?"""

from __future__ import annotations

from dataclasses import replace

from bench import Bench, Entry, Measured, five, lines
from job import AIOHTTP, BATCH, OPENAI, REQUESTS, SINGLE, Job
from processes import StubOptions
from stub_replies import CHAT_LENGTH
from table import Table, Target, number

__all__ = ["run"]

_OURS = (SINGLE, BATCH)
_FAULTS = {
    "500": 1.0,
    "503": 1.0,
    "429": 1.0,
    "reset": 1.0,
    "trunc": 1.0,
    "garbage": 1.0,
    "noscore": 1.0,
    "hang": 0.5,
    "drip": 0.3,
}
_SLOTS = 256
_FEWER = 3
_RETRYING = f"{REQUESTS}, Retry"


def run(bench: Bench) -> list[Table]:
    """One table."""
    count = bench.count(3_000, 600)
    job = Job(REQUESTS, "", count, in_flight=_SLOTS, timeout=1 if bench.quick else 5, retries=3, warmup=4)
    server = StubOptions(service="fixed:100" if bench.quick else "fixed:500", slots=_SLOTS)
    faulty = replace(server, faults=_FAULTS, drip_ms=2 if bench.quick else 40)
    entries = five(job, faulty)
    ours = [entry for entry in entries if entry.job.is_ours]
    others = [_fewer(entry) for entry in entries if not entry.job.is_ours]
    others.insert(1, _fewer(Entry(_RETRYING, job, faulty)))
    plain = bench.measure("mixed_faults (none)", [replace(entry, stub=server) for entry in ours])
    measured = bench.measure("mixed_faults", ours)
    measured.add(bench.measure("mixed_faults", others, together="runs"))

    def cells(name: str) -> list[str]:
        return [
            number(measured.median(name, "wall_s")),
            number(plain.median(name, "wall_s")),
            number(_slower(measured, plain, name)),
            number(100 * ((measured.ratio(name, "stub_conversations_total", name, "count") or 1) - 1), 1),
            number(100 * (measured.ratio(name, "lost", name, "count") or 0), 1),
            number(measured.median(name, "wrong"), 0),
        ]

    table = Table(
        "mixed_faults",
        f"{count} samples of {server.service.partition(':')[2]} ms, {_SLOTS} slots, {_SLOTS} in flight",
        ("contender", "wall s", "no faults s", "ratio", "extra %", "lost %", "wrong"),
        lines(measured, [*others, *ours], cells),
        [
            "First attempts meet " + ", ".join(f"{share:g} % {kind}" for kind, share in _FAULTS.items()) + ".",
            f"Timeout {job.timeout:g} s; a dripping answer takes about {faulty.drip_ms * CHAT_LENGTH / 1000:.0f} s.",
            f"ratio: wall time over the same contender's without faults, medians of {bench.repeats}.",
            "extra %: conversations sent beyond one for each sample; lost %: samples without the judge's score.",
            f"{OPENAI} and `{_RETRYING}` (urllib3's Retry) retry {job.retries} times; {REQUESTS} and {AIOHTTP} do not.",
            f"The alternatives have {count // _FEWER} samples and run side by side, as they mostly wait.",
        ],
        [
            target
            for name in _OURS
            for target in (
                Target(f"lost of {name}", measured.median(name, "lost"), 0, digits=0),
                Target(f"ratio of {name}", _slower(measured, plain, name), 1.3),
            )
        ],
        measured.runs,
    )
    return [table]


def _fewer(entry: Entry) -> Entry:
    """Retries where the client has them; and fewer samples, as these clients run side by side."""
    retries = entry.job.retries if entry.name in (OPENAI, _RETRYING) else 0
    return replace(entry, job=replace(entry.job, retries=retries, count=entry.job.count // _FEWER))


def _slower(measured: Measured, plain: Measured, name: str) -> float | None:
    wall, without = measured.median(name, "wall_s"), plain.median(name, "wall_s")
    return None if wall is None or not without else wall / without
