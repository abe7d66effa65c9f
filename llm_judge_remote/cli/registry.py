"""`llm-judge-remote registry`: the places where judge servers are looked up."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from llm_judge_remote.cli.terminal import FAILED, FINE, command, console, print_json
from llm_judge_remote.servers.registry import lookup, open_registry, prune, register
from llm_judge_remote.servers.registry.addresses import sorted_out

__all__ = ["app"]

Place = Annotated[
    str,
    typer.Argument(
        metavar="REGISTRY",
        help="file:///FOLDER, etcd://HOST:2379/NAME, ray://NAME?address=auto or dns://HOST:PORT (to be read only).",
        show_default=False,
    ),
]

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def registry() -> None:
    """Look into a registry of judge servers, put a server in, or take dead ones out.

    A registry is what --server-url and server_url may name in place of servers: clients look there every few seconds.
    Servers that `serve` starts register themselves.
    """


@app.command("list")
def list_servers(
    place: Place,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document in place of lines.")] = False,
) -> None:
    """List the servers in a registry, and entries that are out of use.

    Nobody is asked whether the servers are well: see status.

    \b
    Exit code:
      0  there are some
      1  there is none, or the registry cannot be asked
      2  the registry's address is of no use
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    with command():
        opened = open_registry(place)
        try:
            servers = lookup(opened)
            values = list(opened.entries().values())
        finally:
            opened.close()
        known, others = sorted_out(values)
        expired = sorted(set(known) - set(servers))
        if as_json:
            print_json({"registry": opened.name, "servers": servers, "expired": expired, "others": sorted(others)})
        else:
            for server in servers:
                typer.echo(server)
            notes = [f"{each}: not renewed, clients do not use it; see prune" for each in expired]
            notes += [f"{each!r} is no address of a server" for each in sorted(others)]
            for note in notes or ([] if servers else [f"{opened.name} lists no server."]):
                typer.echo(note, err=True)
    raise typer.Exit(FINE if servers else FAILED)


@app.command("register")
def register_server(
    place: Place,
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS", help="Of the server, as clients reach it: http://HOST:PORT.", show_default=False
        ),
    ],
    ttl: Annotated[
        float,
        typer.Option(min=1.0, metavar="SECONDS", help="Seconds that the entry outlives this command if it is killed."),
    ] = 30.0,
) -> None:
    """Put a server into a registry, and keep it there until Ctrl-C.

    For servers that `serve` did not start. Beside such a server in a script: start this in the background, and kill it
    when the server ends.

    \b
    Exit code:
      0  registered, and taken out again when it was ended
      1  the registry cannot be asked, or takes no entries
      2  an address is of no use

    \b
    Example:
      llm-judge-remote registry register file:///shared/exp/trial/judge http://10.0.0.5:8000
    """  # noqa: D301 (as above)
    ends = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    with command():
        # Blocked and fetched below, so that no handler runs in the middle of anything.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        try:
            with register(place, address, ttl) as registration:
                said = console(stderr=True)
                said.print(f"Registered as {registration.value}; Ctrl-C takes it out again.", markup=False)
                signal.sigwait(ends)
            said.print("Taken out.")
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@app.command("prune")
def prune_servers(
    place: Place,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Seconds that a server has for one of two answers.")
    ] = 5.0,
) -> None:
    """Take out the entries whose server does not answer any more.

    A server that gives any HTTP answer is left in. One that is still loading its model and listens to nobody yet is
    taken out; if it registered itself, it comes back with its next renewal.

    \b
    Exit code:
      0  done; what was taken out is printed, a line each
      1  the registry cannot be asked, or is not ours to change
      2  the registry's address is of no use
    """  # noqa: D301 (as above)
    with command():
        for server in prune(place, timeout=timeout):
            typer.echo(server)
