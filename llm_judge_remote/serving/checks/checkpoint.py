"""The files of a checkpoint that tell its size: config, index and headers, in a folder or on a hub."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_judge_remote.errors import JudgeError
from llm_judge_remote.servers.at_once import within

__all__ = ["Checkpoint", "Tensor", "WeightsError", "read_checkpoint"]

_INDEX = "model.safetensors.index.json"
_TRUE = ("1", "ON", "YES", "TRUE")  # as the hub's client reads variables
_HUB_S = 20.0  # its client tries again and again, for minutes, where it cannot be reached
_HEADER_LIMIT = 100_000_000  # as in the format's own reader


class WeightsError(JudgeError):
    """What a model weighs cannot be found out.

    Attributes:
        denied: Whether the hub refused it: it is gated or private, and the token is missing or not allowed.
    """

    def __init__(self, message: str, *, denied: bool = False) -> None:
        super().__init__(message)
        self.denied = denied


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor, as the header of its file tells it.

    Attributes:
        name: Of the parameter.
        dtype: As safetensors names it: BF16, F32, F8_E4M3, ...
        dimensions: How many it has.
        size: In bytes.
    """

    name: str
    dtype: str
    dimensions: int
    size: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint's files tell.

    Attributes:
        config: Of `config.json`.
        tensors: All of its weights; None where the files that hold them are not at hand.
        total_size: Bytes of the weights, by the index; None without one.
    """

    config: Mapping[str, Any]
    tensors: tuple[Tensor, ...] | None
    total_size: int | None


def read_checkpoint(model: str, environment: Mapping[str, str]) -> Checkpoint:
    """The files of a folder, of the hub's cache, or else of the hub: its config, index and headers are fetched.

    Args:
        model: A checkpoint's folder, or its name on a hub.
        environment: Where HF_TOKEN, HF_HUB_CACHE, HF_HOME and HF_HUB_OFFLINE are looked up.

    Raises:
        WeightsError: There is no such checkpoint, it cannot be read or reached, or it holds no safetensors.
    """
    folder = Path(model)  # "~" is left alone, as the engines leave it alone
    if folder.is_dir():
        return _from_folder(folder)
    if model.startswith(("/", ".", "~")):
        msg = f"{model} is no folder; give the whole path of the one that holds config.json, or a name on the hub"
        raise WeightsError(msg)
    hub = _client(model)
    cached = _cached(hub, model, environment)
    if cached is not None:
        return _from_folder(cached)
    if environment.get("HF_HUB_OFFLINE", "").upper() in _TRUE:
        msg = f"{model} is no folder here and not in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it"
        raise WeightsError(msg)
    try:
        return within(_HUB_S, lambda: _from_hub(hub, model, environment))
    except TimeoutError as error:
        msg = f"{model} is no folder here, and the hub cannot be asked how large it is: {error}"
        raise WeightsError(msg) from None


def _from_folder(folder: Path) -> Checkpoint:
    config = _json(folder / "config.json")
    index = _json(folder / _INDEX) if (folder / _INDEX).is_file() else {}
    # By the index, as a folder may hold the same weights twice, in files of another split.
    names = sorted({str(name) for name in index.get("weight_map", {}).values()})
    files = [folder / name for name in names] or sorted(folder.glob("*.safetensors"))
    total = index.get("metadata", {}).get("total_size")
    tensors = None
    if files and all(file.is_file() for file in files):
        tensors = tuple(tensor for file in files for tensor in _header(file))
    elif not isinstance(total, int):
        msg = f"{folder} holds no safetensors, whose headers would tell what the model weighs"
        raise WeightsError(msg)
    return Checkpoint(config, tensors, total if isinstance(total, int) else None)


def _header(path: Path) -> Iterator[Tensor]:
    """A file begins with the length of its header (8 bytes, little-endian), and the header, which is JSON."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _HEADER_LIMIT:
                msg = f"{path} is no safetensors file: its header would have {length} bytes"
                raise WeightsError(msg)
            header = json.loads(file.read(length))
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                yield Tensor(name, entry["dtype"], len(entry["shape"]), end - begin)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise WeightsError(msg) from error


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}; is it a checkpoint's folder?"
        raise WeightsError(msg) from error
    if not isinstance(found, dict):
        msg = f"{path} holds no object"
        raise WeightsError(msg)
    return found


def _client(model: str) -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        msg = (
            f"{model} is no folder here, and the hub cannot be asked: huggingface_hub is not installed "
            "(pip install huggingface_hub)"
        )
        raise WeightsError(msg) from error


def _places(environment: Mapping[str, str]) -> str | None:
    """The hub's cache for this environment, which may differ from the one that the client has read already."""
    if environment.get("HF_HUB_CACHE"):
        return environment["HF_HUB_CACHE"]
    return str(Path(environment["HF_HOME"], "hub")) if environment.get("HF_HOME") else None


def _cached(hub: Any, model: str, environment: Mapping[str, str]) -> Path | None:
    """The folder in the hub's cache, if it holds enough: the config, and the weights or their index."""
    try:
        found = hub.try_to_load_from_cache(model, "config.json", cache_dir=_places(environment))
    except ValueError as error:  # HFValidationError
        msg = f"{model} is neither a folder here nor a name on a hub: {error}"
        raise WeightsError(msg) from error
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    return folder if (folder / _INDEX).is_file() or (folder / "model.safetensors").is_file() else None


def _from_hub(hub: Any, model: str, environment: Mapping[str, str]) -> Checkpoint:
    token = environment.get("HF_TOKEN") or None
    try:
        path = hub.hf_hub_download(model, "config.json", token=token, cache_dir=_places(environment))
        found = hub.get_safetensors_metadata(model, token=token)
        tensors = tuple(
            Tensor(name, tensor.dtype, len(tensor.shape), tensor.data_offsets[1] - tensor.data_offsets[0])
            for file in found.files_metadata.values()
            for name, tensor in file.tensors.items()
        )
    except Exception as error:
        # Whatever the hub's client and the HTTP library under it raise becomes ours here.
        status = getattr(getattr(error, "response", None), "status_code", None)
        why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        if status in (401, 403):
            msg = (
                f"the hub refuses {model} ({status}): the name is wrong, or the model is gated or private; ask for "
                "access on its page, and set HF_TOKEN to a token of an account that has it"
            )
            raise WeightsError(msg, denied=True) from error
        msg = f"{model} is no folder here, and the hub does not tell its size: {why}"
        raise WeightsError(msg) from error
    return Checkpoint(_json(Path(path)), tensors, None)
