"""The way to a server, below HTTP: its name, a connection, TLS."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import ssl
import time
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from llm_judge_remote.diagnosis.setup.proxies import caught_by
from llm_judge_remote.diagnosis.setup.visit import Visit
from llm_judge_remote.finding import Finding
from llm_judge_remote.servers.at_once import within
from llm_judge_remote.setting_types import without_secrets

__all__ = ["look_at_certificate", "look_at_connection", "look_at_name", "speaks_tls"]

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_DAY_S = 86_400.0
_FEW_DAYS = 14
_EXPIRED, _NOT_YET = 10, 9  # OpenSSL's codes: X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID
_OTHER_HOST = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def look_at_name(visit: Visit) -> Finding:
    """Whether the host's name has an address here."""
    if visit.proxy:
        return _by_proxy("DNS", visit)
    try:
        ipaddress.ip_address(visit.host)
        literal = True
    except ValueError:
        literal = False
    try:
        # The system's resolver cannot be told how long it may take.
        found = within(visit.timeout, lambda: socket.getaddrinfo(visit.host, visit.port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError, TimeoutError) as error:
        words = getattr(error, "strerror", None) or str(error)
        fix = f"correct the name in server_url, or ask the resolver of this machine: getent hosts {visit.host}"
        return Finding("DNS", "error", f"{visit.host} has no address here: {words}", fix)
    visit.places = tuple(dict.fromkeys((int(family), place) for family, _, _, _, place in found))
    if literal:
        return Finding("DNS", "ok", f"{visit.host} is an address itself")
    return Finding("DNS", "ok", f"{visit.host} is {', '.join(str(place[0]) for _, place in visit.places)}")


def look_at_connection(visit: Visit) -> Finding:
    """Whether the port takes connections."""
    if visit.proxy:
        return _by_proxy("TCP", visit)
    failures: list[tuple[str, OSError]] = []
    for family, place in visit.places:
        began = time.perf_counter()
        try:
            with socket.socket(family, socket.SOCK_STREAM) as tried:
                tried.settimeout(visit.connect_timeout)
                tried.connect(place)
        except OSError as error:
            failures.append((str(place[0]), error))
            continue
        took = f"port {visit.port} of {place[0]} takes connections ({1e3 * (time.perf_counter() - began):.1f} ms)"
        if not failures:
            return Finding("TCP", "ok", took)
        said = "; ".join(f"{where}: {_words(error)}" for where, error in failures)
        fix = "name the address that answers in server_url, or have the other one taken out of DNS"
        is_slow = any(isinstance(error, TimeoutError) for _, error in failures)
        words = f"{took}, but every new connection first tries in vain {said}"
        return Finding("TCP", "warning" if is_slow else "ok", words, fix if is_slow else "")
    said = "; ".join(f"{where}: {_words(error)}" for where, error in failures)
    return Finding("TCP", "error", f"nobody takes connections at port {visit.port}: {said}", _way_out(visit, failures))


def look_at_certificate(visit: Visit) -> Finding:
    """Whether the server's certificate holds, as the judge's client looks at it, and how long it will."""
    if visit.proxy:
        return _by_proxy("TLS", visit)
    if not visit.is_tls:
        return Finding("TLS", "skipped", "the address is http://, without TLS")
    bundle = _bundle(visit)
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    try:
        context.load_verify_locations(**{"capath" if os.path.isdir(bundle) else "cafile": bundle})  # noqa: PTH112
        certificate = _certificate(visit, context)
    except ssl.SSLCertVerificationError as error:
        return Finding("TLS", "error", f"the certificate is refused: {error.verify_message}", _remedy(visit, error))
    except ssl.SSLError as error:
        fix = f"if it speaks plain HTTP, write http://{visit.address.partition('://')[2]}"
        return Finding("TLS", "error", f"port {visit.port} speaks no TLS that is understood: {error.reason}", fix)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            return Finding("TLS", "error", f"the authorities' file {bundle} is not there", "correct REQUESTS_CA_BUNDLE")
        return Finding("TLS", "error", f"the handshake failed: {_words(error)}", "see the server's log")
    until = str(certificate["notAfter"])
    days = (ssl.cert_time_to_seconds(until) - time.time()) / _DAY_S
    if days < _FEW_DAYS:
        return Finding("TLS", "warning", f"the certificate runs out in {days:.1f} days ({until})", "renew it")
    return Finding("TLS", "ok", f"the certificate holds for another {days:.0f} days ({until})")


def speaks_tls(visit: Visit) -> bool:
    """Whether somebody at the port answers a handshake, whoever it is."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _certificate(visit, context)
    except OSError:
        return False
    return True


def _certificate(visit: Visit, context: ssl.SSLContext) -> dict[str, Any]:
    place = (visit.host, visit.port)
    with (
        socket.create_connection(place, timeout=visit.connect_timeout) as plain,
        context.wrap_socket(plain, server_hostname=visit.host) as secured,
    ):
        return dict(secured.getpeercert() or {})


def _bundle(visit: Visit) -> str:
    """The authorities that the judge's client believes."""
    named = next((os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)), "") if visit.trust_env else ""
    return named or DEFAULT_CA_BUNDLE_PATH


def _remedy(visit: Visit, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (_EXPIRED, _NOT_YET):
        return "renew the server's certificate; if it is valid, set the clock of this machine"
    if error.verify_code in _OTHER_HOST:
        return f"name the server as its certificate does, or have one made that names {visit.host}"
    way = "set trust_env: true and REQUESTS_CA_BUNDLE=FILE, a PEM file of the authority that signed it"
    named = next((name for name in _CA_VARIABLES if os.environ.get(name)), "")
    if named and not visit.trust_env:
        return f"{named} is set, but not obeyed: set trust_env: true"
    return way


def _way_out(visit: Visit, failures: list[tuple[str, OSError]]) -> str:
    if all(error.errno == errno.ECONNREFUSED for _, error in failures):
        fix = f"start the server, with --port {visit.port} and --host 0.0.0.0 if it is to be reached from elsewhere"
    else:
        fix = "see whether the machine is up, and whether a firewall or network policy lets this one through"
    proxy = caught_by(visit.address)
    if proxy and not visit.settings.trust_env:
        fix += f"; if only the proxy {without_secrets(proxy)} leads there, set trust_env: true"
    return fix


def _by_proxy(name: str, visit: Visit) -> Finding:
    return Finding(name, "skipped", f"requests go through the proxy {visit.proxy}")


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error)
