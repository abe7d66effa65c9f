"""One measurement in verl's own environment: `python verl_client.py ARM URL ROWS SERVICE_S SLOTS`; prints JSON.

A batch of as many rows goes before the one that counts, as every step of a training but the first has one before it: in
it connections are opened, and the client finds out how many rows to put into a request. Between them there is a full
garbage collection: verl's imports leave behind what would set one off in the middle of the rows, for a quarter of a
second. What the rows themselves set off counts.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "trainers" / "verl"))

import stage
from verl.experimental.reward_loop import RewardLoopWorker

from llm_judge_remote import compute_score_batched

ARMS = ("batched", "async", "manager", "sleep")
# What no reward function can do better: as many at once as the server takes, and nothing to send or to read.
_SLEEP = """
import asyncio
places = asyncio.Semaphore({slots})
async def score(data_source, solution_str, ground_truth, extra_info):
    async with places:
        await asyncio.sleep({service_s})
    return 0.5
"""


def main(arm: str, url: str, count: int, service_s: float, slots: int) -> dict[str, float]:
    """Score rows; the seconds that it took, and how many of them were not judged."""
    settings = {
        "server_url": url,
        "batch_size": 512,
        "max_in_flight": slots,
        "structured_output": "off",
        "return_details": True,
    }
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = stage.make_tokenizer(folder)
        batches = [stage.batch(tokenizer, stage.rollouts(count, data_source=source)) for source in ("first", "second")]
        if arm == "batched":
            runs = [_batched(tokenizer, data, settings) for data in batches]
        else:
            runs = asyncio.run(_in_a_worker(_configuration(arm, folder, settings, service_s, slots), batches))
    wall_s, scored = runs[-1]
    return {"wall_s": wall_s, "unjudged": 0 if arm == "sleep" else sum(not each["judge_ok"] for each in scored)}


def _batched(tokenizer: Any, data: Any, settings: dict[str, Any]) -> tuple[float, list[dict[str, Any]]]:
    gc.collect()
    began = time.perf_counter()
    fields = data.non_tensor_batch
    scored = compute_score_batched(
        fields["data_source"],
        [tokenizer.decode(answer, skip_special_tokens=True) for answer in data.batch["responses"]],
        [row["ground_truth"] for row in fields["reward_model"]],
        [{**extra, "prompt": p} for extra, p in zip(fields["extra_info"], fields["raw_prompt"], strict=True)],
        **settings,
    )
    return time.perf_counter() - began, scored


async def _in_a_worker(config: Any, batches: list[Any]) -> list[tuple[float, list[dict[str, Any]]]]:
    worker = RewardLoopWorker(config)
    runs = []
    for data in batches:
        gc.collect()
        began = time.perf_counter()
        results = await worker.compute_score_batch(data)
        runs.append((time.perf_counter() - began, [result["reward_extra_info"] for result in results]))
    return runs


def _configuration(arm: str, folder: str, settings: dict[str, Any], service_s: float, slots: int) -> Any:
    if arm == "manager":
        given = [f"+reward.reward_kwargs.{name}={value}" for name, value in settings.items()]
        return stage.configuration(folder, *stage.JUDGE_MANAGER, *given, path=None)
    if arm == "sleep":
        function = Path(folder, "sleeping.py")
        function.write_text(_SLEEP.format(slots=slots, service_s=service_s), encoding="utf-8")
        return stage.configuration(folder, path=function, name="score")
    return stage.configuration(folder, **settings)


if __name__ == "__main__":
    given_arm, given_url, *numbers = sys.argv[1:]
    sys.stdout.write(json.dumps(main(given_arm, given_url, int(numbers[0]), float(numbers[1]), int(numbers[2]))) + "\n")
