"""What looks at the judges and counts them: the metrics that it reads are vLLM's, and its parts fit each other."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.deploy

COMPONENTS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "components"

# The names under which vLLM 0.32 exposes them (vllm/v1/metrics/loggers.py): counters end in _total, and histograms are
# a _bucket, a _sum and a _count.
GAUGES = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "engine_sleep_state")
COUNTERS = (
    *("prefix_cache_queries", "prefix_cache_hits", "num_preemptions", "prompt_tokens", "prompt_tokens_cached"),
    *("generation_tokens", "request_success"),
)
HISTOGRAMS = (
    *("time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"),
    *("request_queue_time_seconds", "request_inference_time_seconds", "request_prefill_time_seconds"),
    *("request_decode_time_seconds", "request_prompt_tokens", "request_generation_tokens"),
)
EXPOSED = {
    *(f"vllm:{name}" for name in GAUGES),
    *(f"vllm:{name}_total" for name in COUNTERS),
    *(f"vllm:{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")),
}


def read(name):
    return [each for each in yaml.safe_load_all((COMPONENTS / name).read_text()) if each]


def names_in(text):
    return set(re.findall(r"vllm:\w+", text))


@pytest.fixture(scope="module")
def dashboard():
    return json.loads((COMPONENTS / "monitoring/dashboard.json").read_text())


@pytest.fixture(scope="module")
def scaled_object():
    return read("autoscale-keda/scaledobject.yaml")[0]


@pytest.fixture(scope="module")
def autoscaler():
    return read("autoscale-prometheus-adapter/hpa.yaml")[0]


def test_vllm_has_the_metrics_of_the_list():
    found = importlib.util.find_spec("vllm")
    if found is None:
        pytest.skip("vLLM is not installed here")
    (package,) = found.submodule_search_locations
    source = (Path(package) / "v1/metrics/loggers.py").read_text()
    for name in (*GAUGES, *COUNTERS, *HISTOGRAMS):
        assert f'"vllm:{name}"' in source


def test_dashboard_and_autoscalers_read_only_metrics_that_vllm_has(dashboard, scaled_object):
    shown = names_in(json.dumps(dashboard))
    assert len(shown) >= 10
    assert shown <= EXPOSED
    assert names_in(json.dumps(scaled_object)) == {"vllm:num_requests_waiting", "vllm:num_requests_running"}


def test_the_dashboard_shows_what_tells_how_a_judge_does(dashboard):
    shown = names_in(json.dumps(dashboard))
    for name in (
        *("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "prefix_cache_hits_total"),
        *("generation_tokens_total", "num_preemptions_total", "e2e_request_latency_seconds_bucket"),
        "time_to_first_token_seconds_bucket",
    ):
        assert f"vllm:{name}" in shown
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for quantile in ("0.5", "0.99"):
        assert sum(f"histogram_quantile({quantile}," in query for query in queries) == 3


def test_the_dashboard_is_one_that_grafana_can_lay_out(dashboard):
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    known = {variable["name"] for variable in dashboard["templating"]["list"]} | {"__rate_interval"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) == known
    for panel in panels:
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert target["expr"].count("(") == target["expr"].count(")")


def test_grafana_s_sidecar_finds_the_dashboard():
    (kustomization,) = read("monitoring/kustomization.yaml")
    (generator,) = kustomization["configMapGenerator"]
    assert generator["files"] == ["llm-judge.json=dashboard.json"]
    assert generator["options"]["labels"]["grafana_dashboard"] == "1"


def test_a_pod_monitor_names_port_path_and_times_as_the_operator_takes_them():
    for monitor in read("monitoring/podmonitor.yaml"):
        assert (monitor["apiVersion"], monitor["kind"]) == ("monitoring.coreos.com/v1", "PodMonitor")
        assert monitor["spec"].keys() <= {"selector", "namespaceSelector", "podMetricsEndpoints", "podTargetLabels"}
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            assert endpoint.keys() == {"port", "path", "interval", "scrapeTimeout"}
            assert endpoint["path"] == "/metrics"
            assert int(endpoint["scrapeTimeout"][:-1]) < int(endpoint["interval"][:-1])


def test_keda_scales_the_judges_by_queries_that_prometheus_is_asked(scaled_object):
    assert (scaled_object["apiVersion"], scaled_object["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    spec = scaled_object["spec"]
    assert spec.keys() == {
        *("scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval"),
        *("fallback", "advanced", "triggers"),
    }
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "judge"}
    assert 1 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
    for trigger in spec["triggers"]:
        assert trigger["type"] == "prometheus"
        assert trigger["metricType"] == "AverageValue"
        assert all(isinstance(value, str) for value in trigger["metadata"].values())  # KEDA takes texts only
        assert trigger["metadata"].keys() == {"serverAddress", "query", "threshold", "ignoreNullValues"}
        assert 'namespace="llm-judge"' in trigger["metadata"]["query"]  # the overlays' namespace
    for overlay in sorted(COMPONENTS.parent.glob("overlays/*/kustomization.yaml")):
        assert yaml.safe_load(overlay.read_text())["namespace"] == "llm-judge"


def test_the_autoscaler_asks_for_metrics_that_the_adapter_makes(autoscaler):
    values = yaml.safe_load((COMPONENTS / "autoscale-prometheus-adapter/adapter-values.yaml").read_text())
    (rule,) = values["rules"]["custom"]
    series = re.compile(re.search(r'__name__=~"(.*?)"', rule["seriesQuery"])[1])
    named = rule["name"]["as"].replace("$1", r"\1")
    made = {re.sub(rule["name"]["matches"], named, name) for name in EXPOSED if series.fullmatch(name)}
    assert {metric["pods"]["metric"]["name"] for metric in autoscaler["spec"]["metrics"]} == made
    assert rule["resources"]["overrides"].keys() == {"namespace", "pod"}


def test_both_autoscalers_want_the_same(autoscaler, scaled_object):
    triggers = {
        re.search(r"vllm:(\w+)", each["metadata"]["query"])[1]: each["metadata"]["threshold"]
        for each in scaled_object["spec"]["triggers"]
    }
    targets = {
        each["pods"]["metric"]["name"].removeprefix("vllm_"): each["pods"]["target"]["averageValue"]
        for each in autoscaler["spec"]["metrics"]
    }
    assert triggers == targets
    spec = scaled_object["spec"]
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == autoscaler["spec"]["behavior"]
    assert spec["maxReplicaCount"] == autoscaler["spec"]["maxReplicas"]
    assert spec["scaleTargetRef"] == autoscaler["spec"]["scaleTargetRef"]


@pytest.mark.parametrize("name", ["autoscale-keda", "autoscale-prometheus-adapter"])
def test_the_manifest_leaves_the_number_of_judges_to_the_autoscaler(name):
    (kustomization,) = read(f"{name}/kustomization.yaml")
    (patch,) = kustomization["patches"]
    assert patch["target"]["name"] == "judge"
    assert yaml.safe_load(patch["patch"]) == [{"op": "remove", "path": "/spec/replicas"}]
