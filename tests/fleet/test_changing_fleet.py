"""Servers come, go, die and move while a step is scored, and its rows do not notice."""

import runpy
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llm_judge_remote import compute_score_batched
from llm_judge_remote.servers.registry import lookup, register
from llm_judge_remote.testing import JudgeServer

pytestmark = pytest.mark.fleet

PROGRAM = Path(__file__).with_name("fleet_server.py")
SCORE = runpy.run_path(str(PROGRAM))["score"]
PATIENCE_S = 60.0
POLL_S = 0.01

ROWS = 2000
SIBLINGS = 8
BATCH = 32
SERVICE_S = 0.2
REFRESH_S = 1.0


def reached(condition):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(POLL_S)


class Process:
    """One judge server, and what it was asked.

    Attributes:
        url: Its address.
        since: When it was registered, by this machine's monotonic clock.
    """

    def __init__(self, judged, address, registry):
        self._judged = judged
        self._judged.touch()
        # As many slots as rows are under way: what the others leave to one server does not have to wait there.
        options = ["--service-time", str(SERVICE_S), "--slots", str(BATCH)]
        command = [sys.executable, str(PROGRAM), str(judged), address, *([registry] if registry else []), *options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self._process.stdout.readline().strip()
        self.since = time.monotonic()
        if not self.url:
            self.close()
            pytest.fail("the server has ended; its errors are among what was captured")

    def asked(self):
        """When it was asked about which rows."""
        lines = self._judged.read_text().splitlines()
        return [(float(when), int(number)) for when, number in map(str.split, lines)]

    def count(self):
        """How often it was asked."""
        return self._judged.read_bytes().count(b"\n")

    def end(self, signal_number):
        """Send it a signal, and wait; what it said last."""
        self._process.send_signal(signal_number)
        return self._process.communicate(timeout=PATIENCE_S)[0].strip()

    def close(self):
        if self._process.returncode is None:
            self.end(signal.SIGKILL)


class Fleet:
    """Judge servers that register themselves.

    Args:
        folder: For their files.
        url: Where a client finds them.
        registry: Where they register; None for the same.
    """

    def __init__(self, folder, url, registry=None):
        self.url = url
        self.processes = []
        self._folder = folder
        self._registry = url if registry is None else registry

    def start(self):
        """A further server; when this returns it is registered."""
        return self._started("127.0.0.1:0")

    def stop(self, process):
        """It is asked to leave, takes its entry with it, and leaves at once."""
        assert int(process.end(signal.SIGTERM)) <= process.count()

    def asked(self):
        """How often all servers were asked, so far."""
        return sum(process.count() for process in self.processes)

    def shares(self, begin, end):
        """What each server had of all that was asked in that time, by its address; and how much that was."""
        counts = {each.url: sum(begin <= when < end for when, _ in each.asked()) for each in self.processes}
        total = sum(counts.values())
        return {url: count / max(total, 1) for url, count in counts.items()}, total

    def _started(self, address):
        process = Process(self._folder / f"judged-{len(self.processes)}", address, self._registry)
        self.processes.append(process)
        return process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.close()


class FleetInDns(Fleet):
    """Judge servers at one port of several addresses; whoever runs the DNS server adds and removes their records."""

    def __init__(self, folder, dns_server):
        with JudgeServer() as server:
            self._port = server.port  # a free one
        super().__init__(folder, dns_server.url("judge", self._port), "")
        self._dns_server = dns_server
        self._hosts = {}

    def start(self):
        host = f"127.0.0.{len(self.processes) + 2}"
        process = self._started(f"{host}:{self._port}")
        self._hosts[process] = host
        self._tell()
        process.since = time.monotonic()
        return process

    def stop(self, process):
        del self._hosts[process]
        self._tell()
        super().stop(process)

    def _tell(self):
        self._dns_server.set(judge=self._hosts.values())


@pytest.fixture(params=["file", "etcd", "ray", "dns"])
def fleet(request, tmp_path):
    """No servers yet, and an empty registry under a name that no other test uses."""
    name = f"exp/{uuid.uuid4().hex[:8]}/judge"
    if request.param == "file":
        made = Fleet(tmp_path, f"file://{tmp_path}/{name}")
    elif request.param == "etcd":
        made = Fleet(tmp_path, request.getfixturevalue("etcd").url(name))
    elif request.param == "ray":
        address = request.getfixturevalue("ray_address")
        made = Fleet(tmp_path, f"ray://{name}", f"ray://{name}?address={address}&timeout=30")
    else:
        made = FleetInDns(tmp_path, request.getfixturevalue("dns_server"))
    with made:
        yield made


def scored(url, numbers, **settings):
    """The details of the rows with these numbers; eight consecutive ones are siblings."""
    groups = [number // SIBLINGS for number in numbers]
    settings = {"structured_output": "off", "return_details": True, "registry_refresh": REFRESH_S, **settings}
    return compute_score_batched(
        ["math"] * len(numbers),
        [f"As candidate-{number} I count the apples, and {number} are left." for number in numbers],
        [f"By reference-{group} there are {group} apples left." for group in groups],
        [{"problem": f"This is problem-{group}: how many apples are left?"} for group in groups],
        server_url=url,
        **settings,
    )


def is_right(details, numbers):
    """Whether each row was judged, and got its own score."""
    right = [SCORE(number // SIBLINGS, number // SIBLINGS, number) for number in numbers]
    return all(row["judge_ok"] for row in details) and [row["score"] for row in details] == pytest.approx(right)


def outcomes(details):
    return {(row["judge_outcome"], row["judge_reason"]) for row in details}


def test_a_step_is_scored_while_one_server_is_killed_one_moves_and_one_joins(fleet):
    killed, moves, stays = [fleet.start() for _ in range(3)]
    with ThreadPoolExecutor(1) as thread:
        scoring = thread.submit(scored, fleet.url, range(ROWS), batch_size=BATCH)
        reached(lambda: fleet.asked() > 0.10 * ROWS or scoring.done())
        killed.end(signal.SIGKILL)  # its entry stays, until its lease runs out; in DNS to the end
        reached(lambda: fleet.asked() > 0.15 * ROWS or scoring.done())
        fleet.stop(moves)
        moved = fleet.start()
        reached(lambda: fleet.asked() > 0.25 * ROWS or scoring.done())
        joined = fleet.start()
        details = scoring.result(3 * PATIENCE_S)
        ended = time.monotonic()

    assert outcomes(details) == {("judged", "")}
    assert is_right(details, range(ROWS))
    asked = {process.url: {number for _, number in process.asked()} for process in fleet.processes}
    assert all(number in asked[row["judge_server"]] for number, row in enumerate(details))
    # No server is slow here: rows that are asked once more for being late show how busy this machine is otherwise, and
    # come on top of what the changes cost.
    late = sum(row["judge_hedged"] for row in details)
    assert fleet.asked() - ROWS <= 0.03 * ROWS + min(late, 0.02 * ROWS)
    assert sum(row["judge_attempts"] for row in details) - ROWS <= 0.03 * ROWS + min(late, 0.02 * ROWS)

    shares, total = fleet.shares(joined.since + 2 * REFRESH_S, ended)
    assert total > 0.1 * ROWS, "it was over before there was anything to share"
    up = {process.url for process in (stays, moved, joined)}
    assert {url for url, share in shares.items() if share} == up
    assert all(0.5 / len(up) <= shares[url] <= 1.5 / len(up) for url in up), shares


def test_a_step_that_begins_before_its_servers_waits_for_them(fleet, caplog):
    with ThreadPoolExecutor(1) as thread:
        scoring = thread.submit(scored, fleet.url, range(64))
        reached(lambda: f"for a judge server: {fleet.url}" in caplog.text or scoring.done())
        fleet.start()
        details = scoring.result(PATIENCE_S)
    assert outcomes(details) == {("judged", "")}
    assert is_right(details, range(64))


def test_a_registry_that_stays_empty_is_named_in_each_row_that_falls_back(fleet):
    details = scored(fleet.url, range(16), startup_timeout=0.5, outage_grace=0.1)
    assert outcomes(details) == {("fallback", f"there is no judge server: {fleet.url} lists none")}
    assert min(row["judge_latency_s"] for row in details) >= 0.5


def test_servers_that_have_all_left_are_not_waited_for_as_long_as_those_that_have_yet_to_come(tmp_path):
    url = f"file://{tmp_path}/judge"
    settings = {"registry_refresh": 0.1, "outage_grace": 0.1, "startup_timeout": 10 * PATIENCE_S}
    with JudgeServer(judge="REWARD: 0.5") as server, register(url, server.url):
        assert outcomes(scored(url, range(16), **settings)) == {("judged", "")}
        assert lookup(url) == [server.url]
    gone = {("fallback", f"there is no judge server: {url} lists none")}
    reached(lambda: outcomes(scored(url, range(16), **settings)) == gone)


def test_a_registry_that_is_down_for_a_while_leaves_the_servers_that_are_known(own_etcd, caplog):
    url = own_etcd.url("exp/trial/judge")
    with JudgeServer(judge="REWARD: 0.5") as server, register(url, server.url, ttl=1):
        for said, change in (
            ("", lambda: None),
            (f"{url}: etcd cannot be asked", own_etcd.stop),
            (f"{url} answers again", own_etcd.start),
        ):
            change()
            reached(lambda said=said: said in caplog.text)
            assert outcomes(scored(url, range(16), registry_refresh=0.1)) == {("judged", "")}
