#!/usr/bin/env python
"""GSM8K as rows for verl, or with --layout skyrl for SkyRL.

    python prepare_gsm8k.py [--input gsm8k_train.jsonl] [--layout skyrl] [--output train.parquet] [OPTIONS]

All options are those of `llm-judge-remote prepare`. Without --input the data set comes from the Hugging Face hub.
SkyRL's environment is `llm_judge_remote.integrations.skyrl`; deploy/skyrl_gsm8k_judge.py plays and trains with it.
"""

from __future__ import annotations

from pathlib import Path

from llm_judge_remote.cli.recipe import run_recipe

DEFAULTS = {
    "name": "gsm8k",
    "inputs": ["openai/gsm8k"],
    "hub_config": "main",
    "problem": "question",
    "reference": ["answer"],
    "prompt_template": '{problem} Let us think step by step, and give the final answer after "####".',
}

if __name__ == "__main__":
    run_recipe(Path(__file__).name, "GSM8K as rows for verl or SkyRL.", DEFAULTS)
