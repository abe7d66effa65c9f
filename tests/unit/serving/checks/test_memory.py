import pytest

from llm_judge_remote.serving.checks.devices import Device
from llm_judge_remote.serving.checks.memory import memory, shape
from llm_judge_remote.serving.checks.weights import ModelWeights
from llm_judge_remote.serving.spec import ServerSpec

GIB = 2**30
# Qwen/Qwen3-32B, by its index and config.
QWEN3_32B = ModelWeights(
    model="Qwen/Qwen3-32B",
    stored_bytes=65_524_246_528,
    kept_bytes=3_111_649_280,
    dtype="bfloat16",
    layers=64,
    heads=64,
    kv_heads=8,
    head_dim=128,
    max_position_embeddings=40960,
)
H100 = Device("GPU 0 (H100)", 80 * GIB, 0)
H200 = Device("GPU 0 (H200)", 141 * GIB, 0)


def look(devices, weights=QWEN3_32B, environment=None, **values):
    spec = ServerSpec(model="m", **{"gpu_memory_utilization": 0.9, **values})
    return memory(spec, weights, devices, environment or {})


def only(findings):
    (finding,) = findings
    return finding


def test_a_model_that_fits_is_told_with_the_arithmetic():
    finding = only(look([H100], quantization="fp8", max_model_len=8192))
    assert finding.level == "ok"
    assert finding.message == (
        "weights 32.0 GiB + KV cache 2.0 GiB (one request of 8192 tokens) + about 2.0 GiB for the engine itself "
        "= 36.0 GiB of 72.0 GiB (GPU 0 (H100), 80.0 GiB x 0.9 (gpu_memory_utilization)); "
        "there is room for 19 such requests at once"
    )


def test_a_model_that_is_too_large_is_an_error_with_what_to_do():
    finding = only(look([H100], max_model_len=131072))
    assert finding.level == "error"
    assert "weights 61.0 GiB + KV cache 32.0 GiB" in finding.message
    assert "= 95.0 GiB of 72.0 GiB" in finding.message
    assert "lower max_model_len" in finding.message
    assert "tensor_parallel_size" in finding.message


def test_what_fits_only_without_the_engine_s_own_part_is_a_warning_as_that_is_an_estimate():
    # 61.0 + 10.0 of 72.0; the engine's 2.0 are too much.
    finding = only(look([H100]))
    assert finding.level == "warning"
    assert "KV cache 10.0 GiB (one request of 40960 tokens)" in finding.message


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"tensor_parallel_size": 2}, "weights 30.5 GiB (61.0 GiB on 2 GPUs) + KV cache 5.0 GiB"),
        ({"pipeline_parallel_size": 2}, "weights 30.5 GiB (61.0 GiB on 2 GPUs) + KV cache 5.0 GiB"),
        ({"data_parallel_size": 2}, "weights 61.0 GiB + KV cache 10.0 GiB"),
        ({"extra_args": ["--kv-cache-dtype", "fp8"]}, "KV cache 5.0 GiB"),
        ({"extra_args": ["--kv_cache_dtype=fp8_e4m3"]}, "KV cache 5.0 GiB"),
        ({"extra_args": ["--kv-cache-dtype", "new"]}, "KV cache unknown"),
        ({"dtype": "float32"}, "weights 122.0 GiB + KV cache 20.0 GiB"),
    ],
    ids=str,
)
def test_the_spec_s_settings_are_in_the_arithmetic(values, told):
    assert told in only(look([H200, H200], **values)).message


def test_a_mixture_s_experts_are_shared_by_vllm_s_replicas_and_not_by_sglang_s():
    mixture = ModelWeights("m", 100 * GIB, 0, "bfloat16", experts=True)
    assert "25.0 GiB (100.0 GiB on 4 GPUs)" in only(look([H100] * 4, mixture, data_parallel_size=4)).message
    assert "weights 100.0 GiB +" in only(look([H100] * 4, mixture, data_parallel_size=4, engine="sglang")).message


def test_the_smallest_gpu_counts():
    assert "GPU 1 (T4)" in only(look([H100, Device("GPU 1 (T4)", 16 * GIB, 0)], tensor_parallel_size=2)).message


