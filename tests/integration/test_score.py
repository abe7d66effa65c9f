"""A file is scored: every row once, whatever happens on the way."""

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_judge_remote import JudgeSettings, compute_score_batched
from llm_judge_remote.dataset.work_folder import WorkFolder
from llm_judge_remote.errors import ConfigError, DatasetError
from llm_judge_remote.offline import table
from llm_judge_remote.offline.job import score_file
from llm_judge_remote.offline.journal import Journal
from llm_judge_remote.offline.order import Order
from llm_judge_remote.offline.record import NAMES
from llm_judge_remote.testing import Fault, JudgeServer

TIMES = {"judge_latency_s", "judge_queued_s", "judge_service_s", "judge_chunk"}
TOKENS = {"judge_prompt_tokens", "judge_completion_tokens"}
CHANGING = TIMES | TOKENS
"""Columns that may differ between two runs: times, who travelled with whom, and each one's part of their tokens."""

PROGRAM = """
import sys, typer
from llm_judge_remote.offline import table
table._MOST = int(sys.argv.pop(1))
from llm_judge_remote.cli.score import score
app = typer.Typer()
app.command()(score)
app()
"""


def verdict(conversation):
    """Another score for each candidate."""
    number = int(re.search(r"answer (\d+)", conversation.text)[1])
    return f"REWARD: {number % 101 / 100}"


@pytest.fixture
def server():
    with JudgeServer(judge=verdict) as running:
        yield running


@pytest.fixture
def rows(tmp_path):
    """200 rows."""

    def write(count=200, name="rows.parquet", **columns):
        made = {
            "problem": [f"What is question {n // 4}?" for n in range(count)],
            "reference": [f"the answer to {n // 4}" for n in range(count)],
            "candidate": [f"I think it is answer {n}." for n in range(count)],
            "number": list(range(count)),
            **columns,
        }
        pq.write_table(pa.table(made), tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def settings(server):
    return JudgeSettings(server_url=server.url, temperature=0, outage_grace=0, max_retries=0, hedging="off")


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch):
    monkeypatch.setattr(table, "_MOST", 64)


def scored(path):
    return pq.read_table(path).to_pylist()


def lasting(path):
    return [{name: value for name, value in row.items() if name not in CHANGING} for row in scored(path)]


def asked(requests):
    """The numbers of the rows that were asked about."""
    texts = (json.dumps(conversation) for request in requests for conversation in request.conversations)
    return [int(re.search(r"answer (\d+)", text)[1]) for text in texts]


def test_the_output_has_all_columns_and_the_scores_of_the_public_call_in_the_inputs_order(
    rows, settings, tmp_path, server
):
    path = rows()
    done = score_file(Order(path, tmp_path / "out.parquet"), settings)
    given = pq.read_table(path).to_pydict()
    extras = [{"problem": problem} for problem in given["problem"]]
    of_call = compute_score_batched(
        None, given["candidate"], given["reference"], extras, server_url=server.url, temperature=0, return_details=True
    )
    found = scored(tmp_path / "out.parquet")
    assert list(found[0]) == ["problem", "reference", "candidate", "number", *NAMES]
    assert [row["number"] for row in found] == list(range(200))
    for row, own in zip(found, of_call, strict=True):
        assert {name: row[name] for name in own if name not in CHANGING} == {
            name: value for name, value in own.items() if name not in CHANGING
        }
    assert found[7]["judge_reply"] == "REWARD: 0.07"
    assert (done.rows, done.taken_over, done.tally.outcomes, done.stopped) == (200, 0, {"judged": 200}, "")
    assert not (tmp_path / ".out.parquet.work").exists()


def test_rows_without_a_candidate_or_reference_are_there_and_say_so(rows, settings, tmp_path):
    path = rows(3, candidate=["", None, "answer 2"], reference=["a", "b", " "])
    score_file(Order(path, tmp_path / "out.parquet"), settings)
    outcomes = [row["judge_outcome"] for row in scored(tmp_path / "out.parquet")]
    assert outcomes == ["empty_candidate", "empty_candidate", "no_reference"]


def test_a_file_without_rows_gives_one_without_rows(rows, settings, tmp_path):
    none = {name: pa.array([], pa.string()) for name in ("problem", "reference", "candidate")}
    done = score_file(Order(rows(0, **none), tmp_path / "out.parquet"), settings)
    assert (done.is_complete, done.tally.rows) == (True, 0)
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def test_prompts_are_kept_as_the_judge_got_them(rows, settings, tmp_path, server):
    score_file(Order(rows(3), tmp_path / "out.parquet", keep_prompts=True), settings)
    sent = {
        "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in conversation)
        for request in server.requests
        for conversation in request.conversations
    }
    assert {row["judge_prompt"] for row in scored(tmp_path / "out.parquet")} == sent


