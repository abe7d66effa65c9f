"""What a model weighs, from its own files: its config and the headers of its weights."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_judge_remote.serving.checks.checkpoint import Checkpoint, WeightsError, read_checkpoint

__all__ = ["ModelWeights", "WeightsError", "bytes_of", "read_weights"]

_BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32", "float32", "float"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16", "float16", "half", "bfloat16", "bf16"), 16),
    **dict.fromkeys(("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "float8_e4m3fn", "int8", "mxfp8"), 8),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"), 8),
}
_LONG_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}

# What engines make of a 16-bit matrix while they load it, in bits. Scales add less than 1 %: one of 32 bits for each
# tensor, channel or block of 128 x 128; mxfp8 has one of 8 bits for each 32 weights.
_ON_LOAD_BITS: Mapping[str, float] = {
    **dict.fromkeys(("fp8", "fp8_per_tensor", "fp8_per_channel", "fp8_per_block", "w8a8_fp8"), 8.0),
    **dict.fromkeys(("int8", "experts_int8", "w8a8_int8"), 8.0),
    "mxfp8": 8.25,
    "bitsandbytes": 4.5,
}
_KEPT = re.compile(r"embed|lm_head|(^|[._])wte\b|(^|[._])wpe\b")
_HYBRIDS = (
    "full_attention_interval",
    "hybrid_override_pattern",
    "layers_block_type",
    "attn_layer_period",
    "index_topk",
)


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """A model's size, and what its KV cache needs for a token.

    Attributes:
        model: Its folder or name.
        stored_bytes: Of all its weights, as they are stored.
        kept_bytes: Those of them that quantisation on load leaves as they are: embeddings, output layer, norms, biases.
        dtype: Of most of the stored weights: bfloat16, float32, ...; None if that is not known.
        quantization: The checkpoint's own `quantization_config`, if it is quantised already.
        layers: Layers whose KV cache holds all tokens; None if the config does not tell.
        sliding_layers: Further layers, whose KV cache holds the last `sliding_window` tokens.
        sliding_window: In tokens.
        heads: Attention heads.
        kv_heads: Of keys and of values, each.
        head_dim: Numbers in a key, and in a value.
        latent_dim: With multi-head latent attention, the numbers that a layer keeps for a token in place of keys and
            values (`kv_lora_rank` + `qk_rope_head_dim`).
        max_position_embeddings: Tokens that the model was made for.
        experts: Whether it is a mixture of experts.
    """

    model: str
    stored_bytes: int
    kept_bytes: int
    dtype: str | None = None
    quantization: Mapping[str, Any] | None = None
    layers: int | None = None
    sliding_layers: int = 0
    sliding_window: int = 0
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    latent_dim: int | None = None
    max_position_embeddings: int | None = None
    experts: bool = False

    def compute_dtype(self, dtype: str = "auto") -> str:
        """What the engines make of `dtype`: for auto the stored type, and 16 bits where that is float32."""
        if dtype != "auto":
            return dtype
        return self.dtype if self.dtype in ("bfloat16", "float16") else "float16"

    def loaded_bytes(self, dtype: str = "auto", quantization: str | None = None) -> int:
        """Of all its weights, once an engine has loaded them.

        A checkpoint that is quantised already stays as it is. Else weights become `dtype`, and of those that are not
        `kept_bytes` quantisation on load makes 8 bits (fp8 and int8) or fewer each; a way of quantising that is not
        known here counts as none, so that the estimate is rather too large.

        Args:
            dtype: auto, float16, bfloat16, float32.
            quantization: What the engine is told to quantise to.
        """
        if self.quantization is not None:
            return self.stored_bytes
        computed, stored = _BITS.get(self.compute_dtype(dtype), 16), _BITS.get(self.dtype or "", 16)
        matrix = _ON_LOAD_BITS.get(quantization or "", float(computed))
        return round(self.kept_bytes * computed / stored + (self.stored_bytes - self.kept_bytes) * matrix / stored)

    def kv_bytes(self, tokens: int, dtype: str, *, tensor_parallel: int = 1, pipeline_parallel: int = 1) -> int | None:
        """Of the KV cache that each GPU needs for a request of `tokens`; None if the config does not tell.

        2 * layers * KV heads * head size * bytes of a number for each token: heads are split over `tensor_parallel`
        GPUs, where there are fewer each GPU has one; layers are dealt out to `pipeline_parallel` GPUs. A latent
        is not split.

        Args:
            tokens: Of prompt and reply together.
            dtype: Of a number in the cache: bfloat16, fp8, ...
            tensor_parallel: GPUs that heads are split over.
            pipeline_parallel: GPUs that layers are dealt out to.
        """
        size = bytes_of(dtype)
        if self.layers is None or size is None:
            return None
        if self.latent_dim is not None:
            numbers = self.latent_dim
        elif self.kv_heads is not None and self.head_dim is not None:
            numbers = 2 * -(-self.kv_heads // tensor_parallel) * self.head_dim
        else:
            return None
        in_layers = self.layers * tokens + self.sliding_layers * min(tokens, self.sliding_window)
        return -(-round(in_layers * numbers * size) // pipeline_parallel)


def bytes_of(dtype: str) -> float | None:
    """Of a number of this type, as safetensors, torch and the engines' options name it; None if it is not known."""
    bits = _BITS.get(dtype)
    return None if bits is None else bits / 8


