"""Addresses in DNS: every record of a name, as a Kubernetes headless service has one for each pod that is ready."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, NoReturn

from llm_judge_remote.errors import RegistryError
from llm_judge_remote.servers.registry.registry import needed, shown_url
from llm_judge_remote.servers.registry.url import bad_url, number, parts_of, query_of

__all__ = ["DnsRegistry"]

_FAMILIES = {"4": (socket.AF_INET, ("A",)), "6": (socket.AF_INET6, ("AAAA",)), "": (socket.AF_UNSPEC, ("A", "AAAA"))}
_NO_SUCH_NAME = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)}
_TIMEOUT_S = 5.0


class DnsRegistry:
    """A name in DNS and a port, `dns://judge-headless:8000`; it can be read only.

    The system resolves the name, with the cluster's search domains. `?family=4` or `6` takes A or AAAA records alone;
    `?nameserver=IP:PORT` asks that server for the whole name, `timeout` seconds at most (5 unless given). A name that
    does not exist, or has no records, has no servers: that is what a headless service without a ready pod looks like.

    Args:
        url: The name and the port.

    Raises:
        ConfigError: The URL has no name or port, or dnspython is needed and not installed.
    """

    def __init__(self, url: str) -> None:
        parts = parts_of(url)
        query = query_of(url, ("family", "nameserver", "timeout"))
        if not parts.hostname or not parts.port or parts.path.strip("/"):
            raise bad_url(url, "write dns://NAME:PORT; the port is the one that the servers listen at")
        self._host = parts.hostname
        self._port = parts.port
        if query.get("family", "") not in _FAMILIES:
            raise bad_url(url, "family must be 4 or 6")
        self._family, self._types = _FAMILIES[query.get("family", "")]
        self.name = shown_url(url)
        self._resolver: Any = None
        if query.get("nameserver"):
            self.name += f"?nameserver={query['nameserver']}"
            self._resolver = _resolver(url, query["nameserver"], number(url, query, "timeout", _TIMEOUT_S))

    def addresses(self) -> list[str]:
        """`http://IP:PORT` for every record, in order of the addresses."""
        found = self._asked() if self._resolver else self._resolved()
        ordered = sorted(found, key=lambda ip: (":" in ip, _packed(ip)))
        return [f"http://[{ip}]:{self._port}" if ":" in ip else f"http://{ip}:{self._port}" for ip in ordered]

    def entries(self) -> dict[str, str]:
        """The addresses, which are their own ids."""
        return {address: address for address in self.addresses()}

    def add(self, address: str, ttl: float) -> str:  # noqa: ARG002 (the registry's own signature)
        """It takes none.

        Raises:
            RegistryError: Always.
        """
        self._read_only()

    def keep(self, entry: str, ttl: float) -> None:  # noqa: ARG002 (the same)
        """It keeps none.

        Raises:
            RegistryError: Always.
        """
        self._read_only()

    def remove(self, entry: str) -> None:  # noqa: ARG002 (the same)
        """It removes none.

        Raises:
            RegistryError: Always.
        """
        self._read_only()

    def close(self) -> None:
        """Nothing is held open."""

    def _resolved(self) -> set[str]:
        try:
            records = socket.getaddrinfo(self._host, self._port, self._family, socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                return set()
            self._refuse(error.strerror or str(error), error)
        except (OSError, UnicodeError) as error:
            self._refuse(str(error), error)
        return {str(address[0]) for *_, address in records}

    def _asked(self) -> set[str]:
        resolver = needed("dns.resolver", extra="dns")
        found: set[str] = set()
        for kind in self._types:
            try:
                found |= {record.address for record in self._resolver.resolve(self._host, kind, search=False)}
            except (resolver.NXDOMAIN, resolver.NoAnswer):  # noqa: PERF203 (two at most)
                continue
            except Exception as error:  # noqa: BLE001 (whatever dnspython raises becomes ours here)
                self._refuse(f"{type(error).__name__}: {error}", error)
        return found

    def _refuse(self, why: str, error: Exception) -> NoReturn:
        msg = f"{self.name}: the name cannot be resolved: {why}; is the DNS server up, and ?family=4 or 6 of help?"
        raise RegistryError(msg) from error

    def _read_only(self) -> NoReturn:
        msg = f"{self.name}: DNS can only be read here; whoever runs it (Kubernetes, say) adds and removes the records"
        raise RegistryError(msg)


def _packed(ip: str) -> bytes:
    return ipaddress.ip_address(ip.partition("%")[0]).packed


def _resolver(url: str, server: str, timeout: float) -> Any:
    host, separator, port = server.rpartition(":")
    if not separator or "]" in port or (":" in host and not host.startswith("[")):  # no port, as 10.0.0.2 or ::1
        host, port = server, "53"
    host = host.strip("[]")
    try:
        ipaddress.ip_address(host)
        number_of_port = int(port)
    except ValueError:
        raise bad_url(url, "nameserver must be IP:PORT, as in 10.96.0.10:53 or [::1]:53") from None
    resolver = needed("dns.resolver", extra="dns").Resolver(configure=False)
    resolver.nameservers = [host]
    resolver.port = number_of_port
    resolver.lifetime = timeout
    return resolver
