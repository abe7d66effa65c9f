"""Real services on loopback, as processes that end when they are closed."""

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import requests

PATIENCE_S = 60.0


def free_ports(count):
    """TCP ports at which nobody listens now."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in taken]


def wait_for(reached, what, process=None, log=None):
    """Until it is so; an error that shows the log when it takes too long, or the process ended."""
    until = time.monotonic() + PATIENCE_S
    while not reached():
        if time.monotonic() > until or (process is not None and process.poll() is not None):
            shown = log.read_text(errors="replace")[-2000:] if log else ""
            raise AssertionError(f"{what} is not there\n{shown}")
        time.sleep(0.05)


class Service:
    """A program that is started, stopped and started again."""

    program = ""
    package = ""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "log"
        self.process = None
        self.binary = shutil.which(self.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if self.binary is None:
            raise AssertionError(f"there is no {self.program} here; Debian has it: apt-get install {self.package}")

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([self.binary, *self.arguments()], stdout=log, stderr=log, cwd=self.folder)
        wait_for(self.is_ready, self.program, self.process, self.log)

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


class Etcd(Service):
    """etcd with a store of its own.

    With a password, `root` has it, and nobody else may do anything; with a certificate and its key, it speaks TLS, and
    those who show the same certificate are let in.
    """

    program = "etcd"
    package = "etcd-server"

    def __init__(self, folder, password="", certificate=()):
        super().__init__(folder)
        self.port, self._peer_port = free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        self.password = password
        self.certificate = certificate
        self._base = f"{'https' if certificate else 'http'}://{self.address}"
        self._session = requests.Session()
        self._session.trust_env = False
        if certificate:
            self._session.verify, self._session.cert = str(certificate[0]), tuple(map(str, certificate))

    def arguments(self):
        mine, peers = self._base, f"http://127.0.0.1:{self._peer_port}"
        shown = [str(path) for path in self.certificate]
        tls = ["--cert-file", shown[0], "--key-file", shown[1], "--trusted-ca-file", shown[0]] if shown else []
        return [
            *([*tls, "--client-cert-auth"] if tls else []),
            *("--data-dir", str(self.folder / "data"), "--logger", "zap"),
            *("--listen-client-urls", mine, "--advertise-client-urls", mine),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
            *("--initial-cluster", f"default={peers}"),
        ]

    def is_ready(self):
        try:
            return self._session.get(f"{self._base}/health", timeout=1).json()["health"] == "true"
        except (requests.RequestException, ValueError, KeyError):
            return False

    def __enter__(self):
        super().__enter__()
        if self.password:
            self.post("auth/user/add", {"name": "root", "password": self.password})
            self.post("auth/role/add", {"name": "root"})
            self.post("auth/user/grant", {"user": "root", "role": "root"})
            self.post("auth/enable", {})
        return self

    def __exit__(self, *_):
        super().__exit__()
        self._session.close()

    def post(self, path, body):
        answer = self._session.post(f"{self._base}/v3/{path}", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, key, value):
        self.post("kv/put", {"key": _b64(key), "value": _b64(value)})

    def keys(self):
        """All keys, and how many seconds their lease has (0: none)."""
        answer = self.post("kv/range", {"key": _b64("\0"), "range_end": _b64("\0")})
        found = {}
        for item in answer.get("kvs", []):
            lease = item.get("lease", 0)
            granted = int(self.post("lease/timetolive", {"ID": lease})["grantedTTL"]) if lease else 0
            found[base64.b64decode(item["key"]).decode()] = granted
        return found

    def url(self, name):
        return f"etcd://{self.address}/{name}"


class DnsServer(Service):
    """dnsmasq, which knows the names under `.test` that it is told, and no others."""

    program = "dnsmasq"
    package = "dnsmasq-base"

    def __init__(self, folder):
        super().__init__(folder)
        (self.port,) = free_ports(1)
        self.address = f"127.0.0.1:{self.port}"
        self.hosts = self.folder / "hosts"
        self.hosts.write_text("127.0.0.1 ready.test\n")

    def arguments(self):
        as_root = ["--user=root", "--group=root"] if os.geteuid() == 0 else []
        return [
            *("--no-daemon", f"--port={self.port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file="),
            *("--conf-file=/dev/null", "--no-resolv", "--no-hosts", f"--addn-hosts={self.hosts}", "--local=/test/"),
            *as_root,
        ]

    def is_ready(self):
        return bool(self.asked("ready.test"))

    def set(self, **addresses):
        """Say what the names' addresses are from now on: judge=["127.0.0.1"] is judge.test."""
        generation = f"{len(list(self.folder.glob('told*')))}.ready.test"
        (self.folder / f"told-{generation}").touch()
        lines = [f"{ip} {name}.test" for name, ips in addresses.items() for ip in ips]
        self.hosts.write_text("\n".join([*lines, "127.0.0.1 ready.test", f"127.0.0.1 {generation}"]) + "\n")
        self.process.send_signal(1)  # SIGHUP: read the file again
        wait_for(lambda: self.asked(generation), "what dnsmasq was told", self.process, self.log)

    def asked(self, name):
        """The A records of a name, asked of it directly."""
        question = dns.message.make_query(name, "A")
        try:
            answer = dns.query.udp(question, "127.0.0.1", port=self.port, timeout=1)
        except (dns.exception.DNSException, OSError):
            return []
        return [record.address for records in answer.answer for record in records]

    def url(self, name, port, query=""):
        return f"dns://{name}.test:{port}?nameserver={self.address}{query}"


def make_certificate(folder):
    """Paths of a certificate for 127.0.0.1 that is its own authority, and of its key."""
    binary = shutil.which("openssl")
    assert binary, "there is no openssl here; Debian has it: apt-get install openssl"
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [binary, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=judge", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def _b64(text):
    return base64.b64encode(text.encode()).decode()
