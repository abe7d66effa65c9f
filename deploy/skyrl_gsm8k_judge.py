#!/usr/bin/env python
"""GSM8K with an LLM judge in SkyRL: try the judge without a trainer, and train.

    python skyrl_gsm8k_judge.py play --server-url http://JUDGE:8000
    python ../data_prep/prepare_gsm8k.py --input gsm8k_train.jsonl --layout skyrl --output train.parquet
    LLM_JUDGE_SERVER_URL=http://JUDGE:8000 python skyrl_gsm8k_judge.py train data.train_data="['train.parquet']" ...

`play` needs `pip install llm-judge-remote skyrl-gym` alone: it plays episodes as SkyRL's generator does, many at once
in threads, with candidates from a file in the model's place, or a right and a wrong one that are made up. It reads
GSM8K as it is distributed (`question` and `answer`, JSON lines or parquet), and SkyRL's own columns.
`train` hands everything to SkyRL 0.4, as its own entry point does, with the environment registered in its process; see
`llm_judge_remote.integrations.skyrl` for the flags of the two servers.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import skyrl_gym
import typer
from rich.console import Console
from rich.table import Table

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.integrations.skyrl import ENV_ID, register_env

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)

INSTRUCTION = 'Let us think step by step, and give the final answer after "####".'
ROWS = [
    ("A box holds 6 eggs. How many eggs are in 7 boxes?", "7 boxes of 6 eggs are 7 * 6 = 42 eggs.\n#### 42"),
    ("Ann has 20 coins and gives 8 away. How many are left?", "20 - 8 = 12 coins are left.\n#### 12"),
    ("A train goes 60 km in an hour. How far does it go in 3 hours?", "60 * 3 = 180 km.\n#### 180"),
    ("Half of a class of 30 is away. How many are there?", "Half of 30 is 15.\n#### 15"),
]
"""Where no data is given."""


@app.command()
def play(
    data: Annotated[
        Path | None, typer.Option(help="GSM8K or SkyRL rows, .jsonl or .parquet; four made up if not given.")
    ] = None,
    candidates: Annotated[
        Path | None, typer.Option(help="JSON lines: the turns of the model for each row, a text or a list of texts.")
    ] = None,
    server_url: Annotated[str | None, typer.Option(help="The judge; LLM_JUDGE_SERVER_URL if not given.")] = None,
    max_turns: Annotated[int, typer.Option(min=1, help="Turns of an episode.")] = 1,
    rows: Annotated[int, typer.Option(min=1, help="Most rows to play.")] = 100,
    workers: Annotated[int, typer.Option(min=1, help="Episodes at once, as `max_env_workers`.")] = 32,
    seed: Annotated[int, typer.Option(help="Of the made-up candidates.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Where every turn's metadata goes, JSON lines.")] = None,
) -> None:
    """Play episodes against a judge, without a trainer and without a model."""
    register_env(**({"server_url": server_url} if server_url else {}), max_turns=max_turns)
    played = list(_rows(data))[:rows]
    turns = _given(candidates, played) if candidates else _made_up(played, max_turns, seed)
    began = time.monotonic()
    with ThreadPoolExecutor(workers) as threads:
        try:
            episodes = list(threads.map(_episode, *zip(*turns, strict=True)))
        except ConfigError as error:
            sys.exit(str(error))
    seconds = time.monotonic() - began
    table = Table("problem", "turns", "reward", "outcome", "why", title=f"{len(episodes)} episodes in {seconds:.1f} s")
    for (row, _), steps in zip(turns, episodes, strict=True):
        last = steps[-1]["metadata"]
        reward = sum(step["reward"] for step in steps)
        table.add_row(
            str((row.get("extra_info") or {}).get("question") or row["prompt"][-1]["content"])[:60],
            str(len(steps)),
            f"{reward:.2f}",
            last["judge_outcome"],
            last["judge_reason"][:60],
        )
    Console().print(table)
    if output:
        lines = (
            json.dumps({"turn": turn, **step["metadata"]}) for steps in episodes for turn, step in enumerate(steps)
        )
        output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if not any(steps[-1]["metadata"]["judge_ok"] for steps in episodes):
        Console(stderr=True).print("the judge gave no score")
        raise typer.Exit(1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(context: typer.Context) -> None:
    """Train with SkyRL 0.4; all arguments are SkyRL's."""
    import ray  # noqa: PLC0415 (SkyRL needs Python 3.12 and GPUs; the other commands do not)
    from skyrl.train.config import SkyRLTrainConfig  # noqa: PLC0415
    from skyrl.train.entrypoints.main_base import BasePPOExp  # noqa: PLC0415
    from skyrl.train.utils import validate_cfg  # noqa: PLC0415
    from skyrl.train.utils.utils import initialize_ray  # noqa: PLC0415

    from llm_judge_remote import JudgeSettings  # noqa: PLC0415

    server_url = list(JudgeSettings().server_url)  # asked here: the environment of Ray's processes is another one

    @ray.remote(num_cpus=1)
    def run(cfg: Any) -> None:
        register_env(server_url=server_url)
        BasePPOExp(cfg).run()

    cfg = SkyRLTrainConfig.from_cli_overrides([f"environment.env_class={ENV_ID}", *context.args])
    validate_cfg(cfg)
    initialize_ray(cfg)
    ray.get(run.remote(cfg))


def _episode(row: dict[str, Any], turns: list[str]) -> list[dict[str, Any]]:
    """What SkyRL's generator does with an environment, with given turns in the model's place."""
    extras = {name: value for name, value in row.items() if name not in ("prompt", "env_class")}
    env = skyrl_gym.make(ENV_ID, env_config={}, extras=extras)
    env.init(row["prompt"])
    steps = []
    for turn in turns:
        steps.append(env.step(turn))
        if steps[-1]["done"]:
            break
    env.close()
    return steps


def _rows(source: Path | None) -> Iterator[dict[str, Any]]:
    """SkyRL's rows."""
    if source is None:
        found: list[dict[str, Any]] = [{"question": question, "answer": answer} for question, answer in ROWS]
    elif source.suffix == ".parquet":
        from pyarrow import parquet  # noqa: PLC0415 (only where it is asked for)

        found = parquet.read_table(source).to_pylist()
    else:
        found = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    for index, row in enumerate(found):
        yield (
            row
            if "prompt" in row
            else {
                "data_source": "openai/gsm8k",
                "prompt": [{"role": "user", "content": f"{row['question']} {INSTRUCTION}"}],
                "env_class": ENV_ID,
                "reward_spec": {"method": "llm_judge", "ground_truth": row["answer"]},
                "extra_info": {"index": index, "question": row["question"]},
            }
        )


def _given(source: Path, rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], list[str]]]:
    lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    turns = [[line] if isinstance(line, str) else line for line in lines]
    if len(turns) < len(rows):
        sys.exit(f"{source} holds turns for {len(turns)} rows, and there are {len(rows)}")
    return list(zip(rows, turns, strict=False))


def _made_up(rows: list[dict[str, Any]], most: int, seed: int) -> list[tuple[dict[str, Any], list[str]]]:
    """For each row an episode that goes wrong, and one that goes wrong first, if it may, and then right."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    made = []
    for row in rows:
        wrong = [f"I guess it is this.\n#### {chance.randint(1000, 9999)}" for _ in range(most)]
        right = str(row["reward_spec"]["ground_truth"])
        made += [(row, wrong), (row, [*wrong[1:], right])]
    return made


if __name__ == "__main__":
    app()
