"""The server from a shell: `python -m llm_judge_remote.testing`."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import get_args

from llm_judge_remote.testing.constraint import ConstraintKind
from llm_judge_remote.testing.engine import EngineKind
from llm_judge_remote.testing.faults import Fault
from llm_judge_remote.testing.judge_server import JudgeServer
from llm_judge_remote.testing.service_time import ServiceTime, parse_service_time


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    ends = {signal.SIGINT, signal.SIGTERM}
    # Blocked in all threads and fetched below: no handler, so nothing that a handler could interrupt.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        server = _server(options)
    except ValueError as error:
        parser.error(str(error))
    try:
        server.start()
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return 1
    _say(f"listening on {server.url}")
    _say("This is not an LLM: it speaks vLLM's API, and scores by likeness of words or says what it was told.")
    signal.sigwait(ends)
    server.stop()
    stats = server.stats
    _say(f"stopped: {stats.requests} requests, {stats.conversations} conversations, faults {stats.faults}")
    return 0


def _server(options: argparse.Namespace) -> JudgeServer:
    return JudgeServer(
        port=options.port,
        host=options.host,
        model=options.model,
        api_key=options.api_key,
        judge=options.reply,
        service_time=options.service_time,
        slots=options.slots,
        faults=options.fault,
        max_model_len=options.max_model_len,
        batch_endpoint=not options.no_batch_endpoint,
        engine=options.engine,
        openapi=not options.no_openapi,
        sleep=options.sleep,
        constraint=options.constraint,
        logprobs=not options.no_logprobs,
        max_n=options.max_n,
        reasoning_field=None if options.reasoning_field == "none" else options.reasoning_field,
        seed=options.seed,
        keepalive=options.keepalive,
        keep_requests=0,
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m llm_judge_remote.testing",
        description="A server that speaks vLLM's API, for rehearsals. It is not an LLM: it compares words.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, default=8000, help="0 for a free one")
    add("--host", default="127.0.0.1")
    add("--model", default="Qwen/Qwen3-32B", help="name of the model served")
    add("--api-key", help="key that requests must carry")
    add("--reply", metavar="TEXT", help="reply to everything, instead of likeness")
    add(
        "--service-time",
        type=_service_time,
        metavar="DIST",
        help="seconds per conversation: 0.5, fixed:0.5, exponential:MEAN or lognormal:MEAN,SIGMA",
    )
    add("--slots", type=int, help="conversations in service at once; the others queue")
    add(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="FAULT",
        help="KIND[:STATUS][:SHARE][:NAME=VALUE...], as status:503:0.01:retry_after=1; may be repeated",
    )
    add("--max-model-len", type=int, default=32768, help="tokens of prompt and reply together")
    add("--no-batch-endpoint", action="store_true", help="answer 404 to batches, as older servers do")
    add("--engine", choices=get_args(EngineKind), default="vllm", help="what the server says that it is")
    add("--no-openapi", action="store_true", help="do not list the endpoints at /openapi.json")
    add("--sleep", action="store_true", help="can be put to sleep: POST /sleep and /wake_up, GET /is_sleeping")
    add(
        "--constraint",
        choices=get_args(ConstraintKind),
        default="structured_outputs",
        help="how requests can hold replies to a grammar",
    )
    add("--no-logprobs", action="store_true", help="ignore logprobs")
    add("--max-n", type=int, help="replies to a conversation at most, however many are asked for")
    add("--reasoning-field", choices=["reasoning", "reasoning_content", "none"], default="reasoning")
    add("--seed", type=int, default=0, help="of service times and faults")
    add("--keepalive", type=float, default=5.0, help="seconds that an idle connection stays open")
    return parser


def _service_time(text: str) -> ServiceTime:
    try:
        return parse_service_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _fault(text: str) -> Fault:
    try:
        return Fault.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
