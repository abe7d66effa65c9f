"""`llm-judge-remote rehearse`: a stand-in for a judge server, to try a setup without a GPU."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar, get_args

import typer

from llm_judge_remote.cli.terminal import FAILED, UNUSABLE, command
from llm_judge_remote.servers.registry import register
from llm_judge_remote.serving.address import announced_url
from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.testing import ConstraintKind, EngineKind, Fault, FaultKind, JudgeServer
from llm_judge_remote.testing.service_time import parse_service_time

__all__ = ["rehearse"]

Value = TypeVar("Value")

_ENDS = {signal.SIGINT, signal.SIGTERM}


def _parsed(parse: Callable[[str], Value]) -> Callable[[Any], Any]:
    """A parser whose words reach the user; what typer calls twice, it parses once."""

    def parser(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parser


def _one_of(*choices: str) -> Callable[[str | None], str | None]:
    def checked(value: str | None) -> str | None:
        if value is not None and value not in choices:
            msg = f"invalid choice: {value!r} (choose from {', '.join(choices)})"
            raise typer.BadParameter(msg)
        return value

    return checked


def rehearse(
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="0 for a free one.")] = 8000,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on; 0.0.0.0 is open to whoever reaches this machine.")
    ] = "127.0.0.1",
    model: Annotated[str, typer.Option(metavar="NAME", help="Name of the model that it says it serves.")] = (
        "Qwen/Qwen3-32B"
    ),
    api_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            envvar="LLM_JUDGE_REHEARSAL_KEY",
            help="Key that requests must carry; better in the environment, where no list of processes shows it.",
            show_default=False,
        ),
    ] = None,
    register_in: Annotated[
        str | None,
        typer.Option(
            "--register",
            metavar="REGISTRY",
            help="Register it there for as long as it runs: file:///FOLDER, etcd://..., ray://...",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="What to register, where clients reach it by another address than --host and --port.",
            show_default=False,
        ),
    ] = None,
    latency: Annotated[
        Any,
        typer.Option(
            "--latency",
            "--service-time",
            parser=_parsed(parse_service_time),
            metavar="DIST",
            help="Seconds for each conversation: 0.5, exponential:MEAN or lognormal:MEAN,SIGMA (like an LLM's).",
            show_default=False,
        ),
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Conversations that it works on at once; the others queue.", show_default=False
        ),
    ] = None,
    fault: Annotated[
        list[Any] | None,
        typer.Option(
            parser=_parsed(Fault.parse),
            metavar="FAULT",
            help="What goes wrong, and how often: KIND[:STATUS][:SHARE][:NAME=VALUE...]; again for more. Kinds: "
            f"{', '.join(get_args(FaultKind))}. Names: times, seconds, retry_after, match, first_attempt_only.",
            show_default=False,
        ),
    ] = None,
    reply: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Reply so to everything, instead of by likeness.", show_default=False),
    ] = None,
    max_model_len: Annotated[int, typer.Option(min=1, metavar="TOKENS", help="Of prompt and reply together.")] = 32768,
    sleep: Annotated[bool, typer.Option("--sleep", help="Can be put to sleep, and woken.")] = False,
    engine: Annotated[
        str,
        typer.Option(
            callback=_one_of(*get_args(EngineKind)),
            metavar="KIND",
            help="What it says that it is: vllm, sglang, other.",
        ),
    ] = "vllm",
    no_batch_endpoint: Annotated[
        bool, typer.Option("--no-batch-endpoint", help="Has no endpoint for batches, as older servers.")
    ] = False,
    no_openapi: Annotated[
        bool, typer.Option("--no-openapi", help="Does not list its endpoints at /openapi.json.")
    ] = False,
    constraint: Annotated[
        str,
        typer.Option(
            callback=_one_of(*get_args(ConstraintKind)),
            metavar="KIND",
            help="How requests can hold replies to a grammar: structured_outputs (vLLM), guided_regex (vLLM before "
            "0.12), regex (SGLang), response_format (OpenAI), ignored, refused.",
        ),
    ] = "structured_outputs",
    no_logprobs: Annotated[bool, typer.Option("--no-logprobs", help="Ignores logprobs.")] = False,
    max_n: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Most replies to a conversation, whatever is asked for.", show_default=False
        ),
    ] = None,
    reasoning_field: Annotated[
        str,
        typer.Option(
            callback=_one_of("reasoning", "reasoning_content", "none"),
            metavar="NAME",
            help="Where thinking is sent: reasoning, reasoning_content, or none: in the content.",
        ),
    ] = "reasoning",
    seed: Annotated[
        int, typer.Option(metavar="N", help="Of latencies and faults: the same traffic meets the same ones.")
    ] = 0,
    keepalive: Annotated[
        float, typer.Option(min=0.0, metavar="SECONDS", help="Seconds that an idle connection stays open.")
    ] = 5.0,
) -> None:
    """Start a stand-in for a judge server, to try a training setup without a GPU. It is not an LLM.

    It speaks vLLM's API, and scores a candidate by the likeness of its words to the reference's. What its scores are
    worth is another matter; that they arrive, how fast, and what becomes of a run when they do not, can be seen.

    \b
    Exit code:
      0  ended by Ctrl-C or SIGTERM
      1  it cannot listen there, or the registry cannot be asked
      2  an option is of no use

    \b
    Examples:
      llm-judge-remote rehearse
      llm-judge-remote rehearse --latency lognormal:2,0.5 --slots 64
      llm-judge-remote rehearse --fault status:503:0.01:retry_after=1 --fault hang:0.001
      llm-judge-remote rehearse --port 0 --register file:///shared/exp/trial/judge
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    if address is not None and register_in is None:
        msg = "needs --register: it is what is registered"
        raise typer.BadParameter(msg, param_hint="--address")
    with command(), _held_back(_ENDS):
        try:
            server = JudgeServer(
                port=port,
                host=host,
                model=model,
                api_key=api_key,
                judge=reply,
                service_time=latency,
                slots=slots,
                faults=fault or [],
                max_model_len=max_model_len,
                batch_endpoint=not no_batch_endpoint,
                engine=engine,  # type: ignore[arg-type]  # checked by their callbacks, as the next two
                openapi=not no_openapi,
                sleep=sleep,
                constraint=constraint,  # type: ignore[arg-type]
                logprobs=not no_logprobs,
                max_n=max_n,
                reasoning_field=None if reasoning_field == "none" else reasoning_field,  # type: ignore[arg-type]
                seed=seed,
                keepalive=keepalive,
                keep_requests=0,
            )
        except ValueError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(UNUSABLE) from None
        try:
            server.start()
        except OSError as error:
            typer.echo(f"cannot listen on {host}:{port}: {error.strerror}", err=True)
            raise typer.Exit(FAILED) from None
        with contextlib.ExitStack() as stack:
            stack.callback(server.stop)
            typer.echo(f"listening on {server.url}")
            typer.echo(
                "This is not an LLM: it speaks vLLM's API, and scores by likeness of words or says what it was told."
            )
            if register_in is not None:
                reached = address or announced_url(
                    ServerSpec(model=model, host=host, port=server.port, registry=register_in)
                )
                registration = stack.enter_context(register(register_in, reached))
                typer.echo(f"registered as {registration.value} in {registration.registry.name}")
            signal.sigwait(_ENDS)
        stats = server.stats
        typer.echo(f"stopped: {stats.requests} requests, {stats.conversations} conversations, faults {stats.faults}")


@contextlib.contextmanager
def _held_back(ends: set[signal.Signals]) -> Iterator[None]:
    """Block signals in this thread and those that it starts: they are fetched, and interrupt nothing."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
