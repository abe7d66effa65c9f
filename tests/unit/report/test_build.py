"""The numbers of a report, of files small enough to count by hand."""

import math
import re
from datetime import datetime, timedelta, timezone

import pytest

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.report import ReportOptions, Wanted, make_report

SECTIONS = ("scores", "outcomes", "agreement", "groups", "speed", "over_time")


@pytest.fixture
def numbers(write):
    def made(rows, *, against=None, **options):
        wanted = Wanted(
            **{name: options.pop(name) for name in ("label", "group", "time", "candidate") if name in options}
        )
        if against is not None:
            options["against"] = write(against, "other.parquet")
        return make_report(write(rows), ReportOptions(wanted, **options)).to_dict()

    return made


def test_scores_are_summed_up_by_data_source(numbers, row):
    found = numbers(row(number) for number in range(8))["scores"]
    assert found["rows"] == 8
    assert found["mean"] == pytest.approx(0.5)
    assert (found["share_of_0"], found["share_of_1"]) == (0.25, 0.25)
    assert list(found["by_data_source"]) == ["sums/0", "sums/1"]
    assert found["by_data_source"]["sums/0"]["rows"] == 4


def test_outcomes_and_reasons_are_counted(numbers, row):
    changes = [{}, {"judge_outcome": "gated"}, {"judge_outcome": "fallback", "judge_reason": "late"}]
    changes += [{"judge_outcome": "failed", "judge_reason": "broken"}] * 2
    found = numbers(row(number, **change) for number, change in enumerate(changes))["outcomes"]
    assert found["outcomes"] == {"judged": 1, "gated": 1, "fallback": 1, "failed": 2}
    assert (found["share_judged"], found["share_failed"]) == (0.2, 0.4)
    assert found["reasons"] == {"broken": 2, "late": 1}


def test_agreement_is_told_for_the_judge_s_own_scores_and_for_all(numbers, row):
    rows = [row(number) for number in range(40)]
    for each in rows[:8]:  # a fallback that knows nothing
        each |= {"judge_outcome": "fallback", "score": 1.0 - each["score"]}
    found = numbers(rows, label="is_right")["agreement"]
    assert found["label"] == "is_right"
    judged, everything = found["judged_rows"], found["all_rows"]
    assert (judged["rows"], judged["auc"], judged["accuracy"]) == (32, 1.0, 1.0)
    assert (everything["rows"], everything["accuracy"]) == (40, 0.8)
    assert everything["auc_low"] <= everything["auc"] <= everything["auc_high"]
    assert everything["auc"] < judged["auc"]
    assert found["calibration_of"] == "judged rows"
    assert 1 / 3 < found["best_threshold"] <= 2 / 3


def test_the_threshold_decides_the_confusion(numbers, row):
    def confusion(threshold):
        found = numbers((row(number) for number in range(40)), label="is_right", threshold=threshold)
        return [found["agreement"]["all_rows"][name] for name in ("true_positives", "false_positives")]

    assert (confusion(0.5), confusion(0.3), confusion(0.9)) == ([20, 0], [20, 10], [10, 0])


def test_rows_without_a_label_are_left_out(numbers, row):
    rows = [row(number, is_right=None if number < 4 else number % 4 > 1) for number in range(20)]
    assert numbers(rows, label="is_right")["agreement"]["labelled"] == 16


def test_a_reversed_label_is_noticed(numbers, row):
    rows = [row(number, is_right=number % 4 < 2) for number in range(40)]
    assert any("reversed" in words for words in numbers(rows, label="is_right")["warnings"])


def test_groups_of_equal_scores_are_counted(numbers, row):
    rows = [row(number, score=1.0 if number < 8 else row(number)["score"]) for number in range(12)]
    rows.append(row(100))
    found = numbers(rows)["groups"]
    assert (found["groups"], found["alone"]) == (3, 1)
    assert (found["share_equal"], found["share_all_1"], found["share_all_0"]) == (pytest.approx(2 / 3),) * 2 + (0.0,)
    assert numbers(rows, group="data_source")["groups"]["by"] == "data_source"


def test_latency_and_tokens_are_those_of_rows_for_which_the_judge_was_asked(numbers, row):
    rows = [row(number) for number in range(5)]
    rows += [row(5, judge_attempts=0, judge_latency_s=99.0, judge_outcome="gated", judge_prompt_tokens=0)]
    found = numbers(rows)["speed"]
    assert found["rows_asked"] == 5
    assert found["judge_latency_s"]["max"] == pytest.approx(0.54)
    assert found["tokens"] == {"prompt": 100 + 101 + 102 + 103 + 104, "completion": 35}


