"""A judge server in a process of its own: `fleet.py` starts it, nobody else.

It says its address on stdout, and takes commands as lines of JSON on stdin until that ends:
`{"faults": ["status:503:0.5", ...]}` in the words of `Fault.parse`, `{"pause": true}`, `{"loading": true}`, and both
with false.
"""

from __future__ import annotations

import argparse
import json
import sys

from rows import verdict

from llm_judge_remote.testing import Fault, JudgeServer, lognormal

__all__: list[str] = []

_LEASE_S = 2.0


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--registry", default="")
    options = parser.parse_args()
    server = JudgeServer(
        port=options.port,
        judge=verdict,
        service_time=lognormal(mean=0.03, sigma=0.4),
        slots=64,
        seed=options.seed + options.number,
        keep_requests=0,
    )
    with server:
        if options.registry:
            _register(options.registry, server.url)
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        for line in sys.stdin:
            command = json.loads(line)
            if "faults" in command:
                server.faults = [Fault.parse(text) for text in command["faults"]]
            if "pause" in command:
                (server.pause if command["pause"] else server.resume)()
            if "loading" in command:
                server.loading = command["loading"]


def _register(registry: str, url: str) -> None:
    # Imported here: without a registry there is nothing to be had of it.
    from llm_judge_remote.servers.registry import register  # noqa: PLC0415

    register(registry, url, _LEASE_S)


if __name__ == "__main__":
    main()
