import json

import pytest
from checkpoint_files import QWEN3_32B, TENSORS, checkpoint

from llm_judge_remote.serving.checks.weights import ModelWeights, bytes_of, read_weights

GIB = 2**30


def qwen(**changes):
    return ModelWeights(
        **{
            "model": "m",
            "stored_bytes": 5040,
            "kept_bytes": 4040,
            "dtype": "bfloat16",
            "layers": 64,
            "heads": 64,
            "kv_heads": 8,
            "head_dim": 128,
            **changes,
        }
    )


def test_a_model_weighs_what_the_headers_of_its_files_say(tmp_path):
    weights = read_weights(checkpoint(tmp_path / "m", tensors=TENSORS))
    assert weights.stored_bytes == 5040
    assert weights.kept_bytes == 4040
    assert weights.dtype == "bfloat16"
    assert (weights.layers, weights.heads, weights.kv_heads, weights.head_dim) == (64, 64, 8, 128)
    assert weights.max_position_embeddings == 40960
    assert weights.quantization is None
    assert not weights.experts


def test_without_the_files_the_index_tells_and_the_embeddings_are_reckoned(tmp_path):
    model = checkpoint(tmp_path / "m")
    index = {"metadata": {"total_size": 65_524_246_528}, "weight_map": {"lm_head.weight": "model-17.safetensors"}}
    (tmp_path / "m" / "model.safetensors.index.json").write_text(json.dumps(index))
    weights = read_weights(model)
    assert weights.stored_bytes == 65_524_246_528
    assert weights.kept_bytes == 2 * 151936 * 5120 * 2
    assert weights.dtype == "bfloat16"
    # More than half of it: embeddings and output layer keep their 16 bits.
    assert weights.loaded_bytes("auto", "fp8") == 34_317_947_904


def test_tied_embeddings_count_once(tmp_path):
    model = checkpoint(tmp_path / "m", {**QWEN3_32B, "tie_word_embeddings": True})
    (tmp_path / "m" / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 65000000000}}')
    assert read_weights(model).kept_bytes == 151936 * 5120 * 2


@pytest.mark.parametrize(
    ("stored", "dtype", "quantization", "loaded"),
    [
        ("bfloat16", "auto", None, 5040),
        ("bfloat16", "float16", None, 5040),
        ("bfloat16", "float32", None, 10080),
        ("float32", "auto", None, 2520),
        ("float32", "float32", None, 5040),
        ("float32", "bfloat16", None, 2520),
        (None, "auto", None, 5040),
        ("bfloat16", "auto", "fp8", 4040 + 500),
        ("bfloat16", "float32", "fp8", 2 * 4040 + 500),
        ("float32", "auto", "fp8", 2020 + 250),
        ("bfloat16", "auto", "a-new-way", 5040),
    ],
)
def test_what_is_loaded_depends_on_dtype_and_quantization(stored, dtype, quantization, loaded):
    assert qwen(dtype=stored).loaded_bytes(dtype, quantization) == loaded


