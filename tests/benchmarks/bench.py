"""How measurements are made: fresh processes for every run, contenders in turn, medians of the runs."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from job import AIOHTTP, BATCH, OPENAI, REQUESTS, SINGLE, Job, is_installed
from processes import BenchmarkError, Client, Stub, StubOptions

__all__ = ["Bench", "Entry", "Measured", "five", "lines"]

_READY_S = 180.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a table before it is measured.

    Attributes:
        name: In the table.
        job: The work; its `url` and `core` are filled in.
        stub: How the server behaves.
        processes: Clients with the same work at once, each with samples of its own.
    """

    name: str
    job: Job
    stub: StubOptions
    processes: int = 1


@dataclass(slots=True)
class Measured:
    """All runs, by the entries' names."""

    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, others: Measured) -> None:
        """Take another measurement's entries over."""
        self.runs |= others.runs
        self.missing |= others.missing

    def median(self, name: str, key: str) -> float | None:
        """The median over an entry's runs, or None if it has none."""
        runs = self.runs.get(name)
        return statistics.median(run[key] for run in runs) if runs else None

    def ratio(self, name: str, key: str, other: str, other_key: str | None = None) -> float | None:
        """An entry's median over another's."""
        ours, theirs = self.median(name, key), self.median(other, other_key or key)
        return None if ours is None or not theirs else ours / theirs


@dataclass(slots=True)
class Bench:
    """What is common to all regimes.

    Attributes:
        repeats: Runs of each entry.
        quick: Whether it is only to be seen that everything works.
        samples: In place of each regime's own number, or None.
        stub: Another stub server's executable, or None.
        rows_file: Real rows, or "".
        vllm_python: Interpreter that has vLLM, or "".
        verl_python: Interpreter that has verl, or "".
        client_core: CPU of the clients, or None where there is but one.
        server_core: CPU of the server.
        failures: What did not work, in words.
        kept: What one regime measured and another one compares with, by a name.
    """

    repeats: int = 3
    quick: bool = False
    samples: int | None = None
    stub: str | None = None
    rows_file: str = ""
    vllm_python: str = ""
    verl_python: str = ""
    client_core: int | None = None
    server_core: int | None = None
    failures: list[str] = field(default_factory=list)
    kept: dict[str, Measured] = field(default_factory=dict)

    def count(self, usual: int, quick: int) -> int:
        """How many samples a regime takes."""
        return self.samples or (quick if self.quick else usual)

    def say(self, line: str) -> None:
        """Tell whoever waits."""
        sys.stderr.write(f"   {line}\n")
        sys.stderr.flush()

    def turns(self, what: str, names: Sequence[str]) -> Iterator[str]:
        """The names, each as often as is asked for, another one first each time; tells whoever waits."""
        for repeat in range(self.repeats):
            first = repeat % len(names)
            for name in (*names[first:], *names[:first]):
                self.say(f"{what}: {name}: run {repeat + 1} of {self.repeats}")
                yield name

    def measure(
        self,
        regime: str,
        entries: Sequence[Entry],
        *,
        seconds: float = 300,
        together: Literal["", "entries", "runs"] = "",
    ) -> Measured:
        """Run all entries, one after the other, as often as is asked for.

        Args:
            regime: For what is said meanwhile.
            entries: With names of their own.
            seconds: Most that one run may take.
            together: `entries`: all entries at once, each with a server of its own, on whatever CPU is free, for what
                mostly waits; `runs`: all their runs too.
        """
        measured = Measured()
        for entry in entries:
            if not is_installed(entry.job.contender):
                measured.missing[entry.name] = "not installed"
        for repeat in range(1 if together == "runs" else self.repeats):
            ready = [entry for entry in entries if entry.name not in measured.missing]
            if together == "runs":
                ready *= self.repeats
            for group in [ready] if together else [[entry] for entry in ready]:
                names = "; ".join(dict.fromkeys(entry.name for entry in group))
                runs = f"all {self.repeats} runs" if together == "runs" else f"run {repeat + 1} of {self.repeats}"
                self.say(f"{regime}: {names}: {runs}")
                self._run(regime, group, seconds, measured, pinned=not together)
        return measured

    def _run(self, regime: str, group: Sequence[Entry], seconds: float, measured: Measured, *, pinned: bool) -> None:
        try:
            with ExitStack() as stack:
                core = self.server_core if pinned else None
                stubs = [stack.enter_context(Stub(each.stub, self._executable(each.stub), core)) for each in group]
                clients = [
                    [stack.enter_context(Client(job)) for job in self._jobs(entry, stub.url, pinned=pinned)]
                    for entry, stub in zip(group, stubs, strict=True)
                ]
                for client in (each for several in clients for each in several):
                    client.wait_until_ready(_READY_S)
                for stub in stubs:
                    stub.reset()
                for client in (each for several in clients for each in several):
                    client.go()
                for entry, stub, several in zip(group, stubs, clients, strict=True):
                    results = [client.result(seconds) for client in several]
                    run = _together(results) | stub.counts()
                    measured.runs.setdefault(entry.name, []).append(run)
        except BenchmarkError as error:
            for entry in group:
                measured.runs.pop(entry.name, None)
                measured.missing[entry.name] = "failed"
            self.failures.append(f"{regime}: {error}")

    def _executable(self, options: StubOptions) -> str | None:
        """Another stub knows nothing of `-O`."""
        return None if options.most else self.stub

    def _jobs(self, entry: Entry, url: str, *, pinned: bool) -> list[Job]:
        step = entry.job.count
        core = self.client_core if pinned else None
        return [
            replace(entry.job, url=url, core=core, first=entry.job.first + number * step)
            for number in range(entry.processes)
        ]


def five(job: Job, stub: StubOptions) -> list[Entry]:
    """The same work for the three alternatives and for ours without and with the batch endpoint."""
    return [Entry(name, replace(job, contender=name), stub) for name in (REQUESTS, AIOHTTP, OPENAI, SINGLE, BATCH)]


def lines(measured: Measured, entries: Sequence[Entry], cells: Callable[[str], list[str]]) -> list[list[str]]:
    """A table's lines: the cells of what was measured, and why there are none for the rest."""
    return [
        [entry.name, *(cells(entry.name) if entry.name in measured.runs else [measured.missing.get(entry.name, "-")])]
        for entry in entries
    ]


def _together(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several clients did at once, as if one had done it."""
    if len(results) == 1:
        return dict(results[0])
    summed: dict[str, Any] = {
        name: sum(result[name] for result in results)
        for name in ("count", "cpu_s", "lost", "wrong", "rows_mb", "growth_mb")
    }
    summed["began"] = min(result["began"] for result in results)
    summed["ended"] = max(result["ended"] for result in results)
    return summed | {"wall_s": summed["ended"] - summed["began"]}
