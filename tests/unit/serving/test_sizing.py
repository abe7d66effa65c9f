from dataclasses import FrozenInstanceError, replace

import pytest

from llm_judge_remote.serving.catalogue import CARDS, GIB, MODELS, Card, Model
from llm_judge_remote.serving.sizing import Efficiency, Server, Traffic, estimate, prefill_flops, step_bytes
from llm_judge_remote.serving.spec import ServerSpec

# Small enough to be worked out by hand.
MODEL = Model(parameters=1200, active=1000, vocabulary=100, layers=2, heads=4, kv_heads=2, head_size=5)
CARD = Card(memory=10_000, bandwidth=1000, flops_16bit=4000, flops_8bit=8000, price=3.6)
SERVER = Server(MODEL, CARD, utilization=0.9, reserve=600, max_sequences=100)
TRAFFIC = Traffic(prompt=10, shared=4, group=2, reply=2)
WHOLE = Efficiency(flops=1, bandwidth=1)


def dense(hidden, intermediate, layers, heads, kv_heads, head_size, vocabulary, *, tied=False):
    """Parameters of a Qwen3 or Llama, and those of its layers."""
    attention = 2 * hidden * head_size * (heads + kv_heads)
    norms = 2 * hidden + (0 if tied else 2 * head_size)
    body = layers * (attention + 3 * hidden * intermediate + norms) + hidden
    return body + vocabulary * hidden * (1 if tied else 2), body


def test_weights_take_their_bytes_and_what_is_around_the_layers_no_less_than_two():
    assert MODEL.body == 1000
    assert MODEL.weight_bytes == 1200 * 2
    assert replace(MODEL, bytes_per_weight=1).weight_bytes == 1000 * 1 + 200 * 2
    assert replace(MODEL, bytes_per_weight=4).weight_bytes == 1200 * 4
    assert replace(MODEL, parameters=1100, tied=True).weight_bytes == 1100 * 2


def test_a_token_takes_two_vectors_a_layer_and_kv_head():
    assert MODEL.kv_bytes_per_token == 2 * 2 * 2 * 5 * 2
    assert replace(MODEL, bytes_per_kv=1).kv_bytes_per_token == 40


def test_the_kv_cache_gets_what_weights_and_reserve_leave():
    assert SERVER.kv_bytes == 9000 - 600 - 2400
    assert SERVER.kv_tokens == 6000 // 80
    assert replace(SERVER, cards=2).kv_bytes == 2 * (9000 - 600) - 2400
    assert replace(SERVER, reserve=8000).kv_tokens == 0


def test_what_a_group_shares_is_computed_and_held_once_for_all_of_it():
    assert TRAFFIC.computed == 6 + 4 / 2
    assert TRAFFIC.held == 8 + 2
    assert replace(TRAFFIC, group=1).computed == 10


def test_as_many_sequences_run_as_the_cache_holds_or_the_server_takes():
    assert SERVER.sequences(TRAFFIC) == 75 // 10
    assert replace(SERVER, max_sequences=3).sequences(TRAFFIC) == 3


def test_prefill_costs_two_flops_a_weight_and_four_an_attended_element():
    of_weights, of_attention = prefill_flops(MODEL, TRAFFIC)
    assert of_weights == 2 * (1000 * 8 + 100)
    # Six tokens see the four before them and on average three of their own; four see two, for half a prompt.
    assert of_attention == 4 * 2 * 4 * 5 * (6 * (4 + 3) + 4 * 2 / 2)


def test_a_step_fetches_all_weights_once_and_every_sequence_s_cache():
    assert step_bytes(MODEL, TRAFFIC, 7) == 2400 + 7 * (10 + 1) * 80


