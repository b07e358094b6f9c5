"""The chart: what it renders, whether Kubernetes would take it, and whether it means what the code means."""

import re
from collections.abc import Iterator
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import pytest
import typer.main
import yaml

from app.api.settings import ApiSettings
from app.cli.main import cli
from jobs.status.pools import parse_pools
from tests.blocks import blocks
from tests.deploy.dockerfile import stages
from tests.deploy.helm.chart import (
    CHART,
    NAMES,
    NAMESPACE,
    RENDERED,
    Manifest,
    container,
    environment,
    example,
    manifests,
    of_kind,
    render,
    values_of,
)
from tests.deploy.helm.foreign import SPECS
from worker.settings import WorkerSettings

VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
TO_LEAVE_S = 30

every_example = pytest.mark.parametrize("name", NAMES)


def deployments(name: str) -> list[Manifest]:
    return of_kind(name, "Deployment")


def workers(name: str) -> list[Manifest]:
    return [each for each in deployments(name) if "worker" in each["metadata"]["name"]]


def api(name: str) -> Manifest:
    (only,) = [each for each in deployments(name) if each not in workers(name)]
    return only


def labels(deployment: Manifest) -> dict[str, str]:
    found: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return found


def selects(selector: dict[str, Any], deployment: Manifest) -> bool:
    return bool(selector["matchLabels"].items() <= labels(deployment).items())


@every_example
def test_the_rendering_of_an_example_is_the_one_in_the_repository(name: str) -> None:
    assert (RENDERED / f"{name}.yaml").read_text() == example(name), (
        "run `make chart` and look at the difference"
    )


def test_every_rendering_has_an_example() -> None:
    assert sorted(file.stem for file in RENDERED.glob("*.yaml")) == list(NAMES)
    assert len(NAMES) >= 3


@pytest.mark.parametrize("version", VERSIONS)
@every_example
def test_kubernetes_takes_every_manifest(name: str, version: str) -> None:
    for manifest in manifests(example(name)):
        spec = SPECS.get((manifest["apiVersion"], manifest["kind"]))
        if spec is not None:
            jsonschema.validate(manifest["spec"], spec)
        else:  # of a kind that it does not know, it only warns
            kubernetes_validate.validate(manifest, version, strict=True)


def test_helm_lints_the_chart_without_a_finding_that_matters() -> None:
    report = helm_python.lint(str(CHART), values_of("minimal"), strict=True)
    assert [each for each in report["messages"] if each["severity"] > 1] == []
    assert report["errors"] == []


@every_example
def test_no_pod_has_more_rights_than_it_needs(name: str) -> None:
    pods = [each["spec"]["template"]["spec"] for each in deployments(name)]
    pods += [each["spec"] for each in of_kind(name, "Pod")]
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in pod["containers"]:
            assert each["securityContext"] == RESTRICTED
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


@every_example
def test_every_deployment_has_a_budget_and_a_policy_of_each_direction(name: str) -> None:
    for deployment in deployments(name):
        budgets = [each["spec"] for each in of_kind(name, "PodDisruptionBudget")]
        (own,) = [each for each in budgets if selects(each["selector"], deployment)]
        assert own["maxUnavailable"] == 1
        policies = [each["spec"] for each in of_kind(name, "NetworkPolicy")]
        mine = [each for each in policies if selects(each["podSelector"], deployment)]
        assert any(each["policyTypes"] == ["Ingress", "Egress"] and "egress" not in each for each in mine)
        ports = {rule["ports"][0]["port"] for each in mine for rule in each.get("ingress", ())}
        assert ports == {each["containerPort"] for each in container(deployment)["ports"]}


@every_example
def test_what_is_open_to_the_internet_is_closed_to_private_networks(name: str) -> None:
    rules = [rule for each in of_kind(name, "NetworkPolicy") for rule in each["spec"].get("egress", ())]
    blocks = [peer["ipBlock"] for rule in rules for peer in rule.get("to", ()) if "ipBlock" in peer]
    wide = [block for block in blocks if block["cidr"] in ("0.0.0.0/0", "::/0")]
    assert wide
    for block in wide:
        assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(block["except"]) or "fc00::/7" in block["except"]


