"""Whether rows are judged: one, several, and as many as one likes."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from llm_judge_remote.diagnosis.server.load import Load, LoadLevel, knee, rising_load
from llm_judge_remote.diagnosis.server.look import Seen
from llm_judge_remote.diagnosis.server.rows import right_and_wrong, sums
from llm_judge_remote.diagnosis.server.visit import Visit
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.scoring.verdict import clip

__all__ = ["many_samples", "one_sample", "throughput"]

_PROBLEMS = 8
_PATIENCE = 2.0  # times the setting `timeout`, for all of a call
_NEAR_TIMEOUT = 0.5  # of the setting `timeout`
_NO_VERDICT = (
    "let the server hold replies (structured_output=auto), or try another prompt_template or a larger model: "
    "llm-judge-remote inspect shows the prompt"
)


def one_sample(visit: Visit) -> Seen:
    """Whether one right candidate is judged."""
    return _judged(visit, 1)


def many_samples(visit: Visit) -> Seen:
    """Whether several rows in one call are judged."""
    return _judged(visit, 2 * _PROBLEMS)


def throughput(visit: Visit) -> Seen:
    """Rows a second at rising concurrency; the levels are noted in the visit."""
    load = visit.load
    if load is None:
        return Seen("skipped", "no load was asked for")
    supply = sums(secrets.randbits(32))
    settings = visit.settings.model_copy(
        update={
            "gate": "off",
            "max_retries": 0,
            "linger": 0.0,
            "max_in_flight": max(visit.settings.max_in_flight, load.most),
        }
    )

    def ask(rows: int, concurrency: int, deadline: float) -> Sequence[Judgement]:
        own = settings.model_copy(update={"batch_size": concurrency, "deadline": deadline})
        return visit.judge.score(list(islice(supply, rows)), own)

    for level in rising_load(ask, load):
        visit.levels.append(level)
    return _of_levels(visit.levels, load, visit.settings.timeout)


def _judged(visit: Visit, rows: int) -> Seen:
    samples = [trial.sample for trial in right_and_wrong(_PROBLEMS)[:rows]]
    began = time.monotonic()
    settings = visit.settings.model_copy(update={"gate": "off", "deadline": _PATIENCE * visit.settings.timeout})
    found = visit.judge.score(samples, settings)
    took = time.monotonic() - began
    lost = [each for each in found if each.outcome in (Outcome.FALLBACK, Outcome.FAILED)]
    if lost:
        reply = f"; it said {clip(lost[0].reply)}" if lost[0].reply else ""
        words = lost[0].reason if rows == 1 else f"{len(lost)} of {rows} were not judged; the first: {lost[0].reason}"
        return Seen("error", words + reply, _NO_VERDICT if lost[0].reply else "see its words, and the server's log")
    words = _alone(found[0], took) if rows == 1 else _together(found, took)
    attempts = sum(each.attempts for each in found)
    if attempts > rows:
        words = f"{words}; it took {attempts} requests: some failed, or brought no verdict at first"
        return Seen("warning", words, "read the server's log; if it shows no failure, raise max_new_tokens")
    return Seen("ok", words)


def _alone(found: Judgement, took: float) -> str:
    tokens = f"; {found.prompt_tokens:,} + {found.completion_tokens:,} tokens" if found.prompt_tokens else ""
    return f"scored {found.score:.2f} in {took:.2f} s{tokens}"


def _together(found: Sequence[Judgement], took: float) -> str:
    by_server = Counter(each.server for each in found if each.server)
    words = f"{len(found)} of {len(found)} judged in {took:.2f} s"
    if len(by_server) < 2:
        return words
    return f"{words}: {', '.join(f'{count} by {server}' for server, count in by_server.most_common())}"


def _of_levels(levels: Sequence[LoadLevel], load: Load, timeout: float) -> Seen:
    if not levels:
        return Seen("warning", f"no row was judged within {load.seconds:g} s", "give it more time with --seconds")
    judged, lost = sum(level.rows for level in levels), sum(level.failures for level in levels)
    if not judged:
        return Seen("error", f"no row was judged under load: {levels[0].reason}", "see its words, and the server's log")
    best = max(levels, key=lambda level: level.rate)
    tokens = sum(level.prompt_tokens for level in levels) / judged
    long = f" of {tokens:,.0f} tokens each" if tokens else ""
    words = f"at best {best.rate:,.1f} rows/s{long}, with {best.concurrency} at once; {_knee_words(levels, load.most)}"
    if lost:
        first = next(level for level in levels if level.failures)
        words += f"; {lost} of {judged + lost} rows failed, from {first.concurrency} at once: {first.reason}"
        fewer = f"; if it is too much load, set max_in_flight below {first.concurrency}" * (first.concurrency > 1)
        return Seen("warning", words, f"read the server's log{fewer}")
    if max(level.p99 for level in levels) > _NEAR_TIMEOUT * timeout:
        words += f"; the slowest rows take more than half of timeout={timeout:g} s"
        return Seen("warning", words, "raise timeout, or lower max_in_flight")
    return Seen("ok", words)


def _knee_words(levels: Sequence[LoadLevel], most: int) -> str:
    bend = knee(levels)
    if bend is not None:
        return f"the knee is at {bend.concurrency}"
    last = levels[-1].concurrency
    if last < most:
        return f"no knee up to {last}, where the time was up: give it more with --seconds"
    return f"no knee up to {last}: give it more with --max-concurrency"
