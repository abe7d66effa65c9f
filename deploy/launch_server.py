#!/usr/bin/env python3
"""Start a judge server as AReaLite's launcher does: `launch_server.py --config deploy/config/llm_server.yaml`.

Reads the YAML file, starts the engine, and registers its address under experiment and trial, where a client with the
same names finds it. `name=value` changes a value of the file: `trial_name=run7 port=0`. The same as
`llm-judge-remote serve deploy/config/llm_server.yaml`.
"""

import sys

from llm_judge_remote.cli.main import app

if __name__ == "__main__":
    given = sys.argv[1:]
    own = given[: given.index("--")] if "--" in given else given
    words = [word.removeprefix("--config=") for word in own if word != "--config"]
    app(["serve", *words, *given[len(own) :]], prog_name="llm-judge-remote")