def test_siblings_stand_in_for_each_other_as_in_one_call(rows, settings, tmp_path, server):
    def silent_on_every_fourth(conversation):
        said = verdict(conversation)
        return "I cannot tell." if int(re.search(r"answer (\d+)", conversation.text)[1]) % 4 == 3 else said

    server.judge = silent_on_every_fourth
    path = rows(80)
    given = pq.read_table(path).to_pydict()
    extras = [{"problem": problem} for problem in given["problem"]]
    of_call = compute_score_batched(
        None,
        given["candidate"],
        given["reference"],
        extras,
        server_url=server.url,
        temperature=0,
        fallback="group_mean",
        return_details=True,
    )
    score_file(Order(path, tmp_path / "out.parquet"), settings.model_copy(update={"fallback": "group_mean"}))
    found = scored(tmp_path / "out.parquet")
    assert [row["score"] for row in found] == [row["score"] for row in of_call]
    assert {row["judge_fallback_by"] for row in found[3::4]} == {"group_mean"}


def test_rows_of_another_scorer_are_its_own_affair(rows, settings, tmp_path, server):
    path = rows(4, data_source=["maths", "other", "maths", "other"])
    routed = settings.model_copy(update={"routes": {"maths": {}}, "scorer": "operator:call"})
    score_file(Order(path, tmp_path / "out.parquet"), routed)
    outcomes = [row["judge_outcome"] for row in scored(tmp_path / "out.parquet")]
    assert outcomes == ["judged", "failed", "judged", "failed"]
    assert server.stats.conversations == 2


def test_a_finished_order_asks_nothing_when_it_is_given_again(rows, settings, tmp_path, server):
    order = Order(rows(), tmp_path / "out.parquet")
    score_file(order, settings)
    again = score_file(order, settings)
    assert server.stats.conversations == 200
    assert (again.taken_over, again.tally.outcomes) == (200, {"judged": 200})


def test_an_output_that_was_made_otherwise_is_not_replaced_unless_that_is_asked_for(rows, settings, tmp_path):
    order = Order(rows(), tmp_path / "out.parquet")
    score_file(order, settings)
    another = settings.model_copy(update={"seed": 5})
    with pytest.raises(ConfigError, match=r"out.parquet is there already, and was made otherwise"):
        score_file(order, another)
    assert score_file(Order(order.input, order.output, overwrite=True), another).taken_over == 0


def test_only_what_was_not_judged_is_judged_again(rows, settings, tmp_path, server):
    server.inject(Fault("status", status=400, share=0.2))
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    done = score_file(Order(rows(), first), settings.model_copy(update={"batch_endpoint": "off"}))
    lost = [row["number"] for row in scored(first) if not row["judge_ok"]]
    assert 0 < len(lost) == done.tally.not_judged < 200
    server.clear_faults()
    before = len(server.requests)
    done = score_file(Order(first, second, failed_only=True), settings)
    assert sorted(asked(server.requests[before:])) == lost
    assert done.tally.outcomes == {"judged": 200}
    for old, new in zip(scored(first), scored(second), strict=True):
        assert new["score"] == new["number"] % 101 / 100
        if old["judge_ok"]:
            assert new == old


