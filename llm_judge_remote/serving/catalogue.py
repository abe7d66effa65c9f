"""Models and GPUs by the numbers that sizing needs: what their config.json and their data sheet say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

__all__ = ["CARDS", "GIB", "MODELS", "Card", "Model"]

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Model:
    """A decoder-only transformer with grouped-query attention, in the numbers of its config.json.

    Args:
        parameters: All of them.
        active: Those of the layers that one token passes through; in a dense model all of the layers'.
        vocabulary: Those of the output head, tokens times hidden size; the input embedding has as many.
        layers: `num_hidden_layers`.
        heads: `num_attention_heads`.
        kv_heads: `num_key_value_heads`.
        head_size: `head_dim`.
        bytes_per_weight: Of the layers. Embedding and head keep at least two: FP8 checkpoints leave them alone.
        bytes_per_kv: Of an element of the KV cache.
        tied: Embedding and head are one (`tie_word_embeddings`).
    """

    parameters: int
    active: int
    vocabulary: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    bytes_per_weight: float = 2
    bytes_per_kv: float = 2
    tied: bool = False

    @property
    def body(self) -> int:
        """Parameters of the layers."""
        return self.parameters - self.vocabulary * (1 if self.tied else 2)

    @property
    def is_sparse(self) -> bool:
        """Whether a token passes through some of the layers' parameters only: a mixture of experts."""
        return self.active < self.body

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights."""
        rest = self.parameters - self.body
        return self.body * self.bytes_per_weight + rest * max(2, self.bytes_per_weight)

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes of a token's keys and values in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_size * self.bytes_per_kv


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU, by its data sheet.

    Args:
        memory: Bytes, as the driver tells them to programs.
        bandwidth: Of its memory, bytes a second.
        flops_16bit: Dense (without sparsity) bfloat16 operations a second, summed up in float32.
        flops_8bit: The same in FP8; what it does in 16 bits where it has no FP8.
        price: Of an hour, in US dollars.
    """

    memory: float
    bandwidth: float
    flops_16bit: float
    flops_8bit: float
    price: float

    def flops(self, bytes_per_element: float) -> float:
        """Operations a second on elements of that size."""
        return self.flops_8bit if bytes_per_element <= 1 else self.flops_16bit


_QWEN3_32B = Model(32_762_123_264, 31_206_298_624, 777_912_320, layers=64, heads=64, kv_heads=8, head_size=128)
_QWEN3_8B = Model(8_190_735_360, 6_946_075_648, 622_329_856, layers=36, heads=32, kv_heads=8, head_size=128)
_SMOLLM2 = Model(134_515_008, 106_203_456, 28_311_552, layers=30, heads=9, kv_heads=3, head_size=64, tied=True)
_QWEN3_30B = Model(30_532_122_624, 2_730_702_848, 311_164_928, layers=48, heads=32, kv_heads=4, head_size=128)

MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "Qwen/Qwen3-32B": _QWEN3_32B,
        "Qwen/Qwen3-32B-FP8": replace(_QWEN3_32B, bytes_per_weight=1),
        "Qwen/Qwen3-8B": _QWEN3_8B,
        "Qwen/Qwen3-8B-FP8": replace(_QWEN3_8B, bytes_per_weight=1),
        "Qwen/Qwen3-30B-A3B": _QWEN3_30B,
        "Qwen/Qwen3-30B-A3B-FP8": replace(_QWEN3_30B, bytes_per_weight=1),
        "HuggingFaceTB/SmolLM2-135M-Instruct": _SMOLLM2,
    }
)
"""By name on the hub, from each config.json; an FP8 checkpoint's scales, one for 128 x 128 weights, are left out."""

CARDS: Mapping[str, Card] = MappingProxyType(
    {
        "A100": Card(79 * GIB, 2.039e12, 312e12, 312e12, price=1.3),
        "H100": Card(79 * GIB, 3.35e12, 989.4e12, 1978.9e12, price=3.0),
        "H200": Card(139 * GIB, 4.8e12, 989.4e12, 1978.9e12, price=4.0),
        "L4": Card(22 * GIB, 0.3e12, 121e12, 242e12, price=0.45),
        "RTX 4090": Card(23.5 * GIB, 1.008e12, 165.2e12, 330.3e12, price=0.34),
    }
)
"""By NVIDIA's data sheets, the first three as SXM modules with 80, 80 and 141 GB; prices: specialised clouds, 2026."""
