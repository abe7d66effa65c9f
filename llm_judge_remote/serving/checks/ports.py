"""Whether a port can be listened on, and who listens on it if not."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection
from pathlib import Path

from llm_judge_remote.finding import Finding

__all__ = ["listener", "port_finding"]

_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp


def port_finding(host: str, port: int, *, proc: Path = Path("/proc")) -> Finding:
    """Whether `host`:`port` can be listened on now.

    Args:
        host: Name or address.
        port: 0 for any.
        proc: Where to look up who listens.
    """
    if port == 0:
        return Finding("port", "ok", "a free one is taken")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        return Finding("port", "error", f"host={host!r} is no name or address: {error}")
    try:
        with socket.socket(family, kind, protocol) as probe:
            # As the engines do: what a server that has ended left in TIME_WAIT is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return Finding("port", "error", _why(error, host, port, proc))
    return Finding("port", "ok", f"{port} on {host} is free")


def _why(error: OSError, host: str, port: int, proc: Path) -> str:
    if error.errno == errno.EADDRINUSE:
        who = listener(port, proc=proc)
        by = f" by {who}" if who else ", by a process that cannot be seen from here"
        return f"port={port} is in use{by}: end it, or take another port (port=0 takes a free one)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host={host!r} is no address of this machine: listen on 0.0.0.0 or one of its own"
    if error.errno == errno.EACCES:
        return f"port={port} is for root: take one above 1023"
    return f"port={port} on host={host!r} cannot be listened on: {error}"


def listener(port: int, *, proc: Path = Path("/proc")) -> str | None:
    """The process that listens on a TCP port, "python (process 4711)"; None where /proc does not tell.

    It tells of one's own processes, and root of all: a socket of /proc/net/tcp is found again by its inode among the
    open files of a process.
    """
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    if not sockets:
        return None
    return next((who for folder in proc.glob("[0-9]*") if (who := _holder(folder, sockets))), None)


def _holder(folder: Path, sockets: Collection[str]) -> str | None:
    """The process of this folder, if it has one of the sockets open."""
    try:
        if any(str(link.readlink()) in sockets for link in (folder / "fd").iterdir()):
            name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
            return f"{name} (process {folder.name})"
    except OSError:
        pass  # it has ended, or is somebody else's
    return None


def _inodes(port: int, proc: Path) -> set[str]:
    found = set()
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()  # number, local address, remote address, state, ... , the inode is the tenth
            if len(columns) > 9 and columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                found.add(columns[9])
    return found
