"""Renders the chart as `helm template` would; ``python -m tests.deploy.helm.chart`` renders the examples anew."""

from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

from tests.deploy.dockerfile import ROOT

HELM = ROOT / "deploy" / "helm"
CHART, EXAMPLES, RENDERED = HELM / "lodestar", HELM / "examples", HELM / "rendered"
NAMES = tuple(sorted(file.stem for file in EXAMPLES.glob("*.yaml")))
RELEASE, NAMESPACE = "lodestar", "images"
HEAD = "# Made of deploy/helm/examples/{name}.yaml by `make chart`.\n"

Manifest = dict[str, Any]


def values_of(name: str) -> dict[str, Any]:
    """The values of an example."""
    values: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    return values


def render(values: dict[str, Any]) -> str:
    """All manifests as one stream, in the order of their templates.

    Raises:
        HelmError: the values do not fit the schema, or a template refuses them.
    """
    with helm_python.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    parts = [text.strip() for path, text in sorted(files.items()) if path.endswith(".yaml")]
    return "\n---\n".join(part.removeprefix("---").strip() for part in parts if part) + "\n"


@cache
def example(name: str) -> str:
    """The rendering of an example as a file."""
    return HEAD.format(name=name) + render(values_of(name))


@cache
def manifests(text: str) -> tuple[Manifest, ...]:
    """The manifests of a stream, which are not to be changed."""
    return tuple(manifest for manifest in yaml.load_all(text, yaml.CSafeLoader) if manifest)


def of_kind(name: str, *kinds: str) -> list[Manifest]:
    """The manifests of some kinds of an example."""
    return [manifest for manifest in manifests(example(name)) if manifest["kind"] in kinds]


def container(deployment: Manifest) -> Manifest:
    """The only container of a Deployment."""
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def environment(deployment: Manifest) -> dict[str, str]:
    """The environment of a Deployment, as far as it is plain values."""
    return {each["name"]: each["value"] for each in container(deployment)["env"] if "value" in each}


def write() -> None:
    """Write the renderings of all examples."""
    RENDERED.mkdir(exist_ok=True)
    for name in NAMES:
        Path(RENDERED / f"{name}.yaml").write_text(example(name))


if __name__ == "__main__":
    write()