def test_a_checkpoint_that_is_quantised_already_stays_as_it_is(tmp_path):
    config = {**QWEN3_32B, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    tensors = {"a.weight": ("F8_E4M3", 100, 100), "a.weight_scale_inv": ("F32", 1, 1), "lm_head.weight": ("BF16", 9, 9)}
    weights = read_weights(checkpoint(tmp_path / "m", config, tensors))
    assert weights.quantization == {"quant_method": "fp8", "weight_block_size": [128, 128]}
    assert weights.loaded_bytes("auto", None) == weights.loaded_bytes("float32", "fp8") == weights.stored_bytes == 10166
    assert weights.compute_dtype() == "float16"  # 16 bits, whichever they are


@pytest.mark.parametrize(
    ("tokens", "dtype", "split", "size"),
    [
        (1, "bfloat16", {}, 262_144),  # 2 * 64 layers * 8 heads * 128 * 2 bytes
        (1, "fp8", {}, 131_072),
        (1, "float32", {}, 524_288),
        (4096, "bfloat16", {}, GIB),
        (1, "bfloat16", {"tensor_parallel": 2}, 131_072),
        (1, "bfloat16", {"tensor_parallel": 16}, 32_768),  # a head cannot be split: each GPU has one
        (1, "bfloat16", {"pipeline_parallel": 4}, 65_536),
        (1, "bfloat16", {"tensor_parallel": 2, "pipeline_parallel": 2}, 65_536),
        (1, "a-new-type", {}, None),
    ],
)
def test_the_cache_of_a_token_is_two_times_layers_heads_size_and_bytes(tokens, dtype, split, size):
    assert qwen().kv_bytes(tokens, dtype, **split) == size


def test_a_latent_is_kept_once_on_each_gpu(tmp_path):
    config = {
        "num_hidden_layers": 61,
        "num_attention_heads": 128,
        "num_key_value_heads": 128,
        "hidden_size": 7168,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "n_routed_experts": 256,
    }
    weights = read_weights(checkpoint(tmp_path / "m", config, TENSORS))
    assert weights.latent_dim == 576
    assert weights.experts
    assert weights.kv_bytes(1, "bfloat16") == weights.kv_bytes(1, "bfloat16", tensor_parallel=8) == 61 * 576 * 2


def test_layers_with_a_window_hold_no_more_than_the_window(tmp_path):
    kinds = ["sliding_attention", "full_attention"] * 12
    config = {**QWEN3_32B, "num_hidden_layers": 24, "layer_types": kinds, "sliding_window": 128}
    weights = read_weights(checkpoint(tmp_path / "m", config, TENSORS))
    each = 2 * 8 * 128 * 2
    assert weights.kv_bytes(100, "bfloat16") == 24 * 100 * each
    assert weights.kv_bytes(1000, "bfloat16") == 12 * 1000 * each + 12 * 128 * each


def test_layers_without_a_cache_of_tokens_do_not_count(tmp_path):
    config = {**QWEN3_32B, "layer_types": ["linear_attention"] * 3 + ["full_attention"]}
    assert read_weights(checkpoint(tmp_path / "m", config, TENSORS)).layers == 1


@pytest.mark.parametrize(
    "unknown",
    [
        {"full_attention_interval": 4},
        {"hybrid_override_pattern": "M-M*"},
        {"sliding_window": 4096, "use_sliding_window": True},
        {"sliding_window": 4096, "use_sliding_window": None},
        {"layer_types": ["full_attention", "a_new_kind"]},
        {"layer_types": ["full_attention"], "index_topk": 2048},
        {"num_hidden_layers": None},
    ],
    ids=str,
)
def test_an_architecture_that_is_not_understood_has_an_unknown_cache(tmp_path, unknown):
    config = {**QWEN3_32B, **unknown}
    if config["use_sliding_window"] is None:
        del config["use_sliding_window"]
    weights = read_weights(checkpoint(tmp_path / "m", config, TENSORS))
    assert weights.kv_bytes(1, "bfloat16") is None
    assert weights.stored_bytes == 5040


def test_a_model_of_several_media_is_read_by_its_language_part(tmp_path):
    config = {"text_config": QWEN3_32B, "vision_config": {"num_hidden_layers": 27}, "dtype": "bfloat16"}
    weights = read_weights(checkpoint(tmp_path / "m", config, TENSORS))
    assert (weights.layers, weights.kv_heads, weights.head_dim) == (64, 8, 128)


def test_older_names_and_what_can_be_worked_out_are_enough(tmp_path):
    config = {"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024}
    weights = read_weights(checkpoint(tmp_path / "m", config, TENSORS))
    assert weights.kv_bytes(1, "float16") == 2 * 12 * 768 * 2
    assert weights.max_position_embeddings == 1024


@pytest.mark.parametrize(
    ("dtype", "size"), [("bfloat16", 2), ("F8_E4M3", 1), ("fp8_e5m2", 1), ("float", 4), ("x", None)]
)
def test_a_type_has_its_bytes(dtype, size):
    assert bytes_of(dtype) == size
