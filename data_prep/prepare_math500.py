#!/usr/bin/env python
"""MATH-500 as rows for verl, the solutions being the references.

    python prepare_math500.py [--input math500_test.jsonl] [--output test.parquet] [OPTIONS]

All options are those of `llm-judge-remote prepare`. Without --input the data set comes from the Hugging Face hub.
"""

from __future__ import annotations

from pathlib import Path

from llm_judge_remote.cli.recipe import run_recipe

DEFAULTS = {
    "name": "math500",
    "inputs": ["HuggingFaceH4/MATH-500"],
    "split": "test",
    "problem": "problem",
    "reference": ["solution"],
    # What the model cards of Qwen's models advise for mathematics.
    "prompt_template": "{problem}\n\nPlease reason step by step, and put your final answer within \\boxed{}.",
}

if __name__ == "__main__":
    run_recipe(Path(__file__).name, "MATH-500 as rows for verl.", DEFAULTS)
