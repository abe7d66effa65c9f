import stat

import pytest
import yaml

from llm_judge_remote import ConfigError
from llm_judge_remote.serving.sglang import sglang_command, sglang_environment, write_key_file
from llm_judge_remote.serving.spec import ServerSpec

# Those options of SGLang 0.5.23 that are used here, out of the 561 that its argument parser knows (`ServerArgs.
# add_cli_args` in sglang/srt/server_args.py, fed by sglang/srt/arg_groups/fields/*.py).
OPTIONS = {
    "--api-key",
    "--chunked-prefill-size",
    "--config",
    "--context-length",
    "--cuda-graph-backend-decode",
    "--cuda-graph-backend-prefill",
    "--data-parallel-size",
    "--disable-radix-cache",
    "--dtype",
    "--enable-memory-saver",
    "--enable-metrics",
    "--enable-weights-cpu-backup",
    "--host",
    "--max-prefill-tokens",
    "--max-running-requests",
    "--mem-fraction-static",
    "--model-path",
    "--pipeline-parallel-size",
    "--port",
    "--quantization",
    "--random-seed",
    "--reasoning-parser",
    "--served-model-name",
    "--tensor-parallel-size",
    "--trust-remote-code",
    "--use-ray",
}


def command(**values):
    return sglang_command(ServerSpec(model="some/model", engine="sglang", **values), python="python")


def test_the_command_runs_the_module_with_the_interpreter_that_has_sglang():
    words = sglang_command(ServerSpec(model="some/model"), python="/venv/bin/python")
    assert words[:5] == ["/venv/bin/python", "-m", "sglang.launch_server", "--model-path", "some/model"]


def test_what_is_left_out_is_left_to_sglang_but_for_the_metrics_that_vllm_always_has():
    assert command()[5:] == ["--host", "127.0.0.1", "--port", "8000", "--dtype", "auto", "--enable-metrics"]


def everything(tmp_path, **changes):
    values = {
        "model": "folder",
        "engine": "sglang",
        "host": "0.0.0.0",
        "port": 8123,
        "served_model_name": "judge",
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 3,
        "data_parallel_size": 4,
        "dtype": "float16",
        "quantization": "fp8",
        "max_model_len": 4096,
        "max_num_seqs": 32,
        "max_num_batched_tokens": 8192,
        "gpu_memory_utilization": 0.5,
        "prefix_caching": False,
        "chunked_prefill": True,
        "reasoning_parser": "qwen3",
        "sleep_mode": True,
        "enforce_eager": True,
        "seed": 7,
        "distributed_executor_backend": "ray",
        "trust_remote_code": True,
        "api_key_env": "MY_KEY",
        "extra_args": {"kv-cache-dtype": "fp8_e5m2"},
        "environment": {"HF_HUB_OFFLINE": True},
        **changes,
    }
    return sglang_command(ServerSpec(**values), python="python", key_file=tmp_path / "key.yaml")


def test_what_is_sglang_s_is_in_the_command(tmp_path):
    assert " ".join(everything(tmp_path)).endswith(
        f"--model-path folder --host 0.0.0.0 --port 8123 --config {tmp_path}/key.yaml --served-model-name judge "
        "--dtype float16 --quantization fp8 --tensor-parallel-size 2 --pipeline-parallel-size 3 "
        "--data-parallel-size 4 --context-length 4096 --max-running-requests 32 --chunked-prefill-size 8192 "
        "--max-prefill-tokens 8192 --mem-fraction-static 0.5 --reasoning-parser qwen3 --random-seed 7 "
        "--enable-metrics --disable-radix-cache --enable-memory-saver --enable-weights-cpu-backup --use-ray "
        "--trust-remote-code --cuda-graph-backend-decode disabled --cuda-graph-backend-prefill disabled "
        "--kv-cache-dtype fp8_e5m2"
    )


