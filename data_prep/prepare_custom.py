#!/usr/bin/env python
"""Any file with any columns as rows for verl: the same as `llm-judge-remote prepare`.

python prepare_custom.py NAME --input FILE [--problem COLUMN] [--reference COLUMN] [--messages COLUMN] [OPTIONS]
"""

from __future__ import annotations

from pathlib import Path

from llm_judge_remote.cli.recipe import run_recipe

if __name__ == "__main__":
    run_recipe(Path(__file__).name, "Any file with any columns as rows for verl.", {})
