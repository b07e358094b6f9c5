"""The external parts of CI and the images are pinned, or can be pinned by the operator."""

import re
from typing import Any

import yaml

from tests.deploy.dockerfile import ROOT

WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_every_action_is_named_by_its_commit_and_says_which_version_that_is() -> None:
    uses = re.findall(r"uses: (.*)", WORKFLOW)
    assert uses
    assert [
        line for line in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
    ] == []


def test_the_workflow_may_read_the_code_and_no_more() -> None:
    workflow = yaml.safe_load(WORKFLOW)
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_image_from_elsewhere_has_a_version_and_may_be_pinned_by_its_digest() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    (default,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+:\S+)$", dockerfile, re.MULTILINE)
    froms = re.findall(r"^FROM (\S+) AS", dockerfile, re.MULTILINE)
    assert [source for source in froms if source not in {"base", "${PYTHON_IMAGE}"}] == []
    services = COMPOSE["services"].values()
    for args in (service["build"]["args"] for service in services if "build" in service):
        assert args == {"PYTHON_IMAGE": f"${{LODESTAR_PYTHON_IMAGE:-{default}}}"}
    foreign = [service["image"] for service in services if "build" not in service]
    assert [image for image in foreign if not re.fullmatch(r"\$\{LODESTAR_\w+_IMAGE:-\S+:\S+\}", image)] == []