def test_the_estimate_is_reading_and_writing_in_turns():
    found = estimate(SERVER, TRAFFIC, WHOLE)
    assert found.sequences == 7
    assert found.prefill == pytest.approx((16200 + 160 * 46) / 4000)
    assert found.step == pytest.approx(8560 / 1000)  # its FLOPs, 2 x 1100 x 7, would take 3.85 s
    assert found.decode == pytest.approx(2 * 8.56 / 7)
    assert found.per_second == pytest.approx(1 / (5.89 + 2 * 8.56 / 7))
    assert found.cost == pytest.approx(1000 * (5.89 + 2 * 8.56 / 7))


def test_a_step_takes_as_long_as_its_flops_where_those_take_longer_than_its_bytes():
    found = estimate(replace(SERVER, card=replace(CARD, bandwidth=1e9)), TRAFFIC, WHOLE)
    assert found.step == pytest.approx(2 * 1100 * 7 / 4000)


def test_eight_bit_weights_are_multiplied_at_the_card_s_eight_bit_speed_and_attention_by_the_cache_s():
    both = replace(MODEL, bytes_per_weight=1, bytes_per_kv=1)
    assert estimate(replace(SERVER, model=both), TRAFFIC, WHOLE).prefill == pytest.approx((16200 + 7360) / 8000)
    weights = replace(MODEL, bytes_per_weight=1)
    found = estimate(replace(SERVER, model=weights), TRAFFIC, WHOLE)
    assert found.prefill == pytest.approx(16200 / 8000 + 7360 / 4000)


def test_two_cards_share_the_work_and_cost_twice_as_much_an_hour():
    one = estimate(replace(SERVER, max_sequences=3), TRAFFIC)
    two = estimate(replace(SERVER, max_sequences=3, cards=2), TRAFFIC)
    assert two.per_second == pytest.approx(2 * one.per_second)
    assert two.per_gpu == pytest.approx(one.per_gpu)
    assert two.cost == pytest.approx(one.cost)


def test_a_group_that_is_spread_over_replicas_costs_more():
    assert estimate(SERVER, replace(TRAFFIC, group=1)).cost > estimate(SERVER, TRAFFIC).cost


def test_where_no_sequence_fits_the_error_says_what_would():
    with pytest.raises(ValueError, match="no room: 5 tokens fit beside the weights, and a sequence takes 10"):
        estimate(replace(SERVER, reserve=6200), TRAFFIC)


def test_experts_are_expected_to_be_half_as_efficient():
    sparse = replace(MODEL, active=300)
    assert sparse.is_sparse
    assert not MODEL.is_sparse
    assert Efficiency.of(sparse).flops == Efficiency.of(MODEL).flops / 2
    assert estimate(replace(SERVER, model=sparse), TRAFFIC) == estimate(
        replace(SERVER, model=sparse), TRAFFIC, Efficiency(flops=0.25)
    )


def test_a_server_s_spec_tells_how_it_is_sized():
    spec = ServerSpec(
        model="Qwen/Qwen3-32B-FP8",
        tensor_parallel_size=2,
        pipeline_parallel_size=2,
        data_parallel_size=4,
        max_num_seqs=17,
        gpu_memory_utilization=0.5,
        extra_args={"kv-cache-dtype": "fp8_e4m3"},
    )
    found = Server.of(spec, CARDS["H100"], reserve=GIB)
    assert found == Server(
        replace(MODELS["Qwen/Qwen3-32B-FP8"], bytes_per_kv=1),
        CARDS["H100"],
        cards=4,
        utilization=0.5,
        reserve=GIB,
        max_sequences=17,
    )
    assert Server.of(ServerSpec(model="Qwen/Qwen3-8B"), CARDS["L4"]) == Server(MODELS["Qwen/Qwen3-8B"], CARDS["L4"])
    joined = ServerSpec(model="Qwen/Qwen3-8B", extra_args=["--kv-cache-dtype=fp8"])
    assert Server.of(joined, CARDS["L4"]).model.bytes_per_kv == 1
    assert Server.of(ServerSpec(model="Qwen/Qwen3-8B", dtype="float32"), CARDS["L4"]).model.bytes_per_kv == 4


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Qwen/Qwen3-32B", (5120, 25600, 64, 64, 8, 128, 151936)),
        ("Qwen/Qwen3-8B", (4096, 12288, 36, 32, 8, 128, 151936)),
    ],
)
def test_a_dense_model_s_parameters_are_those_of_its_config(name, config):
    model, (parameters, body) = MODELS[name], dense(*config)
    assert (model.parameters, model.active, model.body) == (parameters, body, body)
    assert model.vocabulary == config[-1] * config[0]
    assert (model.layers, model.heads, model.kv_heads, model.head_size) == config[2:6]


