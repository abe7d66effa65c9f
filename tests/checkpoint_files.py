"""Checkpoints for tests: a config and the headers of safetensors files, without the weights."""

import json

# Qwen/Qwen3-32B's, as far as it is looked at.
QWEN3_32B = {
    "hidden_size": 5120,
    "head_dim": 128,
    "num_attention_heads": 64,
    "num_hidden_layers": 64,
    "num_key_value_heads": 8,
    "max_position_embeddings": 40960,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "sliding_window": None,
    "use_sliding_window": False,
    "max_window_layers": 64,
}
SIZES = {"BF16": 2, "F32": 4, "F8_E4M3": 1}


def header_of(tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, *shape) in tensors.items():
        size = SIZES[dtype]
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return header


def write_file(path, tensors):
    """A safetensors file without its weights, which nobody looks at."""
    text = json.dumps(header_of(tensors)).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def checkpoint(folder, config=None, tensors=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(QWEN3_32B if config is None else config))
    if tensors is not None:
        write_file(folder / "model.safetensors", tensors)
    return str(folder)


TENSORS = {
    "model.embed_tokens.weight": ("BF16", 100, 10),  # 2000 bytes
    "model.layers.0.self_attn.q_proj.weight": ("BF16", 10, 10),  # 200
    "model.layers.0.self_attn.q_proj.bias": ("BF16", 10),  # 20
    "model.layers.0.mlp.experts.up_proj": ("BF16", 4, 10, 10),  # 800
    "model.norm.weight": ("BF16", 10),  # 20
    "lm_head.weight": ("BF16", 100, 10),  # 2000
}