def test_references_of_several_types_are_still_there_when_rows_are_judged_again(settings, tmp_path, server):
    made = [
        {
            "prompt": f"{n}?",
            "candidate": f"answer {n}",
            "reward_model": {"ground_truth": "[2]" if n % 2 else ["2", "two"]},
        }
        for n in range(4)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    score_file(Order(tmp_path / "rows.jsonl", tmp_path / "whole.parquet"), settings)
    server.inject(Fault("status", status=400))
    score_file(Order(tmp_path / "rows.jsonl", tmp_path / "first.parquet"), settings)
    server.clear_faults()
    score_file(Order(tmp_path / "first.parquet", tmp_path / "second.parquet", failed_only=True), settings)
    assert lasting(tmp_path / "second.parquet") == lasting(tmp_path / "whole.parquet")


def test_what_was_not_judged_can_be_judged_again_in_place(rows, settings, tmp_path, server):
    server.inject(Fault("status", status=400, times=20))
    path = tmp_path / "out.parquet"
    settings = settings.model_copy(update={"batch_endpoint": "off", "hedging": "off"})
    done = score_file(Order(rows(), path), settings)
    server.clear_faults()
    before = server.stats.conversations
    again = score_file(Order(path, tmp_path / "." / "out.parquet", failed_only=True), settings)
    assert server.stats.conversations - before == done.tally.not_judged > 0
    assert again.tally.outcomes == {"judged": 200}
    assert [row["score"] for row in scored(path)] == [number % 101 / 100 for number in range(200)]


def test_a_file_that_was_scored_again_with_a_prefix_has_both(rows, settings, tmp_path):
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    score_file(Order(rows(4), first), settings)
    score_file(Order(first, second, prefix="b_"), settings)
    found = scored(second)[3]
    assert (found["score"], found["b_score"], found["judge_reply"]) == (0.03, 0.03, "REWARD: 0.03")
    score_file(Order(second, tmp_path / "third.parquet"), settings)
    assert scored(tmp_path / "third.parquet")[3].keys() == found.keys()


def test_a_file_that_was_not_scored_has_nothing_to_be_judged_again(rows, settings, tmp_path):
    with pytest.raises(ConfigError, match="is no output of an earlier scoring"):
        score_file(Order(rows(), tmp_path / "out.parquet", failed_only=True), settings)
    assert list(tmp_path.glob(".*")) == []


def test_without_a_server_it_stops_and_keeps_what_is_judged_and_goes_on_when_there_is_one(
    rows, settings, tmp_path, server
):
    order = Order(rows(), tmp_path / "out.parquet")
    few = settings.model_copy(update={"max_in_flight": 4, "batch_endpoint": "off"})
    answered = []

    def breaking(conversation):
        answered.append(conversation)
        if len(answered) == 100:
            server.stop()
        return verdict(conversation)

    server.judge = breaking
    done = score_file(order, few)
    assert "cannot be reached" in done.stopped or "connection" in done.stopped
    assert (done.is_complete, done.signal, order.output.exists()) == (False, 0, False)
    assert 0 < done.tally.rows < 200
    assert set(done.tally.outcomes) == {"judged"}
    server.judge = verdict
    server.start()
    before = len(server.requests)
    again = score_file(order, settings)
    assert (again.taken_over, again.tally.outcomes) == (done.tally.rows, {"judged": 200})
    assert len(asked(server.requests[before:])) == 200 - done.tally.rows


def test_a_server_that_is_soon_back_ends_no_run(rows, settings, tmp_path, server):
    few = settings.model_copy(update={"max_in_flight": 4, "batch_endpoint": "off", "outage_grace": 60.0})
    answered = []

    def breaking(conversation):
        answered.append(conversation)
        if len(answered) == 100:
            server.stop()
            threading.Timer(0.3, server.start).start()
        return verdict(conversation)

    server.judge = breaking
    done = score_file(Order(rows(), tmp_path / "out.parquet"), few)
    assert (done.stopped, done.tally.outcomes) == ("", {"judged": 200})
    assert [row["score"] for row in scored(tmp_path / "out.parquet")] == [number % 101 / 100 for number in range(200)]


def test_a_row_that_costs_its_server_the_connection_each_time_ends_it_and_the_others_are_kept(
    rows, settings, tmp_path, server
):
    server.inject(Fault("reset", match="answer 150"))
    order = Order(rows(), tmp_path / "out.parquet")
    one_by_one = settings.model_copy(update={"batch_endpoint": "off", "outage_grace": 1.0})
    done = score_file(order, one_by_one)
    assert "ended the connection" in done.stopped
    assert set(done.tally.outcomes) == {"judged"}


def test_when_row_after_row_is_not_judged_it_stops_and_says_why(rows, settings, tmp_path, server):
    wrong = settings.model_copy(update={"model_name": "another"})
    order = Order(rows(2000), tmp_path / "out.parquet")
    done = score_file(order, wrong)
    assert done.stopped.startswith("200 rows in a row were not judged: ")
    assert "another" in done.stopped
    whatever = Order(order.input, order.output, max_not_judged=1.0)
    done = score_file(whatever, wrong)
    assert (done.stopped, done.tally.not_judged) == ("", 2000)


def test_other_settings_than_those_of_the_unfinished_run_are_told_and_nothing_is_lost(rows, settings, tmp_path, server):
    order = Order(rows(2000), tmp_path / "out.parquet")
    score_file(order, settings.model_copy(update={"model_name": "another"}))
    work = sorted(each.name for each in (tmp_path / ".out.parquet.work").iterdir())
    with pytest.raises(ConfigError, match=r"settings\.model_name was 'another' and is 'Qwen/Qwen3-32B'"):
        score_file(order, settings)
    assert sorted(each.name for each in (tmp_path / ".out.parquet.work").iterdir()) == work
    fresh = score_file(Order(order.input, order.output, restart=True), settings)
    assert (fresh.taken_over, fresh.tally.outcomes) == (0, {"judged": 2000})


@pytest.mark.parametrize("in_place", [False, True])
def test_a_kill_just_before_the_work_folder_is_removed_leaves_nothing_in_the_way(
    rows, settings, tmp_path, server, monkeypatch, in_place
):
    class KilledError(BaseException):
        pass

    def killed(_):
        raise KilledError

    order = Order(rows(), tmp_path / "out.parquet")
    if in_place:
        score_file(order, settings)
        order = Order(order.output, order.output, failed_only=True)
    asked_first = server.stats.conversations
    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "remove", killed)
        with pytest.raises(KilledError):
            score_file(order, settings)
    assert (tmp_path / ".out.parquet.work").exists()
    again = score_file(order, settings)
    assert again.tally.outcomes == {"judged": 200}
    assert server.stats.conversations == max(asked_first, 200)
    assert not (tmp_path / ".out.parquet.work").exists()