def test_the_small_model_s_parameters_are_those_of_its_config():
    model = MODELS["HuggingFaceTB/SmolLM2-135M-Instruct"]
    assert (model.parameters, model.active) == dense(576, 1536, 30, 9, 3, 64, 49152, tied=True)


def test_the_mixture_s_parameters_are_those_of_its_config():
    model = MODELS["Qwen/Qwen3-30B-A3B"]
    around_experts = 2 * 2048 * 128 * (32 + 4) + 128 * 2048 + 2 * 2048 + 2 * 128
    expert = 3 * 2048 * 768
    assert model.body == 48 * (around_experts + 128 * expert) + 2048
    assert model.active == 48 * (around_experts + 8 * expert) + 2048
    assert model.vocabulary == 151936 * 2048


def test_values_are_values():
    with pytest.raises(FrozenInstanceError):
        SERVER.cards = 2
    with pytest.raises(TypeError):
        CARDS["L4"] = CARD


LLAMA_70B = Model(
    70_553_706_496, 68_452_360_192, 128256 * 8192, layers=80, heads=64, kv_heads=8, head_size=128, bytes_per_weight=1
)
QWEN_235B = Model(
    parameters=235_093_634_560,
    active=94 * (2 * 4096 * 128 * (64 + 4) + 128 * 4096 + 8 * 3 * 4096 * 1536),
    vocabulary=151936 * 4096,
    layers=94,
    heads=64,
    kv_heads=4,
    head_size=128,
    bytes_per_weight=1,
)
# Requests a second and GPU. TensorRT-LLM's are NVIDIA's own, from its output tokens divided by the reply's length
# (NVIDIA/TensorRT-LLM, docs/source/developer-guide/perf-overview.md); the others were measured by GPUStack
# (https://docs.gpustack.ai/latest/performance-lab/qwen3-32b/h100 and /a100), which does not say which H100.
PUBLISHED = [
    ("TensorRT-LLM", replace(LLAMA_70B, bytes_per_kv=1), "H200", 2, 8192, 1024, 537 / 1024),
    ("TensorRT-LLM", replace(LLAMA_70B, bytes_per_kv=1), "H100", 2, 8192, 1024, 398 / 1024),
    ("TensorRT-LLM", QWEN_235B, "H200", 4, 8192, 1024, 627 / 1024),
    ("vLLM 0.11", MODELS["Qwen/Qwen3-32B"], "A100", 1, 2000, 100, 1.20),
    ("vLLM 0.11", MODELS["Qwen/Qwen3-32B"], "H100", 1, 2000, 100, 1.52),
    ("TensorRT-LLM 1.2rc1", MODELS["Qwen/Qwen3-32B-FP8"], "H100", 1, 2000, 100, 2.82),
]


@pytest.mark.parametrize(("engine", "model", "card", "cards", "prompt", "reply", "measured"), PUBLISHED)
def test_published_figures_lie_between_half_and_one_and_a_half_of_the_estimate(
    engine, model, card, cards, prompt, reply, measured
):
    server = Server(model, CARDS[card], cards=cards, reserve=2 * GIB, max_sequences=4096)
    found = estimate(server, Traffic(prompt=prompt, shared=0, group=1, reply=reply))
    assert 0.5 <= measured / found.per_gpu <= 1.5
