#!/usr/bin/env bash
# MATH-500 for measuring membership inference: members are problems with their own solutions, non-members the same
# problems with other problems' solutions. Writes math500_mia_same_problem{.parquet,_members.jsonl,_nonmembers.jsonl,
# _summary.json} into the current folder; the prompts are those that Qwen's models are used to.
#   prepare_math500_mia_data_llm_judge_remote_qwen_same_problem.sh [--input math500_test.jsonl] [--pairs 100] [OPTIONS]
# $PYTHON is the interpreter (default: python3); all options are those of `llm-judge-remote prepare`.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "${PYTHON:-python3}" "$here/prepare_math500.py" \
  --mia random_pairing:same_problem \
  --include-target-gt \
  --seed 42 \
  --output math500_mia_same_problem.parquet \
  "$@"