@every_example
def test_a_pod_is_given_more_time_to_stop_than_it_takes(name: str) -> None:
    for deployment in workers(name):
        grace = float(environment(deployment)["LODESTAR_GRACE_S"])
        pod = deployment["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] >= grace + TO_LEAVE_S
        assert deployment["spec"]["progressDeadlineSeconds"] > pod["terminationGracePeriodSeconds"]
    pod, spec = container(api(name)), api(name)["spec"]["template"]["spec"]
    pause = pod["lifecycle"]["preStop"]["sleep"]["seconds"]
    stop = int(environment(api(name))["LODESTAR_STOP_TIMEOUT_S"])
    assert spec["terminationGracePeriodSeconds"] > pause + stop


@every_example
def test_the_environment_is_of_settings_that_exist_and_are_valid(name: str) -> None:
    for deployment in deployments(name):
        settings = WorkerSettings if deployment in workers(name) else ApiSettings
        own = {key: value for key, value in environment(deployment).items() if key.startswith("LODESTAR_")}
        fields: dict[str, Any] = {key.removeprefix("LODESTAR_").lower(): value for key, value in own.items()}
        assert fields.keys() <= settings.model_fields.keys()
        settings(**fields)
        listed = [each["name"] for each in container(deployment)["env"]]
        assert len(set(listed)) == len(listed)
        assert "LODESTAR_REDIS_URL" in listed


@every_example
def test_the_api_knows_the_pools_and_each_worker_is_of_one(name: str) -> None:
    planned = {pool.name: pool.models for pool in parse_pools(environment(api(name))["LODESTAR_POOLS"])}
    members = {
        environment(each)["LODESTAR_POOL"]: tuple(
            filter(None, environment(each).get("LODESTAR_SERVE_MODELS", "").split(","))
        )
        for each in workers(name)
    }
    assert members == planned


@every_example
def test_a_worker_on_a_gpu_asks_for_one(name: str) -> None:
    for deployment in workers(name):
        gpus = container(deployment)["resources"].get("limits", {}).get("nvidia.com/gpu", 0)
        assert gpus == (environment(deployment)["LODESTAR_DEVICE"] == "cuda")


@every_example
def test_probes_ask_for_what_is_there(name: str, paths: dict[str, Any]) -> None:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container(api(name))[probe]["httpGet"]["path"] in paths
        for deployment in workers(name):
            # What the status server of a worker answers, its own tests say.
            assert container(deployment)[probe]["httpGet"]["path"] in ("/healthz", "/readyz")
            assert container(deployment)[probe]["httpGet"]["port"] == "metrics"
    assert container(api(name))["ports"][0]["containerPort"] == ApiSettings.model_fields["port"].default


@every_example
def test_pods_run_the_images_that_the_dockerfile_builds_and_their_commands_parse(name: str) -> None:
    for deployment in deployments(name):
        each = container(deployment)
        stage = "worker" if deployment in workers(name) else "api"
        assert f"lodestar-{stage}" in each["image"]
        assert "command" not in each  # so it is the image's
        (entry,) = stages()[stage].all("ENTRYPOINT")
        program, command, *rest = re.findall(r'"([^"]+)"', entry)
        assert (program, rest) == ("lodestar", [])
        arguments = [*rest, *each.get("args", [])]
        group = typer.main.get_command(cli)
        group.commands[command].make_context(command, arguments)  # type: ignore[attr-defined]


@every_example
def test_everything_that_a_pod_mounts_is_there(name: str) -> None:
    made = {(each["kind"], each["metadata"]["name"]) for each in manifests(example(name))}
    for deployment in deployments(name):
        spec = deployment["spec"]["template"]["spec"]
        volumes = {each["name"]: each for each in spec["volumes"]}
        mounts = container(deployment)["volumeMounts"]
        assert {each["name"] for each in mounts} == volumes.keys()
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in made
        writable = {each["mountPath"] for each in mounts if not each.get("readOnly")}
        assert writable <= {"/tmp", "/cache", "/data/artifacts"}
        assert ("ServiceAccount", spec["serviceAccountName"]) in made


class TestScaling:
    """Who decides on the number of pods, and by what."""

    @every_example
    def test_one_hand_sets_the_number_of_pods(self, name: str) -> None:
        scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(name, "ScaledObject")}
        scaled |= {
            each["spec"]["scaleTargetRef"]["name"] for each in of_kind(name, "HorizontalPodAutoscaler")
        }
        for deployment in deployments(name):
            assert ("replicas" in deployment["spec"]) != (deployment["metadata"]["name"] in scaled)
        assert scaled <= {each["metadata"]["name"] for each in deployments(name)}

    def test_keda_asks_the_api_for_each_pool(self, paths: dict[str, Any]) -> None:
        answer = paths["/v1/pools/{pool}"]["get"]["responses"]["200"]["content"]["application/json"]
        assert answer["schema"] == {"$ref": "#/components/schemas/PoolInfo"}
        service = {each["metadata"]["name"] for each in of_kind("ha", "Service")}
        allowed = environment(api("ha"))["LODESTAR_ALLOWED_HOSTS"].split(",")
        for scaled in of_kind("ha", "ScaledObject"):
            (trigger,) = scaled["spec"]["triggers"]
            url = re.fullmatch(
                r"http://(?P<host>(?P<service>[\w-]+)\.images\.svc):8000/v1/pools/(?P<pool>[\w-]+)",
                trigger["metadata"]["url"],
            )
            assert url is not None
            assert url["service"] in service
            assert url["host"] in allowed
            assert url["pool"] in {
                pool.name for pool in parse_pools(environment(api("ha"))["LODESTAR_POOLS"])
            }
            assert trigger["authenticationRef"]["name"] in {
                each["metadata"]["name"] for each in of_kind("ha", "TriggerAuthentication")
            }

    def test_a_pool_goes_to_zero_and_comes_back(self) -> None:
        for scaled in of_kind("gpu-keda", "ScaledObject"):
            spec = scaled["spec"]
            assert spec["minReplicaCount"] == 0
            (trigger,) = spec["triggers"]
            assert trigger["metadata"]["activationThreshold"] == "0"
            assert trigger["metadata"]["ignoreNullValues"] == "false"  # no number is no reason to stop all
            assert spec["fallback"]["replicas"] >= 1

    def test_workers_go_slowly_enough_to_finish_their_jobs(self) -> None:
        for scaled in (each for name in NAMES for each in of_kind(name, "ScaledObject")):
            down = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
            assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]
            assert scaled["spec"]["cooldownPeriod"] >= 300


