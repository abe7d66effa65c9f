"""A file is scored by the actors of a Ray cluster."""

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_judge_remote import JudgeSettings
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.offline.job import score_file
from llm_judge_remote.offline.order import Order
from llm_judge_remote.testing import JudgeServer

pytestmark = [
    pytest.mark.fleet,
    # Of Ray Data's own making: warnings about itself, and what its processes leave to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROWS = 600
CHANGING = re.compile(r"judge_(latency_s|queued_s|service_s|chunk|prompt_tokens|completion_tokens|hedged|server)")


def verdict(conversation):
    number = int(re.search(r"answer (\d+)", conversation.text)[1])
    return f"REWARD: {number % 101 / 100}"


@pytest.fixture
def server():
    with JudgeServer(judge=verdict, service_time=0.01, slots=64) as running:
        yield running


@pytest.fixture
def settings(server):
    return JudgeSettings(
        server_url=server.url,
        temperature=0,
        structured_output="off",
        startup_timeout=0,
        outage_grace=0,
        max_retries=0,
        hedging="off",
        max_in_flight=8,
    )


@pytest.fixture
def data(tmp_path):
    made = {
        "problem": [f"What is question {n}?" for n in range(ROWS)],
        "reference": [f"the answer to {n}" for n in range(ROWS)],
        "candidate": [f"I think it is answer {n}. " + "So it is. " * 300 for n in range(ROWS)],
    }
    pq.write_table(pa.table(made), tmp_path / "rows.parquet", row_group_size=150)
    return tmp_path / "rows.parquet"


def lasting(path):
    rows = pq.read_table(path).to_pylist()
    return [{name: value for name, value in row.items() if not CHANGING.fullmatch(name)} for row in rows]


def test_actors_give_what_one_process_gives_in_the_same_order_within_the_same_limit(
    ray_address, data, settings, server, tmp_path
):
    local, spread = tmp_path / "local.parquet", tmp_path / "spread.parquet"
    score_file(Order(data, local), settings)
    before = server.stats.conversations
    done = score_file(Order(data, spread, engine="ray", actors=2), settings)
    assert (done.stopped, done.tally.outcomes) == ("", {"judged": ROWS})
    assert lasting(spread) == lasting(local)
    assert server.stats.conversations == before + ROWS
    assert server.stats.peak_concurrency <= 8


def test_when_the_server_is_gone_what_was_judged_is_kept_and_the_next_run_asks_for_the_others_alone(
    ray_address, data, settings, server, tmp_path
):
    order = Order(data, tmp_path / "out.parquet", engine="ray")
    answered = []

    def breaking(conversation):
        answered.append(conversation)
        if len(answered) == ROWS // 2:
            server.stop()
        return verdict(conversation)

    server.judge = breaking
    done = score_file(order, settings)
    assert done.stopped
    assert 0 < done.tally.rows < ROWS
    server.judge = verdict
    server.start()
    before = server.stats.conversations
    again = score_file(order, settings)
    assert (again.taken_over, again.tally.outcomes) == (done.tally.rows, {"judged": ROWS})
    assert server.stats.conversations == before + ROWS - done.tally.rows


def test_a_setting_of_no_use_is_told_as_anywhere(ray_address, data, settings, tmp_path):
    none = settings.model_copy(update={"server_url": ()})
    with pytest.raises(ConfigError, match="server_url is not set"):
        score_file(Order(data, tmp_path / "out.parquet", engine="ray"), none)
