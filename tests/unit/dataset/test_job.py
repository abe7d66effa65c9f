"""The whole way from files to files: what is written, that it is always the same, and what a kill leaves."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import textwrap

import pyarrow.parquet as pq
import pytest

from llm_judge_remote import ConfigError
from llm_judge_remote.dataset import work_folder
from llm_judge_remote.dataset.job import Membership, prepare
from llm_judge_remote.dataset.membership import METHODS
from llm_judge_remote.dataset.parquet import read_metadata
from llm_judge_remote.dataset.rows import RowOptions
from llm_judge_remote.dataset.source import open_source
from llm_judge_remote.errors import DatasetError

ROWS = 600
OPTIONS = RowOptions("llm_judge_remote_test")


def row(number):
    return {"problem": f"What is {number} + {number}?", "solution": f"It is\n{number}+{number}=\n#### {2 * number}"}


@pytest.fixture
def data(tmp_path):
    return write_rows(tmp_path / "data.jsonl", ROWS)


def write_rows(path, count, first=0):
    path.write_text("".join(json.dumps(row(number)) + "\n" for number in range(first, first + count)))
    return path


def run(data, output, *, options=OPTIONS, skip_bad=False, **arguments):
    """A data set of a few row groups, in batches that are no divisor of them."""
    source = open_source([str(data)], batch_rows=70, skip_bad=skip_bad)
    return prepare(source, output, options, **{"row_group_rows": 50, **arguments})


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_all_rows_come_out_in_their_order_in_row_groups_of_the_size_asked_for(data, tmp_path):
    made = run(data, tmp_path / "out" / "rows.parquet")
    assert (made.rows, made.taken_over, made.files) == (ROWS, 0, (tmp_path / "out" / "rows.parquet",))
    file = pq.ParquetFile(made.files[0])
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [50] * 12
    rows = file.read().to_pylist()
    assert [each["extra_info"]["index"] for each in rows] == list(range(ROWS))
    assert [each["reward_model"]["ground_truth"] for each in rows] == [row(n)["solution"] for n in range(ROWS)]
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["rows.parquet"]


def test_the_metadata_say_how_it_was_made_and_nothing_of_where_or_when(data, tmp_path):
    made = run(data, tmp_path / "rows.parquet", recipe="mine", arguments={"skip_bad": False}, seed=5, subset_size=9)
    told = read_metadata(made.files[0])
    assert (told["recipe"], told["arguments"], told["seed"], told["subset_size"]) == ("mine", {"skip_bad": False}, 5, 9)
    assert told["inputs"][0]["files"] == ["data.jsonl"]
    assert set(told["versions"]) == {"llm_judge_remote", "numpy", "pyarrow"}
    assert str(tmp_path) not in json.dumps(told)


@pytest.mark.parametrize("arguments", [{}, {"membership": Membership("full_random", 300)}, {"subset_size": 77}])
def test_the_same_seed_and_input_make_the_same_bytes_wherever_they_are(data, tmp_path, arguments):
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "data.jsonl"
    moved.write_bytes(data.read_bytes())
    run(data, tmp_path / "a" / "x.parquet", seed=1, **arguments)
    run(moved, tmp_path / "b" / "x.parquet", seed=1, **arguments)
    run(data, tmp_path / "c" / "x.parquet", seed=2, **arguments)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")
    rows = [pq.read_table(tmp_path / folder / "x.parquet") for folder in "ac"]
    assert rows[0].equals(rows[1]) is (not arguments)


def test_a_subset_has_as_many_different_rows_as_asked_for_in_the_order_of_the_input(data, tmp_path):
    made = run(data, tmp_path / "rows.parquet", subset_size=77, seed=3)
    problems = [info["problem"] for info in pq.read_table(made.files[0])["extra_info"].to_pylist()]
    numbers = [int(problem.split()[2]) for problem in problems]
    assert len(numbers) == len(set(numbers)) == 77
    assert numbers == sorted(numbers)
    assert numbers != list(range(77))


def test_a_subset_of_more_rows_than_there_are_is_an_error_with_both_numbers(data, tmp_path):
    with pytest.raises(DatasetError, match=r"601 .* 600"):
        run(data, tmp_path / "out" / "rows.parquet", subset_size=601)
    assert not list((tmp_path / "out").iterdir())


def test_membership_writes_what_to_train_on_both_sides_and_a_summary(data, tmp_path):
    made = run(data, tmp_path / "m.parquet", membership=Membership("same_problem", count=120), seed=4)
    assert [file.name for file in made.files] == [
        "m.parquet",
        "m_members.jsonl",
        "m_nonmembers.jsonl",
        "m_summary.json",
    ]
    rows = pq.read_table(made.files[0]).to_pylist()
    members, others = lines(made.files[1]), lines(made.files[2])
    assert len(rows) == len(members) == len(others) == 120
    for each, member, other in zip(rows, members, others, strict=True):
        assert each["extra_info"]["problem"] == member["problem"] == other["problem"]
        assert each["reward_model"]["ground_truth"] == member["solution"] != other["solution"]
        assert (each["extra_info"]["member"], member["member"], other["member"]) == (1, 1, 0)
        assert row(member["problem_source_index"])["problem"] == member["problem"]
        assert row(other["solution_source_index"])["solution"] == other["solution"]
    assert len({each["id"] for each in members + others}) == 240
    summary = json.loads(made.files[3].read_text())
    assert summary["counts"] == {"members": 120, "nonmembers": 120, "skipped": 0}
    longest = max(len(each["solution"]) for each in others)
    assert summary["lengths in characters"]["nonmembers"]["solution"]["max"] == longest
    assert summary["seed"] == 4


def test_lengths_are_in_characters(tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"problem": f"p{n}", "solution": "é" * (n + 1)}) + "\n" for n in range(9)))
    made = run(data, tmp_path / "m.parquet", membership=Membership("same_problem"))
    told = json.loads(made.files[3].read_text())["lengths in characters"]["members"]
    assert told == {"problem": {"mean": 2.0, "min": 2, "max": 2}, "solution": {"mean": 5.0, "min": 1, "max": 9}}


def test_reversed_the_two_sides_change_their_roles(data, tmp_path):
    plain = run(data, tmp_path / "a.parquet", membership=Membership("unused_examples", 50), seed=4)
    turned = run(data, tmp_path / "b.parquet", membership=Membership("unused_examples", 50, reverse=True), seed=4)
    assert [each["problem"] for each in lines(plain.files[1])] == [each["problem"] for each in lines(turned.files[2])]
    assert [each["problem"] for each in lines(plain.files[2])] == [each["problem"] for each in lines(turned.files[1])]
    trained = pq.read_table(turned.files[0])["extra_info"].to_pylist()
    assert [each["problem"] for each in trained] == [each["problem"] for each in lines(turned.files[1])]
    assert {each["member"] for each in trained} == {1}


@pytest.mark.parametrize("reverse", [False, True])
def test_non_members_may_come_from_other_inputs(data, tmp_path, reverse):
    others = open_source([str(write_rows(tmp_path / "others.jsonl", 90, first=5000))])
    membership = Membership("separate_dataset", 80, others, reverse=reverse)
    made = run(data, tmp_path / "m.parquet", membership=membership, targets="random:2")
    numbers = [int(each["problem"].split()[2]) for each in lines(made.files[2 - reverse])]
    assert len(numbers) == 80
    assert min(numbers) >= 5000
    assert [len(each["files"]) for each in read_metadata(made.files[0])["inputs"]] == [1, 1]
    for each in pq.read_table(made.files[0]).to_pylist():
        own, *added = each["extra_info"]["target_gt"]
        assert own == each["reward_model"]["ground_truth"]
        assert len({own, *added}) == 3


def test_more_pairs_than_rows_are_an_error_and_leave_nothing(data, tmp_path):
    with pytest.raises(DatasetError, match="301"):
        run(data, tmp_path / "out" / "m.parquet", membership=Membership("unused_examples", 301))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("method", ["same problem", "separate_dataset"])
def test_a_method_that_cannot_be_is_refused_before_anything_is_read(method):
    with pytest.raises(ConfigError, match=method):
        Membership(method)
    with pytest.raises(ConfigError, match="nearest:3"):
        prepare(None, None, OPTIONS, targets="nearest:3")


def test_other_solutions_are_added_behind_a_rows_own(data, tmp_path):
    made = run(data, tmp_path / "rows.parquet", targets="random:3", seed=1)
    for each in pq.read_table(made.files[0]).to_pylist():
        own, *added = each["extra_info"]["target_gt"]
        assert own == each["reward_model"]["ground_truth"]
        assert len({own, *added}) == 4


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("method", [each for each in METHODS if each != "separate_dataset"])
def test_what_is_held_out_is_no_added_reference_of_what_is_trained_on(tmp_path, method, reverse):
    data = tmp_path / "data.jsonl"  # answers alone: one that is changed is often another row's
    rows = [{"problem": f"What is {n} + 0?", "solution": f"#### {n}"} for n in range(10, 40)]
    data.write_text("".join(json.dumps(each) + "\n" for each in rows))
    for seed in range(5):
        membership = Membership(method, 9, reverse=reverse)
        made = run(data, tmp_path / "m.parquet", membership=membership, targets="random:3", seed=seed)
        members, others = lines(made.files[1]), lines(made.files[2])
        pairs = {(each["problem"], each["solution"]) for each in others}
        trained, held_out = ({each["solution"] for each in side} for side in (members, others))
        for each in pq.read_table(made.files[0])["extra_info"].to_pylist():
            added = each["target_gt"][1:]
            assert len(set(added)) == 3
            assert not pairs & {(each["problem"], text) for text in added}
            assert not (held_out - trained) & set(added)


def test_bad_rows_are_an_error_or_counted_and_left_out(data, tmp_path):
    content = data.read_text().splitlines(keepends=True)
    content[400] = "{broken\n"
    data.write_text("".join(content))
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match=r"data\.jsonl, line 401"):
        run(data, tmp_path / "out" / "rows.parquet")
    assert not list((tmp_path / "out").iterdir())
    made = run(data, tmp_path / "out" / "rows.parquet", skip_bad=True)
    assert (made.rows, made.skipped.count, made.skipped.first[0][1]) == (ROWS - 1, 1, 401)
    pairs = run(data, tmp_path / "out" / "m.parquet", skip_bad=True, membership=Membership("same_problem"))
    assert pairs.skipped == made.skipped


def test_progress_counts_rows_and_ends_at_the_total(data, tmp_path):
    for arguments in ({}, {"membership": Membership("same_problem")}, {"subset_size": 77}):
        told = []
        run(data, tmp_path / "rows.parquet", on_progress=lambda *each, to=told: to.append(each), **arguments)
        done = [each[0] for each in told]
        assert done == sorted(done)
        assert told[-1][1] in (None, done[-1])


def test_an_existing_file_stays_until_the_new_one_is_complete(data, tmp_path):
    output = tmp_path / "rows.parquet"
    output.write_text("the former")

    def stop(done, total):
        assert output.read_text() == "the former"
        if done > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(data, output, on_progress=stop)
    assert output.read_text() == "the former"
    assert run(data, output).taken_over >= 300
    assert pq.read_metadata(output).num_rows == ROWS


@pytest.mark.parametrize("name", ["data.jsonl", "link.parquet", "x_members.jsonl", "others.jsonl"])
def test_an_input_is_never_written_over(data, tmp_path, name):
    (tmp_path / "link.parquet").symlink_to(data)
    inputs = [
        data,
        write_rows(tmp_path / "x_members.jsonl", 60, first=5000),
        write_rows(tmp_path / "others.jsonl", 9),
    ]
    before = [each.read_bytes() for each in inputs]
    others = open_source([str(each) for each in inputs[1:]])
    output = tmp_path / ("x.parquet" if name == "x_members.jsonl" else name)
    with pytest.raises(ConfigError, match=rf"{name} would be written over"):
        run(data, output, membership=Membership("separate_dataset", 5, others))
    assert [each.read_bytes() for each in inputs] == before
    assert not list(tmp_path.glob(".*.work"))


@pytest.mark.parametrize("name", [".", "..", "/", "folder", "folder/..", "pipe"])
def test_an_output_that_is_no_file_is_refused_before_anything_is_written(data, tmp_path, name):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    there = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=r"is a folder|is no file"):
        run(data, tmp_path / name, membership=Membership("same_problem"))
    assert sorted(tmp_path.rglob("*")) == there


def test_neither_is_a_folder_that_stands_where_the_summary_belongs(data, tmp_path):
    (tmp_path / "x_summary.json").mkdir()
    with pytest.raises(ConfigError, match=r"x_summary\.json is a folder"):
        run(data, tmp_path / "x.parquet", membership=Membership("same_problem"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data.jsonl", "x_summary.json"]


def interrupted(data, output, done=300, **arguments):
    def stop(now, total):
        if now >= done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(data, output, on_progress=stop, **arguments)
    return output.with_name(f".{output.name}.work")


@pytest.mark.parametrize("changed", ["seed", "options", "input", "rows of a group"])
def test_work_for_something_else_is_not_taken_over(data, tmp_path, changed):
    output = tmp_path / "out" / "rows.parquet"
    interrupted(data, output)
    arguments = {}
    if changed == "seed":
        arguments["seed"] = 1
    elif changed == "options":
        arguments["options"] = RowOptions("llm_judge_remote_other")
    elif changed == "rows of a group":
        arguments["row_group_rows"] = 60
    else:
        data.write_text(data.read_text().replace("What is 3 ", "What is three "))
    assert run(data, output, **arguments).taken_over == 0
    run(data, tmp_path / "undisturbed" / "rows.parquet", **arguments)
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize("name", ["journal", "rows.arrow", "members.jsonl"])
def test_whatever_a_crash_cut_off_or_spoilt_is_made_again(data, tmp_path, name):
    pairs = {"membership": Membership("same_problem"), "seed": 6}
    run(data, tmp_path / "undisturbed" / "m.parquet", **pairs)
    choice = random.Random(name)
    for attempt in range(8):
        output = tmp_path / str(attempt) / "m.parquet"
        file = interrupted(data, output, done=ROWS + 400, **pairs) / name
        content = bytearray(file.read_bytes())
        place = choice.randrange(len(content))
        if attempt % 2:
            del content[place:]
        else:
            content[place] ^= 0x40
        file.write_bytes(content)
        run(data, output, **pairs)
        assert contents(output.parent) == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize("renamed", [0, 1, 2, 3])
def test_stopped_while_files_get_their_names_it_is_done_again(data, tmp_path, monkeypatch, renamed):
    pairs = {"membership": Membership("full_random"), "seed": 6}
    run(data, tmp_path / "undisturbed" / "m.parquet", **pairs)
    output = tmp_path / "out" / "m.parquet"
    replace, left = work_folder.Path.replace, [renamed]

    def stop(self, target):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return replace(self, target)

    monkeypatch.setattr(work_folder.Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        run(data, output, **pairs)
    assert not output.exists()  # it comes last
    monkeypatch.undo()
    run(data, output, **pairs)
    assert contents(output.parent) == contents(tmp_path / "undisturbed")


KILLED = """
    import sys
    from pathlib import Path
    from llm_judge_remote.dataset.job import Membership, prepare
    from llm_judge_remote.dataset.rows import RowOptions
    from llm_judge_remote.dataset.source import open_source

    def told(done, total):
        print(done, flush=True)
        sys.stdin.readline()

    source = open_source([sys.argv[1]], batch_rows=70)
    made = prepare(source, Path(sys.argv[2]), RowOptions("llm_judge_remote_test"), row_group_rows=3,
                   membership=Membership("perturbed_solution"), seed=8, on_progress=told)
    print("taken over", made.taken_over)
