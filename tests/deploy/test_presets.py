"""The presets hold what their comments say, and deploy/README.md's figures are those of the code.

`python tests/deploy/test_presets.py` prints all that is computed, to be copied into the files after a change.
"""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from llm_judge_remote.serving.catalogue import CARDS, GIB, MODELS
from llm_judge_remote.serving.sizing import Efficiency, Server, Traffic, estimate, prefill_flops, step_bytes
from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.serving.vllm import vllm_command

pytestmark = pytest.mark.deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
README = DEPLOY / "README.md"
PRESETS = sorted((DEPLOY / "presets").glob("*.yaml"))
ON_GPU = [path for path in PRESETS if path.stem != "cpu"]
SHORT, LONG = Traffic(reply=16), Traffic(reply=300)
FP8 = {"model": "Qwen/Qwen3-32B-FP8", "served_model_name": "Qwen/Qwen3-32B"}
# The rows of the README's table: what it says, the preset, what is changed, the card, what keeps groups together.
ROWS = [
    ("`qwen3-32b-1xh100.yaml`", "qwen3-32b-1xh100", {}, "H100", True),
    ("`qwen3-32b-1xh200.yaml`", "qwen3-32b-1xh200", {}, "H200", True),
    ("the same with `model=Qwen/Qwen3-32B-FP8`", "qwen3-32b-1xh200", FP8, "H200", True),
    ("`qwen3-32b-2xa100.yaml`", "qwen3-32b-2xa100", {}, "A100", True),
    ("`qwen3-32b-8xh200.yaml` behind vllm-router", "qwen3-32b-8xh200", {}, "H200", True),
    ("the same without it", "qwen3-32b-8xh200", {}, "H200", False),
    ("`qwen3-30b-a3b-1xh100.yaml`", "qwen3-30b-a3b-1xh100", {}, "H100", True),
    ("`qwen3-8b-1x24gb.yaml`", "qwen3-8b-1x24gb", {}, "L4", True),
    ("the same", "qwen3-8b-1x24gb", {}, "RTX 4090", True),
]

each_preset = pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
each_gpu_preset = pytest.mark.parametrize("path", ON_GPU, ids=lambda path: path.stem)


