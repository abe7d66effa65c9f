"""Addresses in etcd, laid out like AReaL's name_resolve: key `<name>/<8 hex>` holds an address."""

from __future__ import annotations

import base64
import contextlib
import math
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from llm_judge_remote.errors import RegistryError
from llm_judge_remote.servers.registry.etcd_access import EtcdAccess, describe
from llm_judge_remote.servers.registry.registry import needed, shown_url
from llm_judge_remote.servers.registry.url import bad_url, entry_name, number, parts_of, query_of

__all__ = ["EtcdRegistry"]

T = TypeVar("T")

_QUERY = ("user", "password", "ca", "cert", "key", "tls", "timeout")
_PORT = 2379
_TIMEOUT_S = 5.0


class EtcdRegistry:
    """A name in etcd, `etcd://host:2379/exp/trial/judge`, asked by etcd's HTTP gateway.

    The query, or the environment (`LLM_JUDGE_ETCD_USER`, `_PASSWORD`, `_CA`, `_CERT`, `_KEY`), says how it is
    reached: `user` and `password`; `ca`, `cert` and `key`, paths of PEM files, which imply TLS; `tls=1`; and
    `timeout`, seconds for one request, 5 unless given. Proxies are not used. The user must be allowed to read the name
    and what is below it; to register, to write there too.

    Args:
        url: Where etcd listens, and the name.

    Raises:
        ConfigError: The URL names no host, or nothing in it, or etcd3gw is not installed.
    """

    def __init__(self, url: str) -> None:
        parts = parts_of(url)
        query = query_of(url, _QUERY)
        self.name = shown_url(url)
        self._key = entry_name(parts.path)
        if not parts.hostname or not self._key:
            raise bad_url(url, "write etcd://HOST:2379/NAME, as in etcd://10.0.0.5:2379/experiment/trial/judge")
        timeout = number(url, query, "timeout", _TIMEOUT_S)
        self._access = EtcdAccess.of(url, query)
        self._client = needed("etcd3gw", extra="etcd").client(
            host=parts.hostname,
            port=parts.port or _PORT,
            protocol=self._access.protocol,
            timeout=timeout,
            api_path="/v3/",
        )
        self._client.session = self._access.session  # an argument of newer releases only
        self._added: dict[str, str] = {}
        self._leases: dict[str, str] = {}

    def addresses(self) -> list[str]:
        """The values under the name and of the name itself."""
        return list(self.entries().values())

    def entries(self) -> dict[str, str]:
        """Keys and their values; etcd itself removes those whose lease has run out."""
        # Not one range by prefix, which would take in `<name>2/...` too; both in one look at the store.
        name, below, end = (_b64(text) for text in (self._key, f"{self._key}/", f"{self._key}0"))  # "0" follows "/"
        ranges = [{"request_range": {"key": name}}, {"request_range": {"key": below, "range_end": end}}]
        answer = self._ask(lambda: self._post("/kv/txn", {"success": ranges}))
        with self._refusing():
            found = [item for one in answer["responses"] for item in one["response_range"].get("kvs", [])]
            return {_text(item["key"]): _text(item.get("value", "")).strip() for item in found}

    def add(self, address: str, ttl: float) -> str:
        """Write a key with a lease of its own."""
        entry = f"{self._key}/{secrets.token_hex(4)}"
        self._put(entry, address, ttl)
        self._added[entry] = address
        return entry

    def keep(self, entry: str, ttl: float) -> None:
        """Keep the lease alive; where it, or the key, is gone, write them again."""
        if self._keep_lease(entry):
            answer = self._ask(lambda: self._post("/kv/range", {"key": _b64(entry), "count_only": True}))
            if int(answer.get("count", 0)):
                return
        self._put(entry, self._added[entry], ttl)

    def remove(self, entry: str) -> None:
        """Delete the key and give its lease back."""
        self._added.pop(entry, None)
        lease = self._leases.pop(entry, None)
        self._ask(lambda: self._post("/kv/deleterange", {"key": _b64(entry)}))
        if lease is not None:
            with contextlib.suppress(RegistryError):  # it has run out, or soon will
                self._ask(lambda: self._post("/lease/revoke", {"ID": lease}))

    def close(self) -> None:
        """Close the connections."""
        self._access.session.close()

    def _put(self, entry: str, address: str, ttl: float) -> None:
        granted = self._ask(lambda: self._post("/lease/grant", {"TTL": math.ceil(ttl), "ID": 0}))
        with self._refusing():
            lease = granted["ID"]
        self._ask(lambda: self._post("/kv/put", {"key": _b64(entry), "value": _b64(address), "lease": lease}))
        self._leases[entry] = lease

    def _keep_lease(self, entry: str) -> bool:
        """Renew the lease; returns whether there still is one."""
        if entry not in self._leases:
            return False
        answer = self._ask(lambda: self._post("/lease/keepalive", {"ID": self._leases[entry]}))
        with self._refusing():
            return int(answer["result"].get("TTL", 0)) > 0

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        # Below etcd3gw's own calls, which take text for latin-1 and differ from release to release.
        return self._client.post(self._client.get_url(path), json=body)

    def _ask(self, ask: Callable[[], T]) -> T:
        """Ask etcd, with a fresh token where the one we have is no longer taken."""
        with self._refusing():
            self._access.log_in(self._post)
            try:
                return ask()
            except Exception as error:
                if not self._access.is_stale(error):
                    raise
            self._access.log_in(self._post, again=True)
            return ask()

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Where the errors of etcd3gw, requests and malformed answers become ours."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (the one place where they are translated)
            msg = f"{self.name}: etcd cannot be asked: {describe(error)}"
            raise RegistryError(msg) from None  # the cause may hold the request, and that a password


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="replace")