"""


def begin(data, output):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(data), str(output)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes(data, tmp_path):
    choice = random.Random(1)
    output = tmp_path / "killed" / "m.parquet"
    for _ in range(10):
        with begin(data, output) as process:
            # So many of its 9 batches and 200 steps it may do; then it is killed while it is at the next ones.
            for _ in range(choice.randrange(1, 22)):
                process.stdout.readline()
                process.stdin.write("\n")
                process.stdin.flush()
            process.stdin.write("\n" * 2)
            process.stdin.flush()
            process.send_signal(signal.SIGKILL)
            assert process.wait(60) == -signal.SIGKILL
    assert [file.name for file in output.parent.iterdir()] == [".m.parquet.work"]
    with begin(data, output) as process:
        said, _ = process.communicate("\n" * 300, timeout=60)
    assert int(said.split()[-1]) > 0
    with begin(data, tmp_path / "undisturbed" / "m.parquet") as process:
        said, _ = process.communicate("\n" * 300, timeout=60)
    assert said.endswith("taken over 0\n")
    assert contents(output.parent) == contents(tmp_path / "undisturbed")
    assert len(contents(output.parent)) == 4


def test_two_at_once_do_not_write_the_same_output(data, tmp_path):
    output = tmp_path / "m.parquet"
    with begin(data, output) as process:
        process.stdout.readline()
        with pytest.raises(DatasetError, match="another process"):
            run(data, output)
        process.communicate("\n" * 300, timeout=60)
    assert run(data, output).rows == ROWS


def test_a_folder_that_cannot_be_made_is_named(data, tmp_path):
    with pytest.raises(DatasetError, match=r"data\.jsonl.* cannot be written"):
        run(data, data / "below" / "rows.parquet")


def test_a_read_only_folder_is_named(data, tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(work_folder.Path, "mkdir", refuse)
    with pytest.raises(DatasetError, match=r"rows\.parquet\.work.*Read-only file system"):
        run(data, tmp_path / "rows.parquet")


IN_A_SMALL_FOLDER = """
    import os, sys
    from pathlib import Path
    from llm_judge_remote.dataset.job import Membership, prepare
    from llm_judge_remote.dataset.rows import RowOptions
    from llm_judge_remote.dataset.source import open_source
    from llm_judge_remote.errors import DatasetError

    output = Path(sys.argv[2]) / "m.parquet"
    membership = Membership("same_problem") if sys.argv[3] == "pairs" else None
    try:
        prepare(open_source([sys.argv[1]]), output, RowOptions("llm_judge_remote_test"), membership=membership,
                row_group_rows=2000)
    except DatasetError as error:
        print(error)
        print(*os.listdir(output.parent))
