"""vLLM itself takes every preset: by its parser, its checks, and the configuration that it makes for its engine.

No weights are needed for that, and no GPU: in place of a checkpoint there is a folder with its config.json.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.serving.vllm import is_installed, vllm_command

pytestmark = [
    pytest.mark.real_vllm,
    pytest.mark.skipif(not is_installed(), reason="vLLM is not installed here: `make test-real` installs it"),
]

PRESETS = sorted((Path(__file__).parents[2] / "deploy" / "presets").glob("*.yaml"))

QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "head_dim": 128,
    "hidden_act": "silu",
    "max_position_embeddings": 40960,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}
CONFIGS = {
    "Qwen/Qwen3-32B": QWEN3
    | {"hidden_size": 5120, "intermediate_size": 25600, "num_hidden_layers": 64, "num_attention_heads": 64},
    "Qwen/Qwen3-8B": QWEN3
    | {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32},
    "Qwen/Qwen3-30B-A3B": QWEN3
    | {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_key_value_heads": 4}
    | {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 48, "num_attention_heads": 32}
    | {"moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": True}
    | {"decoder_sparse_step": 1, "mlp_only_layers": []},
    "HuggingFaceTB/SmolLM2-135M-Instruct": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    | {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9}
    | {"num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192, "tie_word_embeddings": True},
}
FP8 = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}
# All that vLLM asks of the tokenizer here is which tokens begin and end a thought.
TOKENIZER = {
    "version": "1.0",
    "added_tokens": [
        {"id": number, "content": content, "special": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for number, content in enumerate(["<think>", "</think>"], 1)
    ],
    "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "<think>": 1, "</think>": 2}, "unk_token": "<unk>"},
    **dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")),
}

# In a process of its own: the import takes a while, warns, and leaves threads behind.
READ = """
import json, sys
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.entrypoints.launchers.launcher import validate_api_server_args
from vllm.utils.argparse_utils import FlexibleArgumentParser

def read(words):
    try:
        parsed = parser.parse_args(words)
    except SystemExit:
        return "refused"
    validate_parsed_serve_args(parsed)
    validate_api_server_args(parsed)
    config = AsyncEngineArgs.from_cli_args(parsed).create_engine_config()
    model, cache, parallel, scheduler = (
        config.model_config, config.cache_config, config.parallel_config, config.scheduler_config)
    return {
        "host": parsed.host,
        "port": parsed.port,
        "name": model.served_model_name[0] if isinstance(model.served_model_name, list) else model.served_model_name,
        "dtype": str(model.dtype),
        "quantization": model.quantization,
        "max_model_len": model.max_model_len,
        "max_num_seqs": scheduler.max_num_seqs,
        "max_num_batched_tokens": scheduler.max_num_batched_tokens,
        "chunked_prefill": scheduler.enable_chunked_prefill,
        "prefix_caching": cache.enable_prefix_caching,
        "kv_cache": cache.cache_dtype,
        "gpu_memory_utilization": cache.gpu_memory_utilization,
        "tensor": parallel.tensor_parallel_size,
        "data": parallel.data_parallel_size,
        "eager": model.enforce_eager,
        "reasoning_parser": parsed.reasoning_parser,
        "trust_remote_code": model.trust_remote_code,
    }

parser = make_arg_parser(FlexibleArgumentParser())
with open(sys.argv[2], "w") as found:
    json.dump({name: read(words) for name, words in json.load(open(sys.argv[1])).items()}, found)
"""


def checkpoint(folder, model):
    """A folder that vLLM takes for the model's, as long as it does not look for weights."""
    folder.mkdir()
    config = CONFIGS[model.removesuffix("-FP8")] | ({"quantization_config": FP8} if model.endswith("-FP8") else {})
    files = {
        "config.json": config,
        "tokenizer.json": TOKENIZER,
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return str(folder)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """What vLLM makes of every preset's arguments, by preset; and of an option that it does not have."""
    folder = tmp_path_factory.mktemp("presets")
    words = {}
    for path in PRESETS:
        stand_in = checkpoint(folder / path.stem, ServerSpec.load(path).model)
        command = vllm_command(ServerSpec.load(path, {"model": stand_in}), python="python")
        words[path.stem] = ["--model", *command[command.index(stand_in) :]]  # `vllm serve` takes it without --model
    words["unknown"] = [*words["cpu"], "--no-such-option"]
    (folder / "words.json").write_text(json.dumps(words))
    done = subprocess.run(
        [sys.executable, "-c", READ, folder / "words.json", folder / "found.json"],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_vllm_reads_a_preset_as_it_is_meant(path, read):
    spec, found = ServerSpec.load(path), read[path.stem]
    on_gpu = path.stem != "cpu"
    assert found == {
        "host": "127.0.0.1",
        "port": 8000,
        # Without a name of its own a server's model is called by its checkpoint, here a folder.
        "name": spec.served_model_name or found["name"],
        "dtype": "torch.bfloat16" if on_gpu else "torch.float32",
        "quantization": "fp8" if spec.model.endswith("-FP8") else None,
        "max_model_len": spec.max_model_len,
        "max_num_seqs": spec.max_num_seqs,
        "max_num_batched_tokens": spec.max_num_batched_tokens or found["max_num_batched_tokens"],
        "chunked_prefill": True,
        "prefix_caching": True,
        "kv_cache": "fp8" if path.stem == "qwen3-32b-1xh100" else "auto",
        "gpu_memory_utilization": spec.gpu_memory_utilization or found["gpu_memory_utilization"],
        "tensor": spec.tensor_parallel_size,
        "data": spec.data_parallel_size,
        "eager": spec.enforce_eager,
        "reasoning_parser": "qwen3" if on_gpu else "",
        "trust_remote_code": False,
    }


def test_an_option_that_vllm_does_not_have_is_noticed(read):
    assert read["unknown"] == "refused"
