from llm_judge_remote.serving.vllm import VllmServer, vllm_command, vllm_environment


def test_the_command_runs_the_module_with_the_interpreter_that_has_vllm():
    command = vllm_command(VllmServer("some/model"), python="/venv/bin/python")
    assert command[:5] == ["/venv/bin/python", "-m", "vllm.entrypoints.openai.api_server", "--model", "some/model"]


def test_what_is_left_out_is_left_to_vllm():
    command = vllm_command(VllmServer("some/model"), python="python")
    assert command[5:] == ["--host", "127.0.0.1", "--port", "8000", "--dtype", "auto"]


def test_every_attribute_is_in_the_command_or_the_environment():
    server = VllmServer(
        "folder",
        host="0.0.0.0",
        port=8123,
        served_model_name="judge",
        dtype="float32",
        max_model_len=4096,
        max_num_seqs=32,
        enforce_eager=True,
        api_key="secret",
        cpu_kv_cache_gb=1,
        local_only=True,
        extra=("--seed", "7"),
    )
    assert " ".join(vllm_command(server, python="python")).endswith(
        "--model folder --host 0.0.0.0 --port 8123 --served-model-name judge --dtype float32 "
        "--max-model-len 4096 --max-num-seqs 32 --enforce-eager --seed 7"
    )
    assert vllm_environment(server) == {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_API_KEY": "secret",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
    }


def test_the_key_is_neither_in_the_command_nor_in_the_repr():
    server = VllmServer("folder", api_key="secret")
    assert "secret" not in " ".join(vllm_command(server))
    assert "secret" not in repr(server)


def test_a_hub_may_be_asked_unless_the_model_is_said_to_be_here():
    assert "HF_HUB_OFFLINE" not in vllm_environment(VllmServer("some/model"))
