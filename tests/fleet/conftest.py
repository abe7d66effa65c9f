"""Real parts: etcd, Ray, a DNS server. What is missing here is an error: who asks for these tests wants them run."""

import pytest
import ray
import services


@pytest.fixture(scope="session")
def etcd(tmp_path_factory):
    """A running etcd that everybody may write to."""
    with services.Etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture
def own_etcd(tmp_path):
    """One that a test may stop and start."""
    with services.Etcd(tmp_path / "etcd") as running:
        yield running


@pytest.fixture
def guarded_etcd(tmp_path):
    """One that wants a user and password, and may be stopped and started."""
    with services.Etcd(tmp_path / "guarded", password="open sesame") as running:
        yield running


@pytest.fixture
def tls_etcd(tmp_path):
    """One that speaks TLS, and wants to see a certificate."""
    with services.Etcd(tmp_path / "tls", certificate=services.make_certificate(tmp_path)) as running:
        yield running


@pytest.fixture
def dns_server(tmp_path):
    """A running DNS server without a single judge."""
    with services.DnsServer(tmp_path / "dns") as running:
        yield running


@pytest.fixture(scope="session")
def ray_address():
    """This process is connected to a local Ray cluster; its address, for other processes."""
    context = ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield context.address_info["gcs_address"]
    ray.shutdown()
