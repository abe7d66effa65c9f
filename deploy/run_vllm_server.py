#!/usr/bin/env python3
"""Start a vLLM judge server: `python deploy/run_vllm_server.py --model Qwen/Qwen3-32B --port 8000`.

The same as `llm-judge-remote serve` with engine=vllm; see `--help`. `--check-deps` looks whether this machine will do,
`--dry-run` prints vLLM's command line.
"""

import sys

from llm_judge_remote.cli.main import app

if __name__ == "__main__":
    app(["serve", "--engine", "vllm", *sys.argv[1:]], prog_name="llm-judge-remote")
