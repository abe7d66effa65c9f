"""Real GSM8K rows, where they are at hand: a test that asks for them elsewhere is skipped."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

SOLUTIONS = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k_model_solutions.jsonl"
AUTHORS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


class Solution(NamedTuple):
    """What a model answered to a question of GSM8K's test set."""

    question: str
    reference: str
    text: str
    is_correct: bool


def solutions(questions):
    """Those of four models to each of the first so many questions."""
    if not SOLUTIONS.exists():
        pytest.skip(f"the real solutions are not here: {SOLUTIONS}")
    with SOLUTIONS.open(encoding="utf-8") as lines:
        problems = [json.loads(next(lines)) for _ in range(questions)]
    return [
        Solution(problem["question"], problem["ground_truth"], own["solution"], own["is_correct"])
        for problem in problems
        for own in (problem[author] for author in AUTHORS)
    ]


def labels(rows):
    """A judge that knows whether the solution that it is shown is right."""
    texts = sorted(((row.text, row.question, row.is_correct) for row in rows), key=lambda each: -len(each[0]))

    def judge(conversation):
        right = next(
            right for text, question, right in texts if text in conversation.text and question in conversation.text
        )
        return f"REWARD: {float(right)}"

    return judge