"""


def in_a_namespace(mount, *arguments):
    """A script in a process that alone sees a file system of its own on `mount`; skips where that is not permitted."""
    options, folder = mount
    program = [sys.executable, "-c", textwrap.dedent(IN_A_SMALL_FOLDER), *map(str, arguments)]
    script = f'mount -t tmpfs -o {options} none "$0" || exit 77; exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, str(folder), *program]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"file systems may not be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("what", ["rows", "pairs"])
def test_a_full_disk_is_said_and_no_output_is_left(tmp_path, what):
    small = tmp_path / "small"
    small.mkdir()
    choice = random.Random(0)
    data = tmp_path / "noise.jsonl"
    noise = ({"problem": f"{n}?", "solution": choice.randbytes(100).hex()} for n in range(20_000))
    data.write_text("".join(json.dumps(each) + "\n" for each in noise))
    message, left = in_a_namespace(("size=1m", small), data, small, what)
    assert f"{small}/.m.parquet.work" in message
    assert "No space left on device" in message
    if what == "rows":  # what is done is good for another run, and is said
        assert left == ".m.parquet.work"
        assert "rows that are done are kept in" in message
    else:
        assert left == ""


def test_a_read_only_file_system_is_said_and_nothing_is_left(data, tmp_path):
    folder = tmp_path / "fixed"
    folder.mkdir()
    message, left = in_a_namespace(("ro,size=1m", folder), data, folder, "rows")
    assert f"{folder}/.m.parquet.work: cannot be written: Read-only file system" in message
    assert left == ""


def test_a_file_that_may_not_grow_is_said_and_the_run_goes_on_when_it_may(tmp_path):
    # Where nothing may be mounted: a limit on the size of files fails as a full disk does, in the midst of a write.
    data = write_rows(tmp_path / "data.jsonl", 20_000)
    script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, -1))\n"
    command = [sys.executable, "-c", script + textwrap.dedent(IN_A_SMALL_FOLDER), str(data), str(tmp_path), "rows"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "File too large" in done.stdout
    assert not (tmp_path / "m.parquet").exists()
    made = prepare(open_source([str(data)]), tmp_path / "m.parquet", OPTIONS, row_group_rows=2000)
    assert 0 < made.taken_over < made.rows == 20_000
    assert pq.read_table(made.files[0])["extra_info"][-1]["index"].as_py() == 19_999