def test_a_file_of_somebody_else_is_not_replaced_and_a_folder_never(rows, settings, tmp_path, server):
    (tmp_path / "text.parquet").write_text("mine")
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(ConfigError, match=r"text.parquet is there already, and was made otherwise"):
        score_file(Order(rows(), tmp_path / "text.parquet"), settings)
    with pytest.raises(ConfigError, match=r"folder.parquet is a folder; name a file"):
        score_file(Order(rows(), tmp_path / "folder.parquet", overwrite=True), settings)
    assert (server.stats.conversations, (tmp_path / "text.parquet").read_text()) == (0, "mine")


def test_what_something_else_has_changed_in_a_scored_file_is_judged_again(rows, settings, tmp_path, server):
    path = tmp_path / "out.parquet"
    score_file(Order(rows(3), path), settings)
    table = pq.read_table(path)
    place = table.schema.names.index("judge_attempts")
    pq.write_table(table.set_column(place, "judge_attempts", pa.array([1.0, math.nan, 1.0])), path)
    done = score_file(Order(path, tmp_path / "again.parquet", failed_only=True), settings)
    assert (done.tally.outcomes, server.stats.conversations) == ({"judged": 3}, 4)


def test_the_work_folder_of_another_command_is_left_alone(rows, settings, tmp_path):
    (tmp_path / ".out.parquet.work").mkdir()
    (tmp_path / ".out.parquet.work" / "journal").write_text("another's")
    with pytest.raises(ConfigError, match="holds the work of another command"):
        score_file(Order(rows(), tmp_path / "out.parquet", restart=True), settings)
    assert (tmp_path / ".out.parquet.work" / "journal").read_text() == "another's"


def test_a_run_that_could_not_even_begin_its_work_folder_is_in_nobodys_way(rows, settings, tmp_path):
    (tmp_path / ".out.parquet.work").mkdir()
    (tmp_path / ".out.parquet.work" / "manifest.part").write_text('{"recipe": "llm-jud')
    assert score_file(Order(rows(), tmp_path / "out.parquet"), settings).is_complete


def test_a_setting_of_no_use_is_told_before_anything_is_kept(rows, tmp_path):
    with pytest.raises(ConfigError, match="server_url is not set"):
        score_file(Order(rows(), tmp_path / "out.parquet"), JudgeSettings())
    assert list(tmp_path.glob(".*")) == []


def test_a_damaged_input_ends_it_with_what_was_judged_kept(rows, settings, tmp_path):
    path = rows(200, row_group=["x" * 2000 + str(n) for n in range(200)])
    whole = bytearray(path.read_bytes())
    pq.write_table(pq.read_table(path), path, row_group_size=64, compression="none")
    whole = bytearray(path.read_bytes())
    second = pq.read_metadata(path).row_group(2).column(0)
    whole[second.dictionary_page_offset : second.dictionary_page_offset + 20] = b"\xff" * 20
    path.write_bytes(whole)
    with pytest.raises(DatasetError, match=r"rows.parquet is damaged"):
        score_file(Order(path, tmp_path / "out.parquet"), settings)


