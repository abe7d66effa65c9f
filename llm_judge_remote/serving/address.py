"""Under which address a server is reached: from this machine, and from others."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from llm_judge_remote.serving.spec import ServerSpec

__all__ = ["announced_url", "is_loopback", "local_url"]

# An address of TEST-NET-1 (RFC 5737): a UDP socket that is connected sends nothing, and shows which interface would.
_ELSEWHERE = "192.0.2.1"


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_any(host: str) -> bool:
    """Whether a host to listen on means all interfaces."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host in ("", "0")


def local_url(spec: ServerSpec) -> str:
    """The address for clients on this machine."""
    if not _is_any(spec.host):
        return _url(spec.host, spec.port)
    return _url("::1" if ":" in spec.host else "127.0.0.1", spec.port)


def announced_url(spec: ServerSpec) -> str:
    """The address for clients elsewhere.

    That is `advertise_host`, else the host that the server listens on, else, if it listens on all, the address of the
    interface that leads to the registry, or to the rest of the world.
    """
    if spec.advertise_host:
        return _url(spec.advertise_host, spec.port)
    if not _is_any(spec.host):
        return _url(spec.host, spec.port)
    towards = urlsplit(spec.registry or "").hostname or ""
    family = socket.AF_INET6 if ":" in spec.host else socket.AF_INET
    return _url(_interface(towards, family) or _interface(_ELSEWHERE, socket.AF_INET) or socket.getfqdn(), spec.port)


def _interface(towards: str, family: socket.AddressFamily) -> str:
    """The address of the interface that leads somewhere; "" if that is this machine, or nothing does."""
    if not towards:
        return ""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((towards, 9))
            found: str = probe.getsockname()[0]
    except OSError:
        return ""
    return "" if is_loopback(found) else found


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
