"""The Slurm scripts in a real Slurm of one node, whose jobs are as in `slurm_stand_ins.py`."""

import json

import pytest
import slurm_cluster
from slurm_stand_ins import ARRAY, JUDGE, VERL, Slurm, free_ports_in_a_row, wait_for

from llm_judge_remote.servers.registry import lookup

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(bool(slurm_cluster.what_is_missing()), reason=slurm_cluster.what_is_missing()),
]


@pytest.fixture(scope="module")
def cluster():
    with slurm_cluster.Cluster() as running:
        yield running


@pytest.fixture
def slurm(tmp_path):
    with Slurm(tmp_path) as made:
        for stand_in in ("scancel", "squeue"):
            (tmp_path / "bin" / stand_in).unlink()
        yield made


def submit(cluster, slurm, script, *words, options=(), **variables):
    """A job's id."""
    given = ("sbatch", "--parsable", "--mem=1G", *options, script, *words)
    variables = {name: value for name, value in {**slurm.environment, **variables}.items() if name != "SLURMD_NODENAME"}
    return cluster.run(
        *given, cwd=slurm.folder, check=True, **{**variables, "SLURM_CONF": cluster.environment["SLURM_CONF"]}
    )


@pytest.mark.parametrize("script", [JUDGE, ARRAY, VERL], ids=lambda path: path.name)
def test_sbatch_takes_every_directive(cluster, slurm, script):
    cluster.run("sbatch", "--test-only", script, "preset.yaml", cwd=slurm.folder, check=True)


def test_verl_is_judged_by_an_array_and_ends_it(cluster, slurm):
    first = str(free_ports_in_a_row(3))
    judges = submit(
        cluster, slurm, ARRAY, slurm.preset, options=["--array=0-2"], JUDGE_PORT=first, JUDGE_HOST="127.0.0.1"
    )
    given = {"JUDGES": "3", "JUDGE_JOB": judges, "JUDGE_POLL": "1", "END_JUDGES": "1"}
    verl = submit(cluster, slurm, VERL, "trainer.n_gpus_per_node=1", options=["--gres=gpu:1"], **given)
    wait_for(lambda: cluster.state(verl) & {"COMPLETED", "FAILED", "CANCELLED"}, "verl's end")
    logs = "\n".join(path.read_text() for path in sorted(slurm.folder.glob("*.log")))
    assert cluster.state(verl) == {"COMPLETED"}, logs
    told = json.loads((slurm.folder / "verl.json").read_text())
    assert {row["judge_outcome"] for row in told["rows"]} == {"judged"}
    assert len({row["judge_server"] for row in told["rows"]}) == 3
    wait_for(lambda: cluster.state(judges) == {"COMPLETED"}, "the judges' end")
    assert lookup(slurm.url) == []
    assert {path.name for path in slurm.folder.glob("judges-*.log")} == {
        f"judges-{judges}_{task}.log" for task in range(3)
    }


def test_a_judge_that_is_cancelled_deregisters_and_one_that_is_requeued_too(cluster, slurm):
    first = free_ports_in_a_row(2)
    words = {"JUDGE_PORT": str(first), "JUDGE_HOST": "127.0.0.1"}
    cancelled = submit(cluster, slurm, JUDGE, slurm.preset, f"port={first + 1}", JUDGE_HOST="127.0.0.1")
    requeued = submit(cluster, slurm, ARRAY, slurm.preset, options=["--array=0"], **words)
    slurm.wait_for_judges(2)
    cluster.run("scancel", cancelled, check=True)  # as people do it: Slurm signals the shell and the server at once
    cluster.run("scontrol", "requeue", f"{requeued}_0", check=True)
    wait_for(lambda: lookup(slurm.url) == [], "both to leave")
    wait_for(lambda: cluster.state(requeued) == {"PENDING"}, "the second to queue")