def test_every_option_is_one_that_sglang_has(tmp_path):
    words = everything(tmp_path, extra_args=())
    used = {word for word in words[3:] if word.startswith("--")}
    assert used == OPTIONS - {"--api-key"}  # the key stands in the file, by its option's name


def test_without_chunks_a_prefill_is_still_bounded():
    words = command(chunked_prefill=False, max_num_batched_tokens=8192)
    assert words[words.index("--chunked-prefill-size") + 1] == "-1"
    assert words[words.index("--max-prefill-tokens") + 1] == "8192"
    assert "--max-prefill-tokens" not in command(chunked_prefill=False)


@pytest.mark.parametrize("values", [{"chunked_prefill": True}, {"prefix_caching": True}], ids=str)
def test_what_sglang_does_anyway_needs_no_option(values):
    assert command(**values) == command()


def test_processes_are_sglang_s_own_way():
    assert command(distributed_executor_backend="mp") == command()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"worker_extension_cls": "my.Extension"}, "worker_extension_cls='my.Extension' is vLLM's"),
        ({"distributed_executor_backend": "external_launcher"}, r"distributed_executor_backend=.*'mp'.*'ray'"),
        ({"api_key_env": "MY_KEY"}, "call write_key_file first"),
        ({"extra_args": ["--admin-api-key=secret"]}, "--admin-api-key can be read by every user"),
    ],
    ids=["worker_extension_cls", "executor", "key", "bare admin key"],
)
def test_what_sglang_does_not_do_is_an_error_that_says_so(values, told):
    with pytest.raises(ConfigError, match=told) as caught:
        command(**values)
    assert "secret" not in str(caught.value)


def test_a_second_config_file_is_an_error_as_sglang_takes_one(tmp_path):
    with pytest.raises(ConfigError, match="--config is taken"):
        everything(tmp_path, extra_args=["--config", "mine.yaml"])
    assert command(extra_args=["--config", "mine.yaml"])[-2:] == ["--config", "mine.yaml"]


def test_the_environment_is_the_spec_s_and_holds_no_key(monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    spec = ServerSpec(model="m", engine="sglang", api_key_env="MY_KEY", environment={"HF_HUB_OFFLINE": True})
    assert sglang_environment(spec) == {"HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize("key", ["secret", "0123", "a: b # c", '"quoted"', "schl#ssel", "yes"])
def test_the_key_is_in_a_file_that_only_its_user_reads(monkeypatch, tmp_path, key):
    monkeypatch.setenv("MY_KEY", key)
    spec = ServerSpec(model="m", engine="sglang", api_key_env="MY_KEY")
    path = write_key_file(spec, tmp_path)
    assert path.parent == tmp_path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.suffix == ".yaml"  # SGLang refuses any other but .yml
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == {"api-key": key}
    words = sglang_command(spec, python="python", key_file=path)
    assert words[words.index("--config") + 1] == str(path)
    assert key not in words


def test_two_servers_do_not_share_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_KEY", "secret")
    spec = ServerSpec(model="m", api_key_env="MY_KEY")
    assert write_key_file(spec, tmp_path) != write_key_file(spec, tmp_path)


def test_without_a_key_there_is_no_file(tmp_path):
    assert write_key_file(ServerSpec(model="m"), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_not_there_is_an_error_that_names_its_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"api_key_env='MY_KEY'.*export"):
        write_key_file(ServerSpec(model="m", api_key_env="MY_KEY"), tmp_path)


def test_a_key_that_looks_like_an_option_is_refused_and_not_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_KEY", "-secret")
    with pytest.raises(ConfigError, match="begins with '-'") as caught:
        write_key_file(ServerSpec(model="m", api_key_env="MY_KEY"), tmp_path)
    assert "secret" not in str(caught.value)


def test_a_folder_that_is_not_there_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_KEY", "secret")
    with pytest.raises(FileNotFoundError):
        write_key_file(ServerSpec(model="m", api_key_env="MY_KEY"), tmp_path / "not there")
