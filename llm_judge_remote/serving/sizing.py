"""How much a judge server holds, how fast it can be and what that costs, by arithmetic: a roofline.

Two ceilings count: the floating-point operations (FLOPs) of reading prompts, and the bytes that every step of writing
replies has to fetch from memory. Published figures of real servers lie between half of what comes out here and one and
a half times as much (tests/unit/serving/test_sizing.py holds six of them). Nothing here asks a GPU.

    >>> judge = Server(MODELS["Qwen/Qwen3-32B-FP8"], CARDS["H100"])
    >>> round(estimate(judge, Traffic(prompt=2000, shared=1000, group=8, reply=16)).per_second, 1)
    12.0
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llm_judge_remote.serving.catalogue import CARDS, GIB, MODELS, Card, Model
from llm_judge_remote.serving.spec import ServerSpec

__all__ = [
    "CARDS",
    "MODELS",
    "Card",
    "Efficiency",
    "Estimate",
    "Model",
    "Server",
    "Traffic",
    "estimate",
    "prefill_flops",
    "step_bytes",
]

_UTILIZATION, _MAX_SEQUENCES = 0.9, 256


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is asked, in tokens.

    Args:
        prompt: Of a whole prompt.
        shared: Of its beginning that a group has in common: instructions, problem, reference.
        group: Prompts that share it and reach the same replica; 1 where they are spread over replicas.
        reply: Of a reply.
    """

    prompt: int = 2000
    shared: int = 1000
    group: int = 8
    reply: int = 16

    @property
    def computed(self) -> float:
        """Prompt tokens that are computed for each judgement; the others come from the prefix cache."""
        return self.prompt - self.shared + self.shared / self.group

    @property
    def held(self) -> float:
        """Tokens that a sequence keeps in the KV cache at its end, with what is shared dealt out to the group."""
        return self.computed + self.reply


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Parts of the data sheet's figures that a server reaches.

    The defaults fit what NVIDIA measured with TensorRT-LLM, Llama 3.3 70B in FP8 and prompts of 8,192 tokens on H100
    and H200, and `flops=0.25` the same with Qwen3 235B A22B, to within a third
    (docs/source/developer-guide/perf-overview.md of NVIDIA/TensorRT-LLM).

    Args:
        flops: Of the operations a second.
        bandwidth: Of the memory's bandwidth.
    """

    flops: float = 0.5
    bandwidth: float = 0.7

    @classmethod
    def of(cls, model: Model) -> Efficiency:
        """What to expect of a model: experts are many small matrix products instead of one large."""
        return cls(flops=0.25) if model.is_sparse else cls()


@dataclass(frozen=True, slots=True)
class Server:
    """A model on GPUs, without regard to how many replicas there are of it.

    Args:
        model: What is served.
        card: On what.
        cards: How many of them a replica takes.
        utilization: Part of the memory that the engine may take (`gpu_memory_utilization`).
        reserve: Bytes on each card for what is neither weights nor KV cache: activations of a step, CUDA graphs,
            buffers. vLLM measures it when it starts and logs what is left.
        max_sequences: Most requests worked on at once (`max_num_seqs`).
    """

    model: Model
    card: Card
    cards: int = 1
    utilization: float = _UTILIZATION
    reserve: float = 4 * GIB
    max_sequences: int = _MAX_SEQUENCES

    @classmethod
    def of(cls, spec: ServerSpec, card: Card, reserve: float = 4 * GIB) -> Server:
        """One replica of a server as it is specified, on such cards.

        Raises:
            KeyError: `MODELS` does not hold the model.
        """
        model = MODELS[spec.model]
        if spec.dtype == "float32":
            model = replace(model, bytes_per_weight=4, bytes_per_kv=4)
        kind = spec.engine_argument("--kv-cache-dtype")
        if kind is not None and kind != "auto":
            model = replace(model, bytes_per_kv=1 if kind.startswith("fp8") else 2)
        return cls(
            model,
            card,
            cards=spec.tensor_parallel_size * spec.pipeline_parallel_size,
            utilization=spec.gpu_memory_utilization or _UTILIZATION,
            reserve=reserve,
            max_sequences=spec.max_num_seqs or _MAX_SEQUENCES,
        )

    @property
    def kv_bytes(self) -> float:
        """Bytes left for the KV cache; below 0 if the weights do not fit."""
        return self.cards * (self.utilization * self.card.memory - self.reserve) - self.model.weight_bytes

    @property
    def kv_tokens(self) -> int:
        """Tokens that the KV cache holds."""
        return max(0, int(self.kv_bytes // self.model.kv_bytes_per_token))

    def sequences(self, traffic: Traffic) -> int:
        """Requests that are worked on at once: as many as the KV cache holds, and `max_sequences` at most."""
        return min(self.max_sequences, int(self.kv_tokens // traffic.held))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What to expect of one replica that always has enough to do.

    Args:
        sequences: Requests that it works on at once.
        prefill: Seconds of the replica that reading a prompt takes.
        step: Seconds of a step, in which every sequence gets one token more.
        decode: Seconds of the replica that writing a reply takes: its steps, shared with the other sequences.
        per_second: Judgements a second.
        per_gpu: Judgements a second and GPU.
        cost: US dollars for a million judgements.
    """

    sequences: int
    prefill: float
    step: float
    decode: float
    per_second: float
    per_gpu: float
    cost: float


def prefill_flops(model: Model, traffic: Traffic) -> tuple[float, float]:
    """Operations for a prompt: of the weights, and of attention.

    Two for each weight and token, a multiplication and an addition (Kaplan et al. 2020, arXiv 2001.08361, section 2.1).
    A token attends to all before it: two products of `head_size` in each head and layer, so four operations times
    heads, `head_size`, layers and tokens before it. The head is needed for the last token only.
    """
    own = traffic.prompt - traffic.shared
    attended = own * (traffic.shared + own / 2) + traffic.shared**2 / 2 / traffic.group
    return (
        2 * (model.active * traffic.computed + model.vocabulary),
        4 * model.layers * model.heads * model.head_size * attended,
    )


def step_bytes(model: Model, traffic: Traffic, sequences: int) -> float:
    """Bytes fetched in a step: all weights once, and each sequence's keys and values, half of its reply written.

    In a mixture of experts, too, all weights: some hundred sequences with eight experts each leave none out.
    """
    return model.weight_bytes + sequences * (traffic.prompt + traffic.reply / 2) * model.kv_bytes_per_token


def estimate(server: Server, traffic: Traffic, efficiency: Efficiency | None = None) -> Estimate:
    """What a replica can do, if reading and writing take turns.

    Raises:
        ValueError: There is no room for a single sequence.
    """
    model, card = server.model, server.card
    part = efficiency or Efficiency.of(model)
    sequences = server.sequences(traffic)
    if sequences < 1:
        msg = f"no room: {server.kv_tokens} tokens fit beside the weights, and a sequence takes {traffic.held:.0f}"
        raise ValueError(msg)
    speed = part.flops * server.cards * card.flops(model.bytes_per_weight)
    of_weights, of_attention = prefill_flops(model, traffic)
    prefill = of_weights / speed + of_attention / (part.flops * server.cards * card.flops(model.bytes_per_kv))
    fetching = step_bytes(model, traffic, sequences) / (part.bandwidth * server.cards * card.bandwidth)
    step = max(fetching, 2 * (model.active + model.vocabulary) * sequences / speed)
    decode = traffic.reply * step / sequences
    per_second = 1 / (prefill + decode)
    cost = server.cards * card.price / 3600 * 1e6 / per_second
    return Estimate(sequences, prefill, step, decode, per_second, per_second / server.cards, cost)
