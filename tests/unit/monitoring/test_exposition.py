"""Prometheus' text format."""

import pytest

from llm_judge_remote.monitoring.exposition import Sample, samples

NAMES = ("vllm:running", "plain")


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("plain 3", Sample("plain", {}, 3.0)),
        ("plain{} 3.5e2", Sample("plain", {}, 350.0)),
        ("plain 3 1712345678901", Sample("plain", {}, 3.0)),
        ("  plain  ".strip() + "\t7", Sample("plain", {}, 7.0)),
        (
            'vllm:running{engine="0",model_name="a/b"} 2.0',
            Sample("vllm:running", {"engine": "0", "model_name": "a/b"}, 2),
        ),
        ('vllm:running{engine="0",} 2', Sample("vllm:running", {"engine": "0"}, 2)),
        (r'vllm:running{m="a\"b\\c\nd"} 2', Sample("vllm:running", {"m": 'a"b\\c\nd'}, 2)),
        ('vllm:running{m="a} b",n="{,="} 2', Sample("vllm:running", {"m": "a} b", "n": "{,="}, 2)),
    ],
)
def test_a_line_is_read_with_its_labels_as_they_were_before_they_were_escaped(line, sample):
    assert list(samples(line, NAMES)) == [sample]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# HELP plain 3",
        "# TYPE plain counter",
        "plain",
        "plain NaN",
        "plain +Inf",
        "plain three",
        "plainer 3",
        "<html>plain 3</html>",
        'plain{engine="0" 3',
    ],
)
def test_what_is_no_sample_or_no_finite_number_or_was_not_asked_for_is_passed_over(line):
    assert list(samples(f"{line}\nplain 1", NAMES)) == [Sample("plain", {}, 1.0)]