def said(path, name):
    """What a preset's comment says of it: its `# card:`, its `# reserve:`."""
    return re.search(rf"^# {name}: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)[1]


def server(path, changes=None, card=None):
    reserve = said(path, "reserve")
    return Server.of(
        ServerSpec.load(path, changes),
        CARDS[card or said(path, "card")],
        reserve=float(reserve.removesuffix(" GiB")) * GIB,
    )


def gb(number):
    return f"{number / 1e9:.1f} GB"


def weights_and_kv(model):
    width = max(2, model.bytes_per_weight)
    around = f"{model.vocabulary:,} x {width} B in " + ("the embedding" if model.tied else "each of embedding and head")
    per_layer = f"{model.kv_heads} heads x {model.head_size} x {model.bytes_per_kv} B"
    return [
        f"# weights: {gb(model.weight_bytes)} = {model.body:,} x {model.bytes_per_weight} B in the layers + {around}",
        f"# KV cache of a token: {model.kv_bytes_per_token:,} B = 2 x {model.layers} layers x {per_layer}",
    ]


def arithmetic(path):
    """The lines of a preset's comment that are computed."""
    if said(path, "card") == "CPU":
        spec = ServerSpec.load(path)
        model = replace(MODELS[spec.model], bytes_per_weight=4, bytes_per_kv=4)
        room = int(spec.environment["VLLM_CPU_KVCACHE_SPACE"]) * GIB
        tokens = int(room // model.kv_bytes_per_token)
        return [*weights_and_kv(model), f"# room for it: {gb(room)} (VLLM_CPU_KVCACHE_SPACE) = {tokens:,} tokens"]
    of = server(path)
    model, cards = of.model, f"{of.cards} x " if of.cards > 1 else ""
    room = f"{cards}({of.utilization} x {gb(of.card.memory)} - {gb(of.reserve)}) - {gb(model.weight_bytes)}"
    prompts = f"{of.sequences(SHORT)} prompts of 2,000 tokens, half of them common to eight, with replies of 16"
    return [
        *weights_and_kv(model),
        f"# room for it: {gb(of.kv_bytes)} = {room} = {of.kv_tokens:,} tokens",
        f"# at once: {prompts}; {of.sequences(LONG)} of 300",
    ]


def table():
    lines = [
        "| preset | cards | at once | judgements/s/GPU: reply of 16 | reply of 300 | $ per million: 16 | 300 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for text, name, changes, card, together in ROWS:
        path = DEPLOY / "presets" / f"{name}.yaml"
        of, gpus = server(path, changes, card), ServerSpec.load(path).gpus
        short, long = (estimate(of, traffic if together else replace(traffic, group=1)) for traffic in (SHORT, LONG))
        at_once = gpus // of.cards * long.sequences
        speed = f"{short.per_gpu:.1f} | {long.per_gpu:.1f}"
        lines.append(f"| {text} | {gpus} x {card} | {at_once} | {speed} | {short.cost:.0f} | {long.cost:.0f} |")
    return "\n".join(lines)


def prices():
    return ", ".join(f"{name} {card.price:.2f}" for name, card in CARDS.items())


def worked():
    """The arithmetic of one row, in full."""
    of, part = server(DEPLOY / "presets" / "qwen3-32b-1xh100.yaml"), Efficiency()
    model, card, found = of.model, of.card, estimate(of, LONG)
    weights, attention = prefill_flops(model, LONG)
    fetched, kv = step_bytes(model, LONG, found.sequences), LONG.prompt + LONG.reply // 2
    operations = 2 * (model.active + model.vocabulary) * found.sequences / (part.flops * card.flops_8bit) * 1e3
    bandwidth = f"{part.bandwidth} x {card.bandwidth / 1e12} TB/s"
    computed, prefill, step, decode = LONG.computed, found.prefill * 1e3, found.step * 1e3, found.decode * 1e3
    active, head = f"{model.active / 1e9:.1f}e9", f"{model.vocabulary / 1e9:.2f}e9"
    attended = f"{model.heads} heads x {model.head_size} x (1,000 x 1,500 + 1,000 x 500 / 8)"
    caches = f"{found.sequences} x {kv:,} tokens x {model.kv_bytes_per_token / 1e3:.0f} kB"
    tflop = (weights + attention) / 1e12
    return f"""```text
computed   1,000 tokens of its own + 1,000 shared / 8 = {computed:,.0f} of the prompt's 2,000 tokens
weights    2 FLOPs x {active} x {computed:,.0f}, and 2 x {head} for the head, = {weights / 1e12:.1f} TFLOP
attention  4 FLOPs x {model.layers} layers x {attended} = {attention / 1e12:.1f} TFLOP
prefill    {tflop:.1f} TFLOP / ({part.flops} x {card.flops_8bit / 1e12:,.0f} TFLOP/s) = {prefill:.1f} ms

at once    {of.kv_tokens:,} tokens of KV cache / ({computed:,.0f} + 300) = {found.sequences}
a step     {model.weight_bytes / 1e9:.1f} GB of weights + {caches} = {fetched / 1e9:.1f} GB
           / ({bandwidth}) = {step:.1f} ms (its FLOPs alone: {operations:.1f} ms)
decode     300 steps x {step:.1f} ms / {found.sequences} = {decode:.1f} ms

together   {prefill:.1f} + {decode:.1f} ms: {found.per_second:.1f} judgements a second
cost       ${card.price:.2f} / 3,600 s / {found.per_second:.2f} x 1,000,000 = ${found.cost:.0f} for a million
```"""


def test_there_is_a_preset_for_every_machine_that_was_promised():
    assert {path.stem for path in PRESETS} == {
        "cpu",
        "qwen3-8b-1x24gb",
        "qwen3-30b-a3b-1xh100",
        "qwen3-32b-1xh100",
        "qwen3-32b-1xh200",
        "qwen3-32b-2xa100",
        "qwen3-32b-8xh200",
    }


@each_preset
def test_a_preset_is_a_server_that_listens_on_this_machine_only(path):
    spec = ServerSpec.load(path)
    assert spec.host == "127.0.0.1"
    assert not spec.insecure
    assert not spec.trust_remote_code
    assert spec.name == spec.model.removesuffix("-FP8").removeprefix("HuggingFaceTB/")


@each_gpu_preset
def test_a_preset_s_name_tells_how_many_gpus_it_takes(path):
    assert ServerSpec.load(path).gpus == int(re.search(r"-(\d)x", path.stem)[1])


@each_preset
def test_a_preset_s_arithmetic_is_that_of_the_code(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines.index(arithmetic(path)[0])
    assert lines[first : first + len(arithmetic(path))] == arithmetic(path)


@each_gpu_preset
def test_weights_and_the_longest_request_fit_into_the_memory(path):
    spec, of = ServerSpec.load(path), server(path)
    needed = of.model.weight_bytes + spec.max_model_len * of.model.kv_bytes_per_token
    assert needed + of.cards * of.reserve <= of.cards * spec.gpu_memory_utilization * of.card.memory
    assert of.kv_tokens >= spec.max_model_len


@each_gpu_preset
def test_a_preset_takes_no_more_requests_at_once_than_its_shortest_prompts_leave_room_for(path):
    of = server(path)
    assert of.max_sequences <= of.kv_tokens / Traffic(prompt=1000, shared=500, reply=16).held


@each_preset
def test_what_a_comment_tells_to_run_is_a_file_of_this_project(path):
    named = re.findall(r"deploy/[\w./-]+", path.read_text(encoding="utf-8"))
    assert f"deploy/presets/{path.name}" in named
    assert [name for name in named if not (DEPLOY.parent / name).exists()] == []


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("qwen3-32b-1xh100", {"model": "Qwen/Qwen3-32B", "extra_args": []}),
        ("qwen3-32b-2xa100", {"tensor_parallel_size": 1}),
        ("qwen3-8b-1x24gb", {"model": "Qwen/Qwen3-8B"}),
        ("qwen3-30b-a3b-1xh100", {"model": "Qwen/Qwen3-30B-A3B"}),
    ],
)
def test_the_room_that_a_comment_says_there_would_be_otherwise_is_so(name, changes):
    path = DEPLOY / "presets" / f"{name}.yaml"
    other = server(path, changes)
    assert f"room for {other.kv_tokens:,} tokens" in path.read_text(encoding="utf-8").replace("\n# ", " ")


def test_the_16_bit_cache_costs_the_h100_half_of_its_requests_and_a_few_per_cent_of_short_verdicts():
    path = DEPLOY / "presets" / "qwen3-32b-1xh100.yaml"
    eight, sixteen = server(path), server(path, {"extra_args": []})
    text = path.read_text(encoding="utf-8").replace("\n# ", " ")
    assert f"{eight.sequences(SHORT)} requests at once instead of {sixteen.sequences(SHORT)}" in text
    assert 0.9 < estimate(sixteen, SHORT).per_second / estimate(eight, SHORT).per_second < 0.97


def test_a_preset_is_a_command_line_with_nothing_but_its_own_values():
    command = vllm_command(ServerSpec.load(DEPLOY / "presets" / "qwen3-32b-1xh100.yaml"), python="python")
    assert " ".join(command) == (
        "python -m vllm.entrypoints.openai.api_server --model Qwen/Qwen3-32B-FP8 --host 127.0.0.1 --port 8000"
        " --served-model-name Qwen/Qwen3-32B --dtype auto --max-model-len 16384 --max-num-seqs 256"
        " --max-num-batched-tokens 8192 --gpu-memory-utilization 0.9 --reasoning-parser qwen3 --enable-prefix-caching"
        " --enable-chunked-prefill --kv-cache-dtype fp8"
    )


@pytest.mark.parametrize(("name", "text"), [("table", table()), ("worked example", worked())], ids=["table", "worked"])
def test_the_readme_s_figures_are_those_of_the_code(name, text):
    begin, end = f"<!-- {name}: as tests/deploy/test_presets.py computes it -->\n", f"\n<!-- end of {name} -->"
    assert README.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0] == text


def test_the_readme_s_prices_and_examples_are_those_of_the_code():
    text = README.read_text(encoding="utf-8")
    assert f"in dollars an hour: {prices()}." in text.replace("\n", " ")
    second = estimate(server(DEPLOY / "presets" / "qwen3-32b-1xh100.yaml"), SHORT).per_second
    assert f"1,024 rollouts take one H100 {1024 / second:.0f} seconds" in text.replace("\n", " ")
    assert f"near {1 - SHORT.computed / SHORT.prompt:.2f} for the prompts above" in text


def test_the_readme_tells_of_every_preset_and_of_every_folder():
    text = README.read_text(encoding="utf-8")
    assert [path.name for path in PRESETS if f"`{path.name}`" not in text] == []
    folders = [path.name for path in DEPLOY.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [name for name in folders if f"{name}/" not in text] == []


def test_what_the_readme_names_is_there():
    named = re.findall(r"(?<![\w/])deploy/[\w./-]*\w", README.read_text(encoding="utf-8"))
    assert [name for name in named if not (DEPLOY.parent / name).exists()] == []


def test_the_settings_and_the_code_that_the_readme_shows_are_good(capsys):
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for language, block in blocks:
        if language == "yaml":
            ServerSpec.make({"model": "some/model", **yaml.safe_load(block)})
        if language == "python":
            exec(block, {})
    assert "per_second" in capsys.readouterr().out


if __name__ == "__main__":
    for each in PRESETS:
        sys.stdout.write("\n".join([each.name, *arithmetic(each), "", ""]))
    sys.stdout.write(f"{table()}\n\n{worked()}\n")