def test_without_a_setting_the_engine_s_own_default_counts():
    assert "80.0 GiB x 0.92 (gpu_memory_utilization, the engine's default)" in (
        only(look([H100], gpu_memory_utilization=None)).message
    )


def test_memory_in_use_by_others_is_an_error_for_vllm():
    used = Device("GPU 0 (H100)", 80 * GIB, 20 * GIB)
    finding = look([used], quantization="fp8")[0]
    assert (finding.name, finding.level) == ("free memory", "error")
    assert "20.0 GiB of 80.0 GiB are in use by others, and vLLM takes 72.0 GiB" in finding.message
    assert "gpu_memory_utilization to less than 0.75" in finding.message
    assert [each.name for each in look([used], quantization="fp8", gpu_memory_utilization=0.7)] == ["memory"]


def test_each_gpu_in_use_is_told():
    findings = look([Device(f"GPU {number}", 80 * GIB, number * 10 * GIB) for number in range(3)])
    assert [finding.message[:5] for finding in findings if finding.name == "free memory"] == ["GPU 1", "GPU 2"]


def test_sglang_takes_its_part_of_what_is_free():
    finding = only(look([Device("GPU 0", 80 * GIB, 20 * GIB)], engine="sglang", quantization="fp8", max_model_len=4096))
    assert finding.level == "ok"
    assert "= 33.0 GiB of 54.0 GiB (GPU 0, 60.0 GiB free x 0.9 (gpu_memory_utilization))" in finding.message


def test_where_sglang_chooses_its_part_too_little_of_it_is_no_error():
    values = {"engine": "sglang", "gpu_memory_utilization": None}
    assert only(look([H100], max_model_len=40960, **values)).level == "warning"  # 71.0 of 66.4, and 80 are free
    assert only(look([H100], max_model_len=131072, **values)).level == "error"  # 93.0


@pytest.mark.parametrize(
    ("values", "environment"),
    [({"extra_args": ["--kv-cache-memory-bytes", "1000"]}, {}), ({}, {"VLLM_CPU_KVCACHE_SPACE": "1"})],
    ids=["option", "variable"],
)
def test_where_the_cache_s_size_is_given_what_is_free_counts(values, environment):
    used = Device("GPU 0", 80 * GIB, 40 * GIB)
    finding = only(look([used], environment=environment, quantization="fp8", max_model_len=4096, **values))
    assert finding.level == "ok"
    assert "of 40.0 GiB (GPU 0, 40.0 GiB free)" in finding.message


def test_weights_that_may_lie_elsewhere_are_a_warning():
    assert only(look([Device("GPU 0", 24 * GIB, 0)], extra_args=["--cpu-offload-gb", "60"])).level == "warning"


def test_an_unknown_cache_is_no_error_while_the_weights_fit():
    unknown = ModelWeights("m", 10 * GIB, 0, "bfloat16")
    finding = only(look([H100], unknown))
    assert finding.level == "ok"
    assert "KV cache unknown" in finding.message
    assert "room" not in finding.message


def test_without_weights_only_what_is_free_is_looked_at():
    assert look([H100], None) == []
    assert only(look([Device("GPU 0", 80 * GIB, 40 * GIB)], None)).name == "free memory"


def test_memory_that_is_not_told_is_a_warning():
    assert only(look([Device("GPU 0 (GB10)")])).level == "warning"


def test_without_a_device_there_is_nothing_to_say():
    assert look([]) == []


def test_heads_that_cannot_be_dealt_out_are_an_error_with_what_can():
    (finding,) = shape(ServerSpec(model="m", tensor_parallel_size=6), QWEN3_32B)
    assert finding.level == "error"
    assert finding.message == "tensor_parallel_size=6 does not divide the model's 64 attention heads; try 4"


def test_more_tokens_than_the_model_was_made_for_are_a_warning():
    (finding,) = shape(ServerSpec(model="m", max_model_len=40961), QWEN3_32B)
    assert finding.level == "warning"
    assert "40960 tokens" in finding.message


def test_a_model_in_its_shape_is_not_worth_a_word():
    assert shape(ServerSpec(model="m", max_model_len=40960, tensor_parallel_size=8), QWEN3_32B) == []
