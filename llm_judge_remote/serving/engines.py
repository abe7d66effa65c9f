"""The engines that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llm_judge_remote.serving.sglang import sglang_command, sglang_environment, write_key_file
from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.serving.vllm import vllm_command, vllm_environment

_SECRET = re.compile("TOKEN|KEY|SECRET|PASSWORD")

__all__ = ["Command", "engine_command", "shown_command"]


@dataclass(frozen=True, slots=True)
class Command:
    """How an engine is started.

    Attributes:
        words: The command line.
        environment: Variables on top of this process's; it may hold a key.
        key_file: What the engine reads while it starts; to be deleted when it is well.
    """

    words: list[str]
    environment: Mapping[str, str]
    key_file: Path | None = None

    def __repr__(self) -> str:
        return f"Command({self.words!r}, environment of {sorted(self.environment)})"


def engine_command(spec: ServerSpec, python: str, folder: Path) -> Command:
    """How a server's engine is started.

    Args:
        spec: The server.
        python: The interpreter that has the engine.
        folder: For files that the engine reads, readable by this user only; it must last as long as the engine.

    Raises:
        ConfigError: The engine cannot do what the spec asks for.
    """
    if spec.engine == "sglang":
        key_file = write_key_file(spec, folder)
        return Command(sglang_command(spec, python=python, key_file=key_file), sglang_environment(spec), key_file)
    return Command(vllm_command(spec, python=python), vllm_environment(spec))


def shown_command(spec: ServerSpec, python: str) -> str:
    """The engine's command line for a shell, with the name of the key's variable in the key's place.

    Raises:
        ConfigError: The engine cannot do what the spec asks for.
    """
    keyless = spec.model_copy(update={"api_key_env": None})
    if spec.engine == "sglang":
        file = Path("KEY_FILE") if spec.api_key_env else None
        command = Command(sglang_command(keyless, python=python, key_file=file), sglang_environment(keyless))
    else:
        command = Command(vllm_command(keyless, python=python), vllm_environment(keyless))
    words = [
        f'{name}="${name}"' if _SECRET.search(name) else f"{name}={shlex.quote(value)}"
        for name, value in command.environment.items()
    ]
    if spec.api_key_env and spec.engine == "vllm":
        words.append(f'VLLM_API_KEY="${spec.api_key_env}"')
    return " ".join([*words, shlex.join(command.words)])
