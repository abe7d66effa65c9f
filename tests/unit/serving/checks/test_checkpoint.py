import importlib
import json
import sys
import threading
from types import SimpleNamespace

import pytest
from checkpoint_files import QWEN3_32B, TENSORS, checkpoint, header_of, write_file

from llm_judge_remote.serving.checks.checkpoint import WeightsError
from llm_judge_remote.serving.checks.weights import read_weights


def test_files_of_another_split_beside_those_of_the_index_do_not_count_twice(tmp_path):
    model = checkpoint(tmp_path / "m")
    parts = {"model-1.safetensors": ["lm_head.weight"], "model-2.safetensors": ["model.norm.weight"]}
    for name, tensors in parts.items():
        write_file(tmp_path / "m" / name, {tensor: TENSORS[tensor] for tensor in tensors})
    write_file(tmp_path / "m" / "consolidated.safetensors", TENSORS)
    index = {"weight_map": {tensor: name for name, tensors in parts.items() for tensor in tensors}}
    (tmp_path / "m" / "model.safetensors.index.json").write_text(json.dumps(index))
    assert read_weights(model).stored_bytes == 2020


def test_a_folder_that_is_not_there_is_told():
    with pytest.raises(WeightsError, match=r"/no/such is no folder") as caught:
        read_weights("/no/such")
    assert not caught.value.denied


