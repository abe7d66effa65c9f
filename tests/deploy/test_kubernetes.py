"""The manifests: by Kubernetes' own schemas, by `kubectl kustomize`, and by what they say of one another."""

import functools
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from llm_judge_remote.servers.registry import open_registry
from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.serving.vllm import vllm_command

pytestmark = pytest.mark.deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
KUSTOMIZATIONS = sorted(path.parent for path in KUBERNETES.rglob("kustomization.yaml"))
OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
VERSIONS = ("1.31", "1.37")
CUSTOM = {"PodMonitor", "ScaledObject"}  # whose schemas are their operators'
JUDGE = {"app.kubernetes.io/name": "llm-judge", "app.kubernetes.io/component": "judge"}
ROUTER = {**JUDGE, "app.kubernetes.io/component": "router"}


def read(path):
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def listed(folder):
    """The files and folders that a kustomization names."""
    (kustomization,) = read(folder / "kustomization.yaml")
    names = [*kustomization.get("resources", []), *kustomization.get("components", [])]
    names += [patch["path"] for patch in kustomization.get("patches", []) if "path" in patch]
    for generator in kustomization.get("configMapGenerator", []):
        names += [name.rpartition("=")[2] for name in generator["files"]]
    for generator in kustomization.get("secretGenerator", []):
        names += [f"{name}.example" for name in generator["envs"]]  # what it is a copy of
    return {(folder / name).resolve() for name in names}


def manifests():
    """Every whole manifest, as written."""
    files = [path for folder in KUSTOMIZATIONS for path in listed(folder) if path.suffix == ".yaml"]
    patches = set((KUBERNETES / "components/cpu").glob("*.yaml"))
    return [each for path in sorted(set(files) - patches) for each in read(path)]


