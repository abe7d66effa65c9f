"""What is said of a load, with a judge that is a table of times."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from llm_judge_remote import Judgement, JudgeSettings, Outcome
from llm_judge_remote.diagnosis.server.judging import throughput
from llm_judge_remote.diagnosis.server.load import Load

FAILED = Judgement(0.0, Outcome.FALLBACK, "turned away", latency_s=0.1)


def under_load(judgement_of, most=4, seconds=5.0, timeout=60.0):
    """What is said, and the settings and samples of each call."""
    calls = []

    def score(samples, settings):
        calls.append((samples, settings))
        rows = [judgement_of(settings.batch_size, settings.deadline) for _ in samples]
        # Who comes in the second round has waited for the first.
        waits = [index // settings.batch_size * row.latency_s for index, row in enumerate(rows)]
        return [
            replace(row, latency_s=row.latency_s + wait, queued_s=wait) for row, wait in zip(rows, waits, strict=True)
        ]

    settings = JudgeSettings(server_url="127.0.0.1:9", timeout=timeout, max_retries=3)
    visit = SimpleNamespace(load=Load(most, seconds), levels=[], settings=settings, judge=SimpleNamespace(score=score))
    return throughput(visit), calls


def judged(seconds):
    return Judgement(1.0, Outcome.JUDGED, latency_s=seconds, prompt_tokens=400)


def test_rows_are_all_different_and_every_failure_is_seen_as_one():
    seen, calls = under_load(lambda at_once, _: judged(0.01))
    problems = [sample.problem for samples, _ in calls for sample in samples]
    assert len(set(problems)) == len(problems) > 64
    assert {settings.max_retries for _, settings in calls} == {0}
    assert [settings.batch_size for _, settings in calls] == [1, 1, 2, 4]
    assert (seen.level, "rows/s of 400 tokens each" in seen.message) == ("ok", True)


@pytest.mark.parametrize(
    ("judgement_of", "level", "words"),
    [
        (lambda at_once, _: judged(0.01 * at_once), "ok", "the knee is at 1"),
        (lambda at_once, _: judged(0.01), "ok", "no knee up to 4: give it more with --max-concurrency"),
        (lambda at_once, deadline: judged(0.01 if at_once < 4 else deadline), "ok", "where the time was up"),
        (lambda at_once, _: judged(31.0 if at_once == 4 else 0.01), "warning", "more than half of timeout=60 s"),
        (lambda at_once, _: FAILED if at_once == 4 else judged(0.01), "warning", "from 4 at once: turned away"),
        (lambda at_once, _: FAILED, "error", "no row was judged under load: turned away"),
        (lambda at_once, deadline: judged(deadline), "warning", "no row was judged within 100 s"),
    ],
)
def test_what_is_said_of_a_load(judgement_of, level, words):
    seen, _ = under_load(judgement_of, seconds=100.0)
    assert (seen.level, words in seen.message) == (level, True), seen


def test_a_load_that_was_not_asked_for_is_none():
    visit = SimpleNamespace(load=None, levels=[])
    assert throughput(visit).level == "skipped"


def test_advice_on_a_limit_is_only_given_where_there_is_one_below():
    assert "max_in_flight below 4" in under_load(lambda at_once, _: FAILED if at_once == 4 else judged(0.01))[0].fix
    calls = iter(range(1000))
    seen, _ = under_load(lambda *_: FAILED if next(calls) % 3 == 2 else judged(0.01))
    assert seen.fix == "read the server's log"