def test_a_folder_without_a_config_is_told(tmp_path):
    with pytest.raises(WeightsError, match=r"config\.json cannot be read.*is it a checkpoint's folder\?"):
        read_weights(str(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"], ids=["cut off", "a list", "no text"])
def test_a_broken_config_is_told(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(WeightsError, match=r"config\.json"):
        read_weights(str(tmp_path))


def test_a_folder_without_safetensors_is_told(tmp_path):
    model = checkpoint(tmp_path / "m")
    (tmp_path / "m" / "pytorch_model.bin").write_bytes(b"weights")
    with pytest.raises(WeightsError, match="holds no safetensors"):
        read_weights(model)


@pytest.mark.parametrize(
    "content",
    [b"", b"version https://git-lfs", (50).to_bytes(8, "little") + b"{", (4).to_bytes(8, "little") + b'{"a"'],
    ids=["empty", "a pointer of git-lfs", "cut off", "no JSON"],
)
def test_a_file_that_is_no_safetensors_is_told_with_its_name(tmp_path, content):
    model = checkpoint(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        read_weights(model)


class RefusedError(OSError):
    """As huggingface_hub's errors: an HTTP response is with them."""

    def __init__(self, status):
        super().__init__(f"\n{status} Client Error.\n\nCannot access gated repo for url ...")
        self.response = SimpleNamespace(status_code=status)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """As if huggingface_hub were installed, and the hub had one model; `asked` holds what it was asked."""

    def try_to_load_from_cache(model, name, cache_dir=None):
        if model.count("/") != 1:
            msg = f"Repo id must be in the form 'repo_name' or 'namespace/repo_name': '{model}'"
            raise ValueError(msg)
        path = module.cache / name
        module.asked.append(("cache", cache_dir))
        return str(path) if path.is_file() else None

    def hf_hub_download(model, name, token=None, cache_dir=None):
        module.asked.append((model, name, token, cache_dir))
        if module.refusal is not None:
            raise module.refusal
        path = tmp_path / "download" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(QWEN3_32B))
        return str(path)

    def get_safetensors_metadata(model, token=None):
        tensors = {
            name: SimpleNamespace(dtype=entry["dtype"], shape=entry["shape"], data_offsets=tuple(entry["data_offsets"]))
            for name, entry in header_of(TENSORS).items()
            if name != "__metadata__"
        }
        module.asked.append((model, "headers", token))
        return SimpleNamespace(files_metadata={"model.safetensors": SimpleNamespace(tensors=tensors)})

    module = SimpleNamespace(
        asked=[],
        refusal=None,
        cache=tmp_path / "cache" / "snapshots" / "main",
        try_to_load_from_cache=try_to_load_from_cache,
        hf_hub_download=hf_hub_download,
        get_safetensors_metadata=get_safetensors_metadata,
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return module


def test_a_hub_that_does_not_answer_is_not_waited_for(hub, monkeypatch):
    held = threading.Event()
    monkeypatch.setattr("llm_judge_remote.serving.checks.checkpoint._HUB_S", 0.05)
    monkeypatch.setattr(hub, "hf_hub_download", lambda *_, **__: held.wait())
    try:
        with pytest.raises(WeightsError, match=r"is no folder here, and the hub cannot be asked .* 0\.05 s"):
            read_weights("Qwen/Qwen3-32B", {})
    finally:
        held.set()


def test_a_name_is_asked_of_the_hub_with_the_token(hub):
    weights = read_weights("Qwen/Qwen3-32B", {"HF_TOKEN": "hf_secret"})
    assert (weights.stored_bytes, weights.kept_bytes, weights.layers) == (5040, 4040, 64)
    assert hub.asked[1:] == [
        ("Qwen/Qwen3-32B", "config.json", "hf_secret", None),
        ("Qwen/Qwen3-32B", "headers", "hf_secret"),
    ]


@pytest.mark.parametrize(
    ("environment", "folder"),
    [({"HF_HOME": "/big"}, "/big/hub"), ({"HF_HOME": "/big", "HF_HUB_CACHE": "/other"}, "/other"), ({}, None)],
)
def test_the_cache_is_where_the_engine_will_look(hub, environment, folder):
    read_weights("Qwen/Qwen3-32B", environment)
    assert hub.asked[0] == ("cache", folder)
    assert hub.asked[1][3] == folder


def test_what_the_cache_holds_is_not_asked_for(hub):
    checkpoint(hub.cache, tensors=TENSORS)
    assert read_weights("Qwen/Qwen3-32B", {}).stored_bytes == 5040
    assert hub.asked == [("cache", None)]


def test_a_cache_with_the_config_alone_is_not_enough(hub):
    checkpoint(hub.cache)
    read_weights("Qwen/Qwen3-32B", {})
    assert hub.asked[-1][1] == "headers"


@pytest.mark.parametrize("status", [401, 403])
def test_a_model_that_the_hub_refuses_is_told_with_what_to_do(hub, status):
    hub.refusal = RefusedError(status)
    with pytest.raises(WeightsError, match=rf"refuses meta/gated \({status}\).*HF_TOKEN") as caught:
        read_weights("meta/gated", {"HF_TOKEN": "hf_secret"})
    assert caught.value.denied
    assert "hf_secret" not in str(caught.value)


@pytest.mark.parametrize(
    "refusal", [RefusedError(404), RefusedError(500), ConnectionError("offline"), RuntimeError()], ids=repr
)
def test_a_hub_that_does_not_answer_is_told(hub, refusal):
    hub.refusal = refusal
    with pytest.raises(WeightsError, match=r"the hub does not tell its size: \S") as caught:
        read_weights("Qwen/Qwen3-32B", {})
    assert not caught.value.denied


def test_offline_the_cache_alone_is_asked(hub):
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids"):
        read_weights("Qwen/Qwen3-32B", {"HF_HUB_OFFLINE": "1"})
    assert hub.asked == [("cache", None)]
    checkpoint(hub.cache, tensors=TENSORS)
    assert read_weights("Qwen/Qwen3-32B", {"HF_HUB_OFFLINE": "1"}).stored_bytes == 5040


def test_what_is_no_name_is_told(hub):
    with pytest.raises(WeightsError, match="neither a folder here nor a name on a hub"):
        read_weights("models/qwen/32b", {})


def test_without_the_hub_s_package_the_message_says_so(monkeypatch):
    real = importlib.import_module

    def without(name, *rest):
        if name == "huggingface_hub":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(WeightsError, match="huggingface_hub is not installed"):
        read_weights("Qwen/Qwen3-32B", {})
