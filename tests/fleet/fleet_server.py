"""A judge server in a process of its own, which `test_changing_fleet.py` starts, stops and kills.

    python fleet_server.py JUDGED HOST:PORT [REGISTRY] [--service-time SECONDS] [--slots COUNT]

It registers itself, where there is a registry that takes entries, says its address on standard output, and serves until
SIGTERM, or until standard input ends; then it says how many conversations it took. Each conversation that it is asked
adds a line to the file JUDGED before it is answered: the seconds of this machine's monotonic clock, and the row's
number. So what a server was asked is known also after SIGKILL.
"""

import argparse
import hashlib
import os
import re
import signal
import sys
import time

from llm_judge_remote.servers.registry import register
from llm_judge_remote.testing import JudgeServer

_LEASE_S = 1.0
_NUMBER = re.compile(r"\b(?:problem|reference|candidate)-(\d+)\b")


def score(problem, reference, candidate):
    """What the judge gives a row: a function of the numbers in its three texts, in hundredths of 1."""
    digest = hashlib.sha256(f"{problem} {reference} {candidate}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 101 / 100


def judge_that_notes(file):
    """A judge that says the score of the row that it is shown, and notes that it was asked."""

    def judge(conversation):
        problem, reference, candidate = _NUMBER.findall(conversation.text)
        # One write, at the file's end and into no buffer: all of it is there or nothing, whatever happens next.
        os.write(file, f"{time.monotonic():.3f} {candidate}\n".encode())
        return f"REWARD: {score(problem, reference, candidate):.2f}"

    return judge


def say(what):
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("judged")
    parser.add_argument("address")
    parser.add_argument("registry", nargs="?")
    parser.add_argument("--service-time", type=float, default=0.0)
    parser.add_argument("--slots", type=int)
    options = parser.parse_args()
    host, _, port = options.address.partition(":")
    file = os.open(options.judged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    server = JudgeServer(
        host=host,
        port=int(port),
        judge=judge_that_notes(file),
        service_time=options.service_time,
        slots=options.slots,
        keep_requests=0,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # first, so that the registration leaves before this
    try:
        with server:
            if options.registry:
                register(options.registry, server.url, _LEASE_S)
            say(server.url)
            sys.stdin.read()
    finally:
        say(server.stats.conversations)


if __name__ == "__main__":
    main()