@functools.cache
def rendered(overlay):
    """What a cluster would be given, by kind and name."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("there is no kubectl here")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(KUBERNETES, Path(folder) / "kubernetes"))
        (copy / "components/secret/secret.env").write_text("VLLM_API_KEY=of-this-test\nHF_TOKEN=\n")
        command = [kubectl, "kustomize", copy / "overlays" / overlay]
        done = subprocess.run(command, check=False, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def pod_of(workload):
    return workload["spec"]["template"]["spec"]


@functools.cache
def written(kind, name):
    (found,) = (each for each in manifests() if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def options(words):
    """What a command line sets: `--name value`, `--name=value`, and switches."""
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    pairs = zip(words, [*words[1:], "--"], strict=True)
    return {name: None if value.startswith("--") else value for name, value in pairs if name.startswith("--")}


# Whole and valid


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda path: path.name)
def test_a_kustomization_names_all_of_its_folder_and_nothing_else(folder):
    named = listed(folder)
    assert all(path.exists() for path in named)
    aside = {folder / "kustomization.yaml", folder / "adapter-values.yaml", folder / "secret.env"}
    assert {path for path in folder.iterdir() if path.is_file()} - aside <= named


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_keeps_to_the_schema(version):
    for each in manifests():
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_kubectl_makes_of_an_overlay_keeps_to_the_schema(overlay, version):
    for each in rendered(overlay).values():
        assert each["metadata"]["namespace"] == "llm-judge"
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


def test_the_schema_is_one_that_finds_errors():
    wrong = {**written("Service", "judge"), "spec": {"port": 8000}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


# One belongs to the other


def test_selectors_find_their_pods():
    for workload, labels in (("judge", JUDGE), ("judge-router", ROUTER)):
        deployment = written("Deployment", workload)
        assert deployment["spec"]["selector"]["matchLabels"] == labels
        assert labels.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        assert written("PodDisruptionBudget", workload)["spec"]["selector"]["matchLabels"] == labels
        assert written("NetworkPolicy", workload)["spec"]["podSelector"]["matchLabels"] == labels
        assert written("PodMonitor", workload)["spec"]["selector"]["matchLabels"] == labels
    for service, labels in (("judge", JUDGE), ("judge-headless", JUDGE), ("judge-router", ROUTER)):
        assert written("Service", service)["spec"]["selector"] == labels


def test_ports_are_called_by_names_that_the_pods_have():
    for workload in ("judge", "judge-router"):
        (container,) = pod_of(written("Deployment", workload))["containers"]
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        given = options(container["args"])
        assert ports["http"] == int(given["--port"]) == 8000
        assert ports.get("metrics", 29000) == int(given.get("--prometheus-port", 29000))
        probes = [container[name] for name in container if name.endswith("Probe")]
        policy = written("NetworkPolicy", workload)["spec"]["ingress"]
        monitor = written("PodMonitor", workload)["spec"]["podMetricsEndpoints"]
        used = {probe["httpGet"]["port"] for probe in probes} | {each["port"] for each in monitor}
        used |= {port["port"] for rule in policy for port in rule["ports"]}
        assert used <= ports.keys()
    for service in ("judge", "judge-headless", "judge-router"):
        assert written("Service", service)["spec"]["ports"] == [{"name": "http", "port": 8000, "targetPort": "http"}]


def test_clients_find_the_judges_by_the_headless_service():
    service = written("Service", "judge-headless")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is False
    open_registry("dns://judge-headless:8000")  # what the comment tells clients is a registry


def test_probes_wait_for_half_an_hour_of_loading_and_kill_no_busy_judge():
    (container,) = pod_of(written("Deployment", "judge"))["containers"]
    startup, readiness, liveness = (container[f"{name}Probe"] for name in ("startup", "readiness", "liveness"))
    assert startup["periodSeconds"] * startup["failureThreshold"] == 1800
    assert written("Deployment", "judge")["spec"]["progressDeadlineSeconds"] > 1800
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 120
    assert readiness["periodSeconds"] * readiness["failureThreshold"] <= 15
    assert {each["httpGet"]["path"] for each in (startup, readiness, liveness)} == {"/health"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_judge_has_time_to_end_what_it_has_begun(overlay):
    pod = pod_of(rendered(overlay)["Deployment", "judge"])
    (container,) = pod["containers"]
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    drain = int(options(container["args"])["--shutdown-timeout"])
    assert pod["terminationGracePeriodSeconds"] > before + drain


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nobody_is_root_or_has_a_token_that_is_not_needed(overlay):
    for (kind, name), each in rendered(overlay).items():
        if kind != "Deployment":
            continue
        pod = pod_of(each)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 2000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod.get("automountServiceAccountToken", True) is (name == "judge-router")
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert re.search(r":v?\d", container["image"])


def test_the_key_comes_from_the_secret_and_an_empty_one_starts_nothing():
    pod = pod_of(written("Deployment", "judge"))
    (check,), (container,) = pod["initContainers"], pod["containers"]
    (key,) = (each for each in container["env"] if each["name"] == "VLLM_API_KEY")
    assert check["env"] == [key]
    assert "optional" not in key["valueFrom"]["secretKeyRef"]
    for value, code in (("", 1), ("a key", 0)):
        done = subprocess.run(
            check["command"], check=False, env={"VLLM_API_KEY": value, "PATH": "/usr/bin:/bin"}, timeout=10
        )
        assert done.returncode == code
    example = (KUBERNETES / "components/secret/secret.env.example").read_text()
    assert re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE) == [("VLLM_API_KEY", ""), ("HF_TOKEN", "")]
    assert (KUBERNETES / ".gitignore").read_text().split() == ["secret.env"]


def test_the_secret_that_is_made_is_the_one_that_judges_read():
    made = rendered("fleet")
    (secret,) = (each for (kind, _), each in made.items() if kind == "Secret")
    (container,) = pod_of(made["Deployment", "judge"])["containers"]
    read_from = {e["valueFrom"]["secretKeyRef"]["name"] for e in container["env"] if "valueFrom" in e}
    assert read_from == {secret["metadata"]["name"]}
    assert secret["data"].keys() == {"VLLM_API_KEY", "HF_TOKEN"}


def test_only_labelled_clients_and_the_monitoring_reach_the_judges():
    client = {"matchLabels": {"llm-judge/client": "true"}}
    (rule,) = written("NetworkPolicy", "judge")["spec"]["ingress"]
    assert rule["from"] == [
        {"podSelector": client},
        {"namespaceSelector": client, "podSelector": client},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
    ]
    router = written("Deployment", "judge-router")["spec"]["template"]["metadata"]["labels"]
    assert client["matchLabels"].items() <= router.items()


def test_judges_share_memory_and_a_cache_of_models():
    pod = pod_of(written("Deployment", "judge"))
    (container,) = pod["containers"]
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert mounts.keys() >= {"/dev/shm", "/models"}
    assert set(mounts.values()) == volumes.keys()
    assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
    claim = volumes[mounts["/models"]]["persistentVolumeClaim"]["claimName"]
    assert written("PersistentVolumeClaim", claim)["spec"]["accessModes"] == ["ReadWriteMany"]
    assert {"name": "HF_HOME", "value": "/models"} in container["env"]


def test_the_judges_are_those_of_the_preset():
    spec = ServerSpec.load(DEPLOY / "presets/qwen3-32b-1xh100.yaml")
    (container,) = pod_of(written("Deployment", "judge"))["containers"]
    given, preset = options(["--model", *container["args"]]), options(vllm_command(spec))
    assert {"--dtype": "auto", **given} == {**preset, "--host": "0.0.0.0", "--shutdown-timeout": "120"}
    assert container["resources"]["limits"]["nvidia.com/gpu"] == str(spec.gpus)


def test_the_small_variant_wants_no_gpu():
    pod = pod_of(rendered("cpu")["Deployment", "judge"])
    assert "nvidia.com/gpu" not in json.dumps(pod)
    (container,) = pod["containers"]
    assert container["image"] == "vllm/vllm-openai-cpu:v0.32.0"
    assert rendered("cpu")["PersistentVolumeClaim", "judge-models"]["spec"]["accessModes"] == ["ReadWriteOnce"]
