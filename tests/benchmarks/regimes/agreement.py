"""A real vLLM server and labelled solutions: which way of asking tells right from wrong best, and what does it cost?"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rows
import vllm_server
from bench import Bench
from processes import BenchmarkError
from table import Table, Target, number

from llm_judge_remote import Judge, Judgement, JudgeSettings, Outcome, Sample
from llm_judge_remote.agreement import Auc, auc
from llm_judge_remote.scoring.lexical import similarity
from llm_judge_remote.serving.launch import EngineError

__all__ = ["run"]

_GROUP = 4
_COUNT = 400
_EXPECTED = {"scoring": "expected", "max_new_tokens": 16}
_TEXT = {"temperature": 0, "max_new_tokens": 16}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "text, default": {"prompt_template": "default", **_TEXT},
    "text, binary": {"prompt_template": "binary", **_TEXT},
    "votes (5), binary": {"prompt_template": "binary", "votes": 5, "temperature": 1, "max_new_tokens": 16},
    "expected, digit": {"prompt_template": "digit", **_EXPECTED},
    "expected, Yes/No": {"prompt_template": "yes_no", **_EXPECTED},
    "gate + Yes/No": {"prompt_template": "yes_no", "gate": "both", **_EXPECTED},
}
"""Settings by name; the replies of all but Yes/No, which is read from the first token, are constrained."""


@dataclass(frozen=True, slots=True)
class _Result:
    judgements: Sequence[Judgement]
    seconds: float

    def tokens(self, kind: str) -> float:
        return sum(getattr(each, f"{kind}_tokens") for each in self.judgements) / len(self.judgements)

    def count(self, *outcomes: Outcome) -> int:
        return sum(each.outcome in outcomes for each in self.judgements)

    @property
    def scores(self) -> list[float]:
        return [each.score for each in self.judgements]


def run(bench: Bench) -> list[Table]:
    """One table: the ways of asking, and the lexical similarity alone."""
    if not bench.rows_file:
        bench.failures.append("agreement: name labelled solutions with --rows; see rows.from_file")
        return []
    count = bench.count(_COUNT, 16)
    found = rows.from_file(Path(bench.rows_file), count)
    labels = _labels(Path(bench.rows_file), count)
    samples = [Sample.from_row(*row) for row in zip(*found.columns, strict=True)]
    results: dict[str, _Result] = {}
    with tempfile.TemporaryDirectory(prefix="llm-judge-bench-") as folder:
        try:
            checkpoint = vllm_server.small_checkpoint(bench.vllm_python)
            with vllm_server.running(bench.vllm_python, checkpoint, Path(folder)) as url:
                for name, settings in WAYS.items():
                    bench.say(f"agreement: {name}")
                    results[name] = _score(url, samples, settings)
        except (BenchmarkError, EngineError, OSError) as error:
            bench.failures.append(f"agreement: {error}")
    return [_table(samples, labels, results)] if results else []


def _labels(path: Path, count: int) -> list[bool]:
    labels: list[bool] = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            problem = json.loads(line)
            labels += [bool(problem[author]["is_correct"]) for author in rows.AUTHORS]
            if len(labels) >= count:
                break
    return labels[:count]


def _score(url: str, samples: Sequence[Sample], settings: Mapping[str, Any]) -> _Result:
    given = {"server_url": url, "model_name": vllm_server.MODEL_NAME, "timeout": 600, "batch_size": 64, **settings}
    with Judge(JudgeSettings(**given)) as judge:
        judge.score(samples[:1])  # finds out what the server can
        vllm_server.empty_cache(url)
        began = time.monotonic()
        judgements = judge.score(samples)
        return _Result(judgements, time.monotonic() - began)


def _table(samples: Sequence[Sample], labels: Sequence[bool], results: Mapping[str, _Result]) -> Table:
    lexical = auc([similarity(each.candidate, each.references[0], "word_ratio") for each in samples], labels, _GROUP)
    areas: dict[str, Auc] = {name: auc(result.scores, labels, _GROUP) for name, result in results.items()}
    cells = [["lexical alone", str(lexical), "-", "-", "-", "-", "-"]]
    for name, result in results.items():
        asked = max(len(samples) - result.count(Outcome.GATED), 1)
        cells.append(
            [
                name,
                str(areas[name]),
                number(result.tokens("prompt"), 0),
                number(result.tokens("completion"), 1),
                number(result.seconds / len(samples), 3),
                number(100 * (len(samples) - asked) / len(samples), 0),
                str(len(samples) - result.count(Outcome.JUDGED, Outcome.GATED)),
            ]
        )
    failures = sum(len(samples) - each.count(Outcome.JUDGED, Outcome.GATED) for each in results.values())
    return Table(
        "agreement",
        f"{vllm_server.MODEL_NAME} on {len(samples)} labelled solutions, {sum(labels)} of them right",
        ("way", "AUC [95 %]", "prompt tokens", "reply tokens", "s/sample", "by rule %", "not judged"),
        cells,
        [
            "AUC: the chance that a right solution scores above a wrong one, of any problem, equal ones counting half;",
            f"its interval is from 1,000 bootstrap draws of problems, {_GROUP} solutions each.",
            "tokens: of a sample on average, those that the server took from its cache included.",
            "not judged: what the judge gave no verdict for; it takes the lexical score.",
        ],
        [Target("not judged, of all", float(failures), 0, digits=0)],
        {name: list(result.scores) for name, result in results.items()},
    )
