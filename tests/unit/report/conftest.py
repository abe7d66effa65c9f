"""Scored files as `score` writes them, small ones."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_judge_remote.judgement import Judgement, Outcome


def scored_row(number=0, *, group=4, **changes):
    """A row of verl's columns with a judgement: a group has scores from 0 to 1, of which the upper half is right."""
    place = number % group
    problem = f"What is {number // group} + 1?"
    judgement = Judgement(
        score=place / max(group - 1, 1),
        outcome=Outcome.JUDGED,
        reference_index=0,
        server="http://judge:8000",
        attempts=1,
        latency_s=0.5 + number / 100,
        prompt_tokens=100 + number,
        completion_tokens=7,
    )
    return {
        "data_source": f"sums/{number // group % 2}",
        "prompt": [{"role": "user", "content": problem}],
        "reward_model": {"style": "model", "ground_truth": f"It is {number // group + 1}."},
        "extra_info": {"index": number, "problem": problem},
        "candidate": f"I say {number}.",
        "is_right": 2 * place >= group,
        **judgement.to_dict(),
        "judge_reply": f"REWARD: {judgement.score:.2f}",
        **changes,
    }


@pytest.fixture
def row():
    return scored_row


@pytest.fixture
def write(tmp_path):
    """Writes rows to a parquet file in several row groups."""

    def written(rows, name="scored.parquet", group_rows=7):
        path = tmp_path / name
        pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=group_rows)
        return path

    return written
