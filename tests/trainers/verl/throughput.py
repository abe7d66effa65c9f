# ruff: noqa: T201
"""How fast verl's reward worker is with this package: `python throughput.py [ROWS [ROUNDS]]`, in verl's environment.

One `compute_score_batched` over all rows, the async function under `RewardLoopWorker` (verl's `naive` manager),
`JudgeRewardManager` under the same, and verl's `naive` manager with a function that does nothing, in turn, each round
in a process of its own; medians. The judge is a `JudgeServer` in another process. A first batch, which opens
connections, does not count.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
CONTENDERS = ("batched", "async", "manager", "nothing")
JUDGES = {
    "a judge of 128 rows a second (0.5 s each, 64 at once)": ["--service-time", "0.5", "--slots", "64"],
    "a judge of 640 rows a second (0.1 s each, 64 at once)": ["--service-time", "0.1", "--slots", "64"],
    "a judge of 1,280 rows a second (0.05 s each, 64 at once)": ["--service-time", "0.05", "--slots", "64"],
    "a judge that takes no time": [],
}


def measure(contender, url, rows):
    """Rows in a second."""
    sys.path.insert(0, str(HERE))
    import stage  # noqa: PLC0415 (verl is loaded only where it is measured)
    from verl.experimental.reward_loop import RewardLoopWorker  # noqa: PLC0415

    from llm_judge_remote import compute_score_batched  # noqa: PLC0415

    async def run(worker, data):
        began = time.perf_counter()
        await worker.compute_score_batch(data)
        return time.perf_counter() - began

    with tempfile.TemporaryDirectory() as folder:
        tokenizer = stage.make_tokenizer(folder)
        batches = [stage.batch(tokenizer, stage.rollouts(count, data_source=str(count))) for count in (64, rows)]
        settings = {"server_url": url, "batch_size": 512, "max_in_flight": 64, "structured_output": "off"}
        if contender == "batched":
            seconds = []
            for data in batches:
                began = time.perf_counter()
                texts = [tokenizer.decode(item.batch["responses"], skip_special_tokens=True) for item in data]
                fields = data.non_tensor_batch
                truths = [row["ground_truth"] for row in fields["reward_model"]]
                prompts = [
                    {**extra, "prompt": p} for extra, p in zip(fields["extra_info"], fields["raw_prompt"], strict=True)
                ]
                compute_score_batched(fields["data_source"], texts, truths, prompts, **settings)
                seconds.append(time.perf_counter() - began)
            return rows / seconds[-1]

        if contender == "manager":
            given = [f"+reward.reward_kwargs.{name}={value}" for name, value in settings.items()]
            config = stage.configuration(folder, *stage.JUDGE_MANAGER, *given, path=None)
        elif contender == "nothing":
            function = Path(folder, "nothing.py")
            function.write_text("async def score(data_source, solution_str, ground_truth, extra_info): return 0.5")
            config = stage.configuration(folder, path=function, name="score")
        else:
            config = stage.configuration(folder, **settings)

        async def both():
            worker = RewardLoopWorker(config)
            return [await run(worker, data) for data in batches]

        return rows / asyncio.run(both())[-1]


def main(rows, rounds):
    for name, options in JUDGES.items():
        command = [sys.executable, "-m", "llm_judge_remote.testing", "--port", "0", "--reply", "REWARD: 0.5", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
                found = {contender: [] for contender in CONTENDERS}
                for number in range(rounds):
                    for contender in CONTENDERS[number % 4 :] + CONTENDERS[: number % 4]:
                        child = [sys.executable, "-W", "ignore", __file__, "--one", contender, url, str(rows)]
                        done = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
                        found[contender].append(json.loads(done.stdout.splitlines()[-1]))
            finally:
                server.terminate()
                server.stdout.read()
        base = statistics.median(found["batched"])
        print(name)
        for contender, rates in found.items():
            middle = statistics.median(rates)
            print(f"  {contender:8} {middle:7.0f} rows/s  {middle / base:5.2f}  ({min(rates):.0f} to {max(rates):.0f})")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        main(*(int(word) for word in (*sys.argv[1:], "1000", "5")[:2]))
