"""The work of `server_bound`, and some requests are never answered: who waits for them?"""

from __future__ import annotations

from dataclasses import replace

from bench import Bench, Measured, five, lines
from job import BATCH, SINGLE
from table import Table, Target, number

from regimes import server_bound

__all__ = ["run"]

_OURS = (SINGLE, BATCH)
_HANGING = 1.0  # percent of requests, second attempts as well as first ones


def run(bench: Bench) -> list[Table]:
    """One table."""
    asked, server = server_bound.job(bench), server_bound.stub(bench)
    asked = replace(asked, timeout=2 if bench.quick else 60)
    hanging = replace(server, faults={"hang": _HANGING}, faulty_attempts=0)
    entries = five(asked, hanging)
    ours = [entry for entry in entries if entry.job.is_ours]
    others = [replace(e, stub=replace(hanging, faulty_attempts=1)) for e in entries if not e.job.is_ours]
    plain = bench.kept.get("server_bound")
    if plain is None:
        plain = bench.measure("tail (no hangs)", [replace(entry, stub=server) for entry in ours], together="entries")
    measured = bench.measure("tail", ours, together="entries")
    measured.add(bench.measure("tail", others, together="runs"))

    def cells(name: str) -> list[str]:
        return [
            number(measured.median(name, "wall_s")),
            number(_slower(measured, plain, name), 3),
            number(_extra(measured, name, asked.count), 1),
            number(measured.median(name, 'stub_fault_total{kind="hang"}'), 0),
            number(measured.median(name, "lost"), 0),
        ]

    table = Table(
        "tail",
        f"as server_bound ({asked.count} samples), and {_HANGING:g} % of requests hang for good; timeout "
        f"{asked.timeout:g} s, {asked.retries} retries",
        ("contender", "wall s", "wall / no hangs", "extra %", "hung", "lost"),
        lines(measured, entries, cells),
        [
            f"wall / no hangs: over the same contender's wall time without hangs, medians of {bench.repeats}.",
            "extra %: conversations sent beyond one for each sample, in percent of the samples.",
            "hung: conversations that the server never answered; each takes a slot until its connection is closed.",
            "Ours: of second and third requests for a sample 1 % hang too. The alternatives, which would wait for",
            "another timeout then: of first requests only; their runs are side by side, exact to a few seconds.",
        ],
        [
            target
            for name in _OURS
            for target in (
                Target(f"wall / no hangs of {name}", _slower(measured, plain, name), 1.15, digits=3),
                Target(f"unscored of {name}", measured.median(name, "lost"), 0, digits=0),
                Target(f"extra % of {name}", _extra(measured, name, asked.count), 5, digits=1),
            )
        ],
        measured.runs,
    )
    return [table]


def _slower(measured: Measured, plain: Measured, name: str) -> float | None:
    wall, without = measured.median(name, "wall_s"), plain.median(name, "wall_s")
    return None if wall is None or not without else wall / without


def _extra(measured: Measured, name: str, count: int) -> float | None:
    sent = measured.median(name, "stub_conversations_total")
    return None if sent is None else 100 * (sent - count) / count
