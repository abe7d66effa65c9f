"""A headless Chromium, and a report for it to show."""

import json

import pytest
from chromium import Chromium, program

from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.report import ReportOptions, Wanted, make_report, write_page

EVIL = "</script><script>console.error('run')</script><img src='http://example.invalid/x.png' onerror='fetch(`/y`)'>"


@pytest.fixture(scope="session")
def browser():
    if program() is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with Chromium() as made:
        yield made


@pytest.fixture(scope="session")
def report_page(tmp_path_factory):
    """The page of 400 rows by two judges, with everything, and with hostile texts wherever a row has texts."""
    folder = tmp_path_factory.mktemp("report")
    for name, shift in (("a.jsonl", 0), ("b.jsonl", 3)):
        rows = [_row(number, shift) for number in range(400)]
        (folder / name).write_text("\n".join(map(json.dumps, rows)))
    report = make_report(folder / "a.jsonl", ReportOptions(Wanted(label="is_right"), against=folder / "b.jsonl"))
    write_page(report, folder / "a.jsonl", folder / "report.html")
    return folder / "report.html"


def _row(number, shift):
    outcome = (Outcome.FALLBACK, Outcome.FAILED, Outcome.GATED)[number % 3] if number % 11 == 0 else Outcome.JUDGED
    judgement = Judgement(
        score=(number * 7 + shift * (number % 5)) % 101 / 100,
        outcome=outcome,
        reason=EVIL if outcome is Outcome.FALLBACK else "",
        server=EVIL,
        attempts=1,
        latency_s=0.1 + number % 17 / 10,
        prompt_tokens=100 + number,
        completion_tokens=9 + number % 30,
    )
    return {
        "data_source": f"source {number % 3} {EVIL}",
        "extra_info": {"problem": f"Problem {number // 4} {EVIL}"},
        "reward_model": {"ground_truth": EVIL},
        "candidate": f"{number} " + "a step of reasoning that leads on " * 30 + EVIL,
        "is_right": (number * 7) % 101 > 40 + number % 30,
        **judgement.to_dict(),
        "judge_reply": f"{EVIL}\nREWARD: {judgement.score}",
    }