def test_the_pools_of_the_page_are_values_of_the_chart() -> None:
    (block,) = [each for each in blocks() if each.page == "docs/kubernetes.md" and each.language == "yaml"]
    values = values_of("minimal") | yaml.safe_load(block.code)
    values["catalog"] = values_of("gpu-keda")["catalog"]
    made = [each for each in manifests(render(values)) if each["kind"] == "Deployment"]
    assert {each["metadata"]["name"] for each in made} == {
        "lodestar-api",
        "lodestar-worker-l4",
        "lodestar-worker-h100",
    }


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"pools": [{"name": "l4", "graceSeconds": 3}]}, "graceSeconds"),
    ({"pools": [{"name": "L4"}]}, "name"),
    ({"pools": []}, "pools"),
    ({"pools": [{"name": "l4", "device": "rocm"}]}, "device"),
    ({"keda": {"enabled": True, "trigger": "redis-lists"}}, "trigger"),
    ({"models": {"source": "image", "image": "weights:latest"}}, "image"),
    ({"redis": {"url": "memcached://x"}}, "url"),
    ({"api": {"auth": "basic"}}, "auth"),
    ({"api": {"replicas": "two"}}, "replicas"),
    ({"replicas": 2}, "replicas"),
]


@pytest.mark.parametrize(("changes", "named"), WRONG, ids=[str(wrong) for wrong, _ in WRONG])
def test_wrong_values_are_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(helm_python.HelmError, match=named):
        render({**values_of("minimal"), **changes})


def lacking() -> Iterator[tuple[dict[str, Any], str]]:
    whole = values_of("minimal")
    yield {**whole, "redis": {}}, "the chart brings no Redis"
    yield {**whole, "artifacts": {}}, "pods must share the pictures"
    yield {**whole, "models": {"source": "claim"}}, "the claim that holds the weights"
    yield {**whole, "keda": {"enabled": True}}, "where Prometheus is"
    yield {**whole, "api": {"ingress": {"enabled": True}}}, "the public name"


@pytest.mark.parametrize(("values", "said"), list(lacking()), ids=[said for _, said in lacking()])
def test_what_is_lacking_is_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(helm_python.HelmError, match=said):
        render(values)


@pytest.mark.parametrize(
    ("source", "auth", "keda", "policy"),
    [
        ("image", "keys", True, True),
        ("claim", "none", False, True),
        ("hostPath", "keys", True, False),
        ("hub", "proxy", False, False),
    ],
)
def test_kubernetes_takes_other_choices_too(source: str, auth: str, keda: bool, policy: bool) -> None:
    models = {
        "image": {"image": f"weights@sha256:{'0' * 64}"},
        "claim": {"claim": "weights"},
        "hostPath": {"hostPath": "/weights"},
        "hub": {},
    }[source]
    values = values_of("gpu-keda") | {
        "models": {"source": source, **models},
        "networkPolicy": {"enabled": policy, "redisTo": [{"podSelector": {}}]},
        "artifacts": {"claim": "pictures"},
        "monitoring": {"dashboards": True},
    }
    values["api"] = {"auth": auth, "env": {"LODESTAR_MAX_QUEUED": 5}}
    values["keda"] = values["keda"] | {"enabled": keda}
    found = manifests(render(values))
    assert any(each["kind"] == "ScaledObject" for each in found) == keda
    assert any(each["kind"] == "NetworkPolicy" for each in found) == policy
    assert sum("grafana_dashboard" in each["metadata"].get("labels", {}) for each in found) == 2
    for manifest in found:
        if (manifest["apiVersion"], manifest["kind"]) not in SPECS:
            kubernetes_validate.validate(manifest, "1.37", strict=True)


def test_a_release_of_another_name_keeps_its_names_apart() -> None:
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render(values_of("minimal"), name="studio", namespace=NAMESPACE)
    made = [each for path, text in files.items() if path.endswith(".yaml") for each in manifests(text)]
    names = {each["metadata"]["name"] for each in made}
    assert {"studio-lodestar", "studio-lodestar-api", "studio-lodestar-worker-default"} <= names
