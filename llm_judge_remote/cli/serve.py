"""Start a judge server and keep it: `llm-judge-remote serve [SPEC.yaml] [OPTIONS] [NAME=VALUE...] [-- ENGINE ARGS]`."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
import types
import typing
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import typer

from llm_judge_remote.cli.printer import Printer
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.serving.checks.preflight import preflight
from llm_judge_remote.serving.engines import shown_command
from llm_judge_remote.serving.launch import EngineError, free_port
from llm_judge_remote.serving.service import Service
from llm_judge_remote.serving.spec import ServerSpec, read_assignments

__all__ = ["serve", "split_words"]

_NO_OPTION = {"extra_args", "environment"}  # as NAME=VALUE, or behind --
_BAD_SETTINGS, _FAILED = 2, 1
_HELP = """Start a judge server, wait until it has judged a sample, register it, and stop it on SIGTERM or Ctrl-C.

WORDS are a server's YAML file, NAME=VALUE for whatever can stand in one, and, after --, arguments for the engine as it
spells them. An option counts before NAME=VALUE, and that before the file.

Exit codes: 0 stopped by a signal; 1 the engine failed; 2 the settings or the machine do not do."""


def split_words(words: list[str]) -> tuple[Path | None, dict[str, Any], list[str]]:
    """A command line's words: the YAML file, the assignments, and the engine's own arguments.

    Raises:
        ConfigError: There are two files, or a word is nothing of that.
    """
    cut = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    files = [word for word in words[:cut] if "=" not in word or Path(word).is_file()]
    if len(files) > 1:
        msg = f"one file is enough, and these are {len(files)}: {', '.join(files)}; write NAME=VALUE to change a value"
        raise ConfigError(msg)
    assigned = read_assignments([word for word in words[:cut] if word not in files])
    return (Path(files[0]) if files else None), assigned, words[cut:]


def _serve(
    words: list[str] | None, *, dry_run: bool, check_deps: bool, force: bool, python: str, **options: Any
) -> None:
    try:
        file, assigned, engine_arguments = split_words(words or [])
        spec = ServerSpec.load(file, {**assigned, **{name: each for name, each in options.items() if each is not None}})
        if engine_arguments:
            spec = ServerSpec.make({**spec.model_dump(), "extra_args": (*spec.extra_args, *engine_arguments)})
        if dry_run:
            typer.echo(shown_command(spec if spec.port else spec.at(free_port()), python))
            return
        failed = _check(spec, python)
        # What would open a server to everybody is not a matter of how well the machine is known here.
        if failed and (check_deps or not force or "bind" in failed):
            raise typer.Exit(_BAD_SETTINGS)
        if check_deps:
            return
        _run(spec, python)
    except ConfigError as error:
        _say(str(error), error=True)
        raise typer.Exit(_BAD_SETTINGS) from None
    except EngineError as error:
        _say(str(error), error=True)
        raise typer.Exit(_FAILED) from None


def _check(spec: ServerSpec, python: str) -> set[str]:
    """Look at the machine and say what was found; the names of what will not do."""
    findings = preflight(spec, python=python)
    for finding in findings:
        _say(f"{finding.level}: {finding.name}: {finding.message}", error=finding.level == "error")
    return {finding.name for finding in findings if finding.level == "error"}


def _run(spec: ServerSpec, python: str) -> None:
    printer = Printer()
    service = Service(spec, say=lambda line: printer.put(f"==> {line}"), show=printer.put, python=python)

    def stop(_: int, __: FrameType | None) -> None:
        # In a thread: this one may be inside the very lock that is needed.
        threading.Thread(target=service.stop, name="judge-stop").start()

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    for number, handler in before.items():
        if number != signal.SIGHUP or handler is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, stop)
    try:
        service.run()
    finally:
        printer.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line: str, *, error: bool = False) -> None:
    typer.echo(f"==> {line}", err=error)


def _command() -> Callable[..., None]:
    """The command, with an option for each of a server's settings."""

    def command(**given: Any) -> None:
        _serve(given.pop("words"), **given)

    words = Annotated[list[str] | None, typer.Argument(metavar="[SPEC.yaml] [NAME=VALUE]... [-- ENGINE ARGS]")]
    flags = {
        "dry_run": (Annotated[bool, typer.Option("--dry-run", help="Print the engine's command line and end.")], False),
        "check_deps": (Annotated[bool, typer.Option("--check-deps", help="Check the machine and end.")], False),
        "force": (Annotated[bool, typer.Option("--force", help="Start it whatever the checks say.")], False),
        "python": (
            Annotated[
                str,
                typer.Option(
                    metavar="FILE", help="Interpreter that has the engine; this one if not given.", show_default=False
                ),
            ],
            sys.executable,
        ),
    }
    annotations: dict[str, Any] = {"words": words} | {name: kind for name, (kind, _) in flags.items()}
    defaults: dict[str, Any] = {"words": None} | {name: default for name, (_, default) in flags.items()}
    for name, field in ServerSpec.model_fields.items():
        if name not in _NO_OPTION:
            annotations[name] = Annotated[
                _plain(field.annotation) | None,
                typer.Option(metavar=_metavar(field.annotation), help=field.description),
            ]
            defaults[name] = None
    command.__annotations__ = {**annotations, "return": None}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=kind)
            for name, kind in annotations.items()
        ]
    )
    command.__doc__ = _HELP
    command.__name__ = "serve"
    return command


def _metavar(annotation: Any) -> str:
    """What stands for an option's value: its words where there are only a few, else what kind of value it is."""
    words = _words(annotation)
    return "|".join(words) if words else {int: "N", float: "NUMBER", bool: ""}.get(_plain(annotation), "TEXT")


def _words(annotation: Any) -> tuple[str, ...]:
    if typing.get_origin(annotation) is Literal:
        return tuple(map(str, typing.get_args(annotation)))
    return next((found for each in typing.get_args(annotation) if (found := _words(each))), ())


def _plain(annotation: Any) -> Any:
    """The type of an option's value: the one of a field that may be None too, and text for a choice of words."""
    if typing.get_origin(annotation) is Literal:
        return str
    kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return _plain(kinds[0])
    if typing.get_origin(annotation) is Annotated:
        return _plain(kinds[0])
    return annotation


serve = _command()
"""The command; see `--help`."""
