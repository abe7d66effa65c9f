"""Chaos: servers are killed, frozen, overloaded and break their answers, while clients go on calling.

    python tests/chaos/run.py [--seconds 600] [--seed 7] [--servers 4] [--clients 8] [--registry file] [--json FILE]

What happens when is a function of the seed, and is said as it happens: the same seed repeats the run. At any time at
least one server is well, so every row has to be judged: `unscored` counts what fell back as well as what is missing.
The exit code is 1 if a row was unscored, wrongly scored or came back twice, or a call outlasted its deadline by more
than a second. The package that is tested is the installed one.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from account import Account
from caller import Task
from events import Event, schedule
from fleet import ChaosError, Child, Judging

import llm_judge_remote

__all__ = ["main"]

_LOOK_S = 0.5


def main(arguments: list[str] | None = None) -> int:
    """One run; returns the exit code."""
    options = _parser().parse_args(arguments)
    # Not to leave a server behind that cannot notice because it is frozen.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    events = schedule(options.seed, options.seconds, options.servers, moves=options.registry == "file")
    _say(f"llm_judge_remote {llm_judge_remote.__version__} in {Path(llm_judge_remote.__file__).parent}")
    _say(f"seed {options.seed}: {len(events)} events in {options.seconds:g} s, {options.servers} servers, ", end="")
    _say(f"{options.clients} clients, registry {options.registry}")
    with tempfile.TemporaryDirectory(prefix="llm-judge-chaos-") as temporary:
        logs = Path(options.logs or temporary)
        logs.mkdir(parents=True, exist_ok=True)
        try:
            account = _run(options, events, logs, Path(temporary))
        except ChaosError as error:
            _say(f"FAILED {error}")
            for log in sorted(logs.glob("*.log")):
                _say(f"-- {log.name}\n{log.read_text(encoding='utf-8', errors='replace')[-1500:]}")
            return 1
    failures = {name: count for name, count in account.failures.items() if count}
    if not account.rows:
        failures["rows"] = 0
    for incident in account.incidents:
        _say(f"  ! {incident}")
    _say(f"\n{account}")
    if options.json:
        content = {**vars(options), "events": list(map(str, events)), "failures": account.failures}
        Path(options.json).write_text(json.dumps({**content, **account.to_dict()}, indent=1) + "\n", encoding="utf-8")
    _say(f"FAILED with seed {options.seed}: {failures}" if failures else "passed")
    return 1 if failures else 0


def _run(options: argparse.Namespace, events: Sequence[Event], logs: Path, temporary: Path) -> Account:
    registry = (temporary / "chaos" / "judge").as_uri() if options.registry == "file" else ""
    with ExitStack() as stack:
        servers: list[Judging] = []
        for number in range(options.servers):
            servers.append(Judging(number, options.seed, logs, registry))
            stack.callback(servers[-1].end)
        addresses = [server.wait_until_ready() for server in servers]
        clients: list[Child] = []
        began = time.monotonic()
        for number in range(options.clients):
            clients.append(Child("caller.py", [], logs / f"client{number}.log"))
            stack.callback(clients[-1].end)
            settings = {
                "server_url": registry or addresses,
                **({"registry_refresh": 1.0} if registry else {}),
                "deadline": options.deadline,
                "timeout": options.timeout,
                "fallback": ("zero", "lexical")[number % 2],
                # A reply that is held to the verdict cannot say which row it is about; one that is not held does.
                "structured_output": ("auto", "off")[number // 2 % 2],
            }
            task = Task(number, options.seed, began, options.rate / options.clients, settings)
            clients[-1].tell(task.to_json())
        for event, is_over in _moments(events):
            _wait(began + event.at + event.seconds * is_over, servers, clients)
            (servers[event.server].finish if is_over else servers[event.server].begin)(event)
            _say(f"{event.at + event.seconds:6.1f} s  server {event.server}: over" if is_over else str(event))
        _wait(began + options.seconds, servers, clients)
        account = Account()
        for client in clients:
            client.tell("stop")
        for client in clients:
            account.add(Account.from_dict(json.loads(client.hear(options.deadline + 30))))
    return account


def _moments(events: Sequence[Event]) -> Iterator[tuple[Event, bool]]:
    """Each event twice, at its beginning and at its end, in the order of time."""
    moments = [(event.at, event, False) for event in events]
    moments += [(event.at + event.seconds, event, True) for event in events]
    for _, event, is_over in sorted(moments, key=lambda moment: moment[0]):
        yield event, is_over


def _wait(until: float, servers: Sequence[Judging], clients: Sequence[Child]) -> None:
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_S))
        for server in servers:
            server.check()
        for client in clients:
            if client.process.poll() is not None:
                raise ChaosError(f"{client.log.stem} ended by itself with {client.process.returncode}")


def _say(line: str, end: str = "\n") -> None:
    sys.stdout.write(line + end)
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=float, default=600, help="length of the run (600)")
    add("--seed", type=int, default=7, help="of what happens (7)")
    add("--servers", type=int, default=4, help="processes (4)")
    add("--clients", type=int, default=8, help="processes (8)")
    add(
        "--registry", choices=["file", "none"], default="none", help="file: servers move, and clients have to find them"
    )
    add("--rate", type=float, default=120, help="rows a second, of all clients together, at most (120)")
    add("--deadline", type=float, default=20, help="seconds for a call (20)")
    add("--timeout", type=float, default=4, help="seconds for an attempt (4)")
    add("--json", metavar="FILE", help="write all counts")
    add("--logs", metavar="FOLDER", help="keep what servers and clients say")
    return parser


if __name__ == "__main__":
    sys.exit(main())