def read_weights(model: str, environment: Mapping[str, str] | None = None) -> ModelWeights:
    """What a model weighs.

    A folder, and a checkpoint that the hub's cache holds already, are read as they are; of others the config and the
    headers of the weights are fetched, which takes some seconds and a few hundred kB.

    Args:
        model: A checkpoint's folder, or its name on a hub.
        environment: Where HF_TOKEN, HF_HUB_CACHE, HF_HOME and HF_HUB_OFFLINE are looked up; this process's if None.

    Raises:
        WeightsError: There is no such checkpoint, it cannot be read or reached, or it holds no safetensors.
    """
    checkpoint = read_checkpoint(model, os.environ if environment is None else environment)
    total, kept, dtype = _sizes(checkpoint)
    text = _text(checkpoint.config)
    heads = _count(text, "num_attention_heads", "n_head")
    hidden = _count(text, "hidden_size", "n_embd")
    latent, rope = _count(text, "kv_lora_rank"), _count(text, "qk_rope_head_dim")
    full, sliding = _layers(text)
    quantized = checkpoint.config.get("quantization_config") or text.get("quantization_config")
    return ModelWeights(
        model=model,
        stored_bytes=total,
        kept_bytes=min(kept, total),
        dtype=dtype,
        quantization=quantized if isinstance(quantized, dict) else None,
        layers=full,
        sliding_layers=sliding,
        sliding_window=_count(text, "sliding_window") or 0,
        heads=heads,
        kv_heads=_count(text, "num_key_value_heads") or heads,
        head_dim=_count(text, "head_dim") or (hidden // heads if hidden and heads else None),
        latent_dim=None if latent is None else latent + (rope or 0),
        max_position_embeddings=_count(text, "max_position_embeddings", "n_positions"),
        experts=_count(text, "num_experts", "num_local_experts", "n_routed_experts") is not None,
    )


def _sizes(checkpoint: Checkpoint) -> tuple[int, int, str | None]:
    """Bytes of all weights, bytes of those that stay as they are, and the type of most."""
    if checkpoint.tensors is None:
        dtype = _said_dtype(checkpoint.config)
        return checkpoint.total_size or 0, _embeddings(_text(checkpoint.config), dtype), dtype
    types: Counter[str] = Counter()
    kept = 0
    for tensor in checkpoint.tensors:
        types[tensor.dtype] += tensor.size
        if tensor.dimensions < 2 or _KEPT.search(tensor.name):
            kept += tensor.size
    most = types.most_common(1)[0][0] if types else None
    return types.total(), kept, None if most is None else _LONG_NAMES.get(most, most)


def _said_dtype(config: Mapping[str, Any]) -> str | None:
    said = (part.get(name) for part in (_text(config), config) for name in ("dtype", "torch_dtype"))
    return next((name for name in said if isinstance(name, str)), None)


def _embeddings(text: Mapping[str, Any], dtype: str | None) -> int:
    """Bytes of embeddings and output layer by the config, for weights whose headers are not at hand."""
    numbers = (_count(text, "vocab_size") or 0) * (_count(text, "hidden_size", "n_embd") or 0)
    return numbers * (1 if text.get("tie_word_embeddings") else 2) * _BITS.get(dtype or "", 16) // 8


def _layers(text: Mapping[str, Any]) -> tuple[int | None, int]:
    """Layers with a cache of all tokens, None if unknown, and those with a window."""
    kinds = text.get("layer_types")
    if isinstance(kinds, list) and "index_topk" not in text:
        full, sliding = kinds.count("full_attention"), kinds.count("sliding_attention")
        known = full + sliding + kinds.count("linear_attention") == len(kinds)
        return (full, sliding) if known else (None, 0)
    # Layers of several kinds, without a list that tells which is which.
    windowed = text.get("sliding_window") and text.get("use_sliding_window", True)
    if windowed or any(name in text for name in _HYBRIDS):
        return None, 0
    return _count(text, "num_hidden_layers", "n_layer"), 0


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part about the language model; in those of several media it is a part of its own."""
    part = config.get("text_config")
    return part if isinstance(part, dict) else config


def _count(config: Mapping[str, Any], *names: str) -> int | None:
    return next((config[name] for name in names if isinstance(config.get(name), int) and config[name] > 0), None)