def test_a_burst_of_fallbacks_is_found_in_the_order_of_the_file_and_by_a_time(numbers, row):
    rows = [row(n, judge_outcome="fallback" if 400 <= n < 430 else "judged", step=-n) for n in range(600)]
    found = numbers(rows)
    assert max(found["over_time"]["bins"], key=lambda each: each["not_judged"])["from"] == pytest.approx(400, abs=25)
    [burst] = [words for words in found["warnings"] if "burst" in words]
    assert "about row 4" in burst
    bins = numbers(rows, time="step")["over_time"]["bins"]
    assert (sum(each["rows"] for each in bins), bins[0]["from"]) == (600, -599)
    assert max(bins, key=lambda each: each["not_judged"])["from"] == pytest.approx(-430, abs=25)


def test_two_judges_are_compared_on_the_rows_that_both_judged(numbers, row):
    rows = [row(number) for number in range(40)]
    others = [{**each, "score": each["score"] / 2} for each in reversed(rows)]
    others[0]["judge_outcome"] = "fallback"
    found = numbers(rows, against=others, label="is_right")["comparison"]
    assert (found["matched"], found["both_judged"]) == (40, 39)
    assert (found["spearman"], found["kendall"]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert found["mean_difference"] == pytest.approx(-sum(row(n)["score"] / 2 for n in range(39)) / 39)
    assert found["same_side"] < 1.0
    assert found["auc"]["b_minus_a"] == {"auc": 0.0, "low": 0.0, "high": 0.0}


def test_what_a_file_has_not_is_null_in_the_numbers(numbers):
    found = numbers([{"score": 0.5}])
    assert [name for name in SECTIONS if found[name] is None] == list(SECTIONS[1:])
    assert list(found) == ["file", "rows", "warnings", *SECTIONS, "examples"]


def test_a_file_whose_rows_have_no_score_is_reported_all_the_same(numbers):
    found = numbers([{"score": None, "judge_outcome": "failed"}] * 3)
    assert (found["rows"], found["scores"], found["outcomes"]["share_failed"]) == (3, None, 1.0)


def test_numbers_are_finite_or_null(numbers, row):
    rows = [row(number, judge_latency_s=math.nan, score=1.0, is_right=number > 2) for number in range(6)]

    def walk(value):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, float):
            assert math.isfinite(value)

    walk(numbers(rows, label="is_right"))


def test_a_file_without_rows_is_of_no_use(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("")
    with pytest.raises(ConfigError, match="no rows"):
        make_report(path, ReportOptions())


def test_dates_are_told_in_utc(write, row):
    begin = datetime(2026, 3, 4, 5, 0, tzinfo=timezone.utc)
    rows = [
        row(n, judge_outcome="fallback" if 200 <= n < 230 else "judged", at=begin + timedelta(minutes=n))
        for n in range(400)
    ]
    report = make_report(write(rows), ReportOptions(Wanted(time="at")))
    figures = {figure.key: figure for figure in report.figures}
    axis = figures["fallback-over-time"].x
    assert axis.label == "at (UTC)"
    assert "06:00" in [tick.text for tick in axis.ticks]
    [burst] = [words for words in report.warnings if "burst" in words]
    assert re.search(r"about 2026-03-04 08:[2-5]\d:\d\d UTC", burst)


def test_a_data_source_has_an_area_of_its_own(numbers, row):
    rows = [row(number) for number in range(80)]
    for each in rows[:40:2]:
        each["score"] = 0.5
    found = numbers(rows, label="is_right")["agreement"]["auc_by_data_source"]
    assert set(found) == {"sums/0", "sums/1"}
    assert all(0.5 < value <= 1.0 for value in found.values())


def test_scores_that_are_no_numbers_or_overflow_are_counted_as_missing(numbers, row):
    odd = [math.inf, -math.inf, math.nan, 1e308, -1e308]
    found = numbers([row(number, score=score) for number, score in enumerate([*odd, 0.5, 2.0, -5.0])])["scores"]
    assert (found["rows"], found["without_score"]) == (3, 5)
    assert (found["min"], found["max"]) == (-5.0, 2.0)