def start(server, path, output, *more, part_rows=64):
    command = [sys.executable, "-c", PROGRAM, str(part_rows), str(path), str(output)]
    # What is asked once more, as it takes so long, is none of what is counted here.
    command += ["--server-url", server.url, "--set", "temperature=0", "--set", "hedging=off", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def kept(folder, part_rows):
    """The rows that the next run will not ask about."""
    if not (folder / "journal").exists():
        return set()
    steps = [line.partition(b" ")[2] for line in (folder / "journal").read_bytes().splitlines()[1:]]
    written = sum(json.loads(step)["note"]["rows"] for step in steps)
    with Journal(folder, part_rows) as journal:
        return set(range(written)).union(*map(journal.read, journal.parts))


def test_killed_at_ten_moments_it_ends_with_the_file_of_an_undisturbed_run_and_asks_nothing_twice(rows, tmp_path):
    path = rows(1000)
    chance = random.Random(7)
    with JudgeServer(judge=verdict, service_time=0.05, slots=16) as server:
        assert end(start(server, path, tmp_path / "whole.parquet"))[0] == 0
        folder, kills, done = tmp_path / ".out.parquet.work", 0, set()
        while kills < 10:
            process = start(server, path, tmp_path / "out.parquet")
            before, first = server.stats.conversations, len(server.requests)
            more = chance.randrange(0, 150)
            server.wait_until(lambda stats: stats.conversations >= before + more, timeout=60)  # noqa: B023
            process.send_signal(signal.SIGKILL)
            assert end(process)[0] == -signal.SIGKILL, "it ended before it was killed"
            assert done.isdisjoint(asked(server.requests[first:]))
            now = kept(folder, 64)
            assert done <= now
            done, kills = now, kills + 1
        # What the last of those killed had sent may still be on its way, and is nothing that the next one asks.
        server.wait_until(lambda stats: stats.in_service == 0, timeout=60)
        first = len(server.requests)
        code, _, err = end(start(server, path, tmp_path / "out.parquet"))
        last = asked(server.requests[first:])
    assert code == 0, err
    assert 0 < len(done) < 1000
    assert set(last) == set(range(1000)) - done  # on a busy machine an attempt may fail, and be made again
    assert lasting(tmp_path / "out.parquet") == lasting(tmp_path / "whole.parquet")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_all_that_was_judged_kept_and_a_word_on_how_to_go_on(rows, tmp_path, number, code):
    path = rows(1000)
    with JudgeServer(judge=verdict, service_time=0.05, slots=16) as server:
        process = start(server, path, tmp_path / "out.parquet", "--set", "batch_endpoint=off")
        server.wait_until(lambda stats: stats.statuses.get(200, 0) >= 100, timeout=60)
        process.send_signal(number)
        ended, out, err = end(process)
        assert (ended, out) == (code, "")
        found = re.search(r"([\d,]+) of 1,000 rows are done.\nThey are kept in (\S+); the same command goes on", err)
        assert found is not None, err
        assert int(found[1]) == len(kept(tmp_path / ".out.parquet.work", 64)) >= 100 - 32
        first = len(server.requests)
        code, out, _ = end(start(server, path, tmp_path / "out.parquet"))
        assert code == 0
        assert f"{1000 - int(found[1]):,} rows in" in out
        assert len(asked(server.requests[first:])) == 1000 - int(found[1])


def test_it_ends_at_once_though_the_judge_takes_its_time(rows, tmp_path):
    with JudgeServer(judge=verdict, service_time=3600) as server:
        process = start(server, rows(), tmp_path / "out.parquet")
        server.wait_until(lambda stats: stats.in_service > 0, timeout=60)
        process.send_signal(signal.SIGINT)
        code, _, err = end(process)
    assert code == 130
    assert "0 of 200 rows" in err


def test_two_at_the_same_output_do_not_disturb_each_other(rows, tmp_path, settings):
    path = rows()
    with JudgeServer(judge=verdict, service_time=3600) as server:
        process = start(server, path, tmp_path / "out.parquet")
        server.wait_until(lambda stats: stats.in_service > 0, timeout=60)
        code, _, err = end(start(server, path, tmp_path / "out.parquet"))
        assert (code, "another process is writing the same output" in err) == (1, True)
        os.kill(process.pid, signal.SIGINT)
        assert end(process)[0] == 130
