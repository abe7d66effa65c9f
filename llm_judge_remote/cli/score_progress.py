"""What `llm-judge-remote score` shows while it runs, and what it says in the end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from llm_judge_remote.offline.job import Scored
    from llm_judge_remote.offline.tally import Tally

__all__ = ["Watcher", "summary_lines"]

_EVERY_S = 0.25
_PLAIN_EVERY_S = 10.0
_RATE_S = 15.0  # over so many seconds the rate is a mean
_MOST_REASONS = 3


class Watcher:
    """Shows how far a scoring is: a bar that moves in a terminal, elsewhere a line every ten seconds.

    Args:
        console: On the standard error.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._seen: deque[tuple[float, int]] = deque()
        self._said = time.monotonic()
        self._is_told = False

    def __enter__(self) -> Watcher:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, rows: int, taken_over: int, tally: Tally) -> None:
        """Show how far it is.

        Args:
            rows: In all.
            taken_over: Done by an earlier run.
            tally: Of those that are done.
        """
        if taken_over and not self._is_told:
            self._console.print(f"{taken_over:,} of {rows:,} rows were done before; going on from there.")
        self._is_told = True
        now = time.monotonic()
        if self._seen and now - self._seen[-1][0] < _EVERY_S and tally.rows < rows:
            return
        done = max(tally.rows, taken_over)  # those of an earlier run are counted as they are come by
        self._seen.append((now, done))
        while now - self._seen[0][0] > _RATE_S and len(self._seen) > 2:
            self._seen.popleft()
        words = _words(rows, done, tally, self._rate())
        if self._live is not None:
            line = Table.grid(padding=(0, 1), expand=True)
            line.add_column(ratio=1)
            line.add_column(no_wrap=True)
            line.add_row(ProgressBar(rows or 1, done), Text(words))
            self._live.update(line, refresh=True)
        elif now - self._said >= _PLAIN_EVERY_S:
            self._said = now
            self._console.print(words)

    def _rate(self) -> float:
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        return (now - before) / (last - first) if last > first else 0.0


def summary_lines(scored: Scored, max_fallback: float) -> Iterator[str]:
    """What came of it, in a few lines."""
    tally = scored.tally
    if scored.stopped:
        word = {"interrupted": "Stopped by Ctrl-C", "terminated": "Stopped by SIGTERM"}.get(
            scored.stopped, f"Stopped: {scored.stopped}"
        )
        yield f"{word}. {tally.rows:,} of {scored.rows:,} rows are done."
        if tally.rows:
            yield f"They are kept in {scored.work_folder}; the same command goes on from there."
        return
    yield f"{scored.rows:,} rows in {scored.output}: " + ", ".join(
        f"{count:,} {outcome}" for outcome, count in tally.outcomes.most_common()
    )
    asked = tally.rows - scored.taken_over
    if asked:
        before = f", {scored.taken_over:,} were done before" if scored.taken_over else ""
        yield f"{asked:,} rows in {_span(scored.seconds)}: {scored.rows_per_s:,.1f} rows/s{before}"
    else:
        yield "All of them were done before; nothing was asked."
    p50, p99 = tally.quantile(0.5), tally.quantile(0.99)
    if p50 is not None and p99 is not None:
        yield f"The judge's answers took {p50:.3g} s (p50) and {p99:.3g} s (p99)"
        yield f"Tokens: {tally.prompt_tokens:,} of prompts, {tally.completion_tokens:,} of replies"
    if tally.not_judged:
        yield f"{tally.not_judged:,} rows ({_share(tally)}) were not judged:"
        for reason, count in tally.reasons.most_common(_MOST_REASONS):
            yield f"  {count:,} x {reason}"
        more = "is more" if tally.not_judged > max_fallback * scored.rows else "is not more"
        yield f"That {more} than --max-fallback {max_fallback:g}. To judge just these again:"
        yield f"  llm-judge-remote score {scored.output} OTHER.parquet --failed-only"


def _words(rows: int, done: int, tally: Tally, rate: float) -> str:
    """At most some 64 signs, for a bar to have a place beside them in a line of 80."""
    left = rows - done
    until = _span(left / rate) if rate and left else "-" if left else "0:00"
    p50, p99 = tally.quantile(0.5), tally.quantile(0.99)
    took = "" if p50 is None or p99 is None else f"  p50 {p50:.2g}s p99 {p99:.2g}s"
    return f"{done}/{rows}  {rate:.0f}/s  ETA {until}  fallback {_share(tally)}{took}"


def _share(tally: Tally) -> str:
    share = tally.not_judged / tally.rows if tally.rows else 0.0
    return f"{share:.1%}"


def _span(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}"
