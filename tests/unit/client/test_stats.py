import pytest

from llm_judge_remote.client.stats import Counters, ServerStats
from llm_judge_remote.servers.server import Server


@pytest.fixture
def server():
    made = Server("http://s", most=64)
    made.in_flight = 3
    for number in range(100, 0, -1):
        made.latencies.add(number / 100)
    return made


def test_a_server_is_described_as_it_is_now(server):
    server.took_chunk()
    server.chunks.size = 8
    assert ServerStats.of(server) == ServerStats(
        address="http://s",
        is_up=True,
        in_flight=3,
        limit=64,
        chunk_size=8,
        has_batch_endpoint=True,
        service_p50_s=0.51,
        service_p99_s=1.0,
    )


def test_a_server_that_is_down_and_takes_less_says_so(server):
    server.limit.timed_out(64)
    for _ in range(5):
        server.failed(100.0, "refused")
    described = ServerStats.of(server)
    assert (described.is_up, described.limit) == (False, 32)


def test_a_server_without_a_batch_endpoint_gets_no_chunks(server):
    server.chunks.size = 8
    server.has_batch_endpoint = False
    assert ServerStats.of(server).chunk_size == 1


def test_what_has_not_been_tried_is_not_known():
    described = ServerStats.of(Server("http://s"))
    assert (described.has_batch_endpoint, described.service_p50_s, described.service_p99_s) == (None, 0.0, 0.0)


def test_a_snapshot_holds_the_counts_and_does_not_change_with_them(server):
    counters = Counters()
    names = ["requests", "chunks", "sent", "retried", "rejected", "split", "hedged", "hedges_won", "shared", "dropped"]
    for number, name in enumerate(names):
        setattr(counters, name, number)
    snapshot = counters.snapshot(waiting=20, cached=30, servers=())
    counters.requests = 99
    assert [getattr(snapshot, name) for name in names] == list(range(10))
    assert (snapshot.waiting, snapshot.cached, snapshot.in_flight, snapshot.servers) == (20, 30, 0, ())


def test_what_is_in_flight_is_counted_over_all_servers(server):
    servers = (ServerStats.of(server), ServerStats.of(server))
    assert Counters().snapshot(waiting=0, cached=0, servers=servers).in_flight == 6


def test_waits_and_services_are_summed_up_by_their_quantiles():
    counters = Counters()
    for number in range(1000):
        counters.queued.add(number / 1000)
        counters.service.add(number / 100)
    snapshot = counters.snapshot(waiting=0, cached=0, servers=())
    quantiles = snapshot.queue_p50_s, snapshot.queue_p99_s, snapshot.service_p50_s, snapshot.service_p99_s
    assert quantiles == pytest.approx((0.5, 0.99, 5.0, 9.9))
