import pytest

from llm_judge_remote import ConfigError
from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.serving.vllm import vllm_command, vllm_environment


def test_the_command_runs_the_module_with_the_interpreter_that_has_vllm():
    command = vllm_command(ServerSpec(model="some/model"), python="/venv/bin/python")
    assert command[:5] == ["/venv/bin/python", "-m", "vllm.entrypoints.openai.api_server", "--model", "some/model"]


def test_what_is_left_out_is_left_to_vllm():
    command = vllm_command(ServerSpec(model="some/model"), python="python")
    assert command[5:] == ["--host", "127.0.0.1", "--port", "8000", "--dtype", "auto"]


def test_what_is_vllm_s_is_in_the_command_or_the_environment(monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    server = ServerSpec(
        model="folder",
        host="0.0.0.0",
        port=8123,
        served_model_name="judge",
        tensor_parallel_size=2,
        pipeline_parallel_size=3,
        data_parallel_size=4,
        dtype="float32",
        quantization="fp8",
        max_model_len=4096,
        max_num_seqs=32,
        max_num_batched_tokens=8192,
        gpu_memory_utilization=0.5,
        prefix_caching=True,
        chunked_prefill=False,
        reasoning_parser="qwen3",
        sleep_mode=True,
        enforce_eager=True,
        seed=7,
        distributed_executor_backend="ray",
        worker_extension_cls="my.Extension",
        trust_remote_code=True,
        api_key_env="MY_KEY",
        extra_args={"kv-cache-dtype": "fp8", "async_scheduling": True, "enable-lora": False, "stop": ["a", "b"]},
        environment={"HF_HUB_OFFLINE": True},
    )
    assert " ".join(vllm_command(server, python="python")).endswith(
        "vllm.entrypoints.cli.main serve folder --host 0.0.0.0 --port 8123 --served-model-name judge "
        "--dtype float32 --quantization fp8 "
        "--tensor-parallel-size 2 --pipeline-parallel-size 3 --data-parallel-size 4 --max-model-len 4096 "
        "--max-num-seqs 32 --max-num-batched-tokens 8192 --gpu-memory-utilization 0.5 --reasoning-parser qwen3 "
        "--seed 7 --distributed-executor-backend ray --worker-extension-cls my.Extension --enable-prefix-caching "
        "--no-enable-chunked-prefill --enable-sleep-mode --enforce-eager --trust-remote-code "
        "--kv-cache-dtype fp8 --async-scheduling --no-enable-lora --stop a b"
    )
    assert vllm_environment(server) == {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_API_KEY": "secret",
        "VLLM_SERVER_DEV_MODE": "1",
        "HF_HUB_OFFLINE": "1",
    }
    assert "secret" not in " ".join(vllm_command(server))
    assert "secret" not in repr(server)


def test_a_key_that_is_not_there_is_an_error_that_names_its_variable(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"api_key_env='MY_KEY'.*export"):
        vllm_environment(ServerSpec(model="folder", api_key_env="MY_KEY"))
