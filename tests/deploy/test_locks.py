"""The locks: exact, hashed, free of addresses, and still what pyproject.toml asks for."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jobs.distribution import NAMES
from tests.deploy.dockerfile import ROOT

LOCKS = {
    "requirements.lock": ["api", "worker", "s3", "c2pa", "safety", "training", "dev"],
    "requirements-api.lock": ["api", "s3", "c2pa"],
    "requirements-worker.lock": ["worker", "s3", "safety", "cuda"],
}

every_lock = pytest.mark.parametrize("name", [*LOCKS, "requirements-build.lock"])


def text(name: str) -> str:
    return (ROOT / "deploy" / name).read_text()


def pinned(name: str) -> dict[str, str]:
    """Version of each package in a lock."""
    return {canonicalize_name(n): v for n, v in re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", text(name))}


def requirements(extras: list[str]) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [
        *project["dependencies"],
        *(line for e in extras for line in project["optional-dependencies"][e]),
    ]
    return [Requirement(line) for line in lines]


@every_lock
def test_a_lock_pins_every_package_with_a_hash(name: str) -> None:
    entries = [part for part in re.split(r"(?m)^(?=[\w])", text(name)) if not part.startswith("#")]
    assert len(entries) == len(pinned(name)) > 0
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@every_lock
def test_a_lock_names_no_address_and_no_folder_of_the_machine_it_was_made_on(name: str) -> None:
    assert (
        re.findall(r"https?:|file:|--(?:extra-)?index|--find-links|--trusted-host|\s/\w+/", text(name)) == []
    )


@pytest.mark.parametrize(("name", "extras"), LOCKS.items())
def test_a_lock_satisfies_what_the_package_declares(name: str, extras: list[str]) -> None:
    versions = pinned(name)
    unmet = [
        str(requirement)
        for requirement in requirements(extras)
        if not requirement.specifier.contains(
            versions.get(canonicalize_name(requirement.name), "0"), prereleases=True
        )
    ]
    assert unmet == [], "run `make lock`"


@pytest.mark.parametrize(
    "name", ["requirements-api.lock", "requirements-worker.lock", "requirements-build.lock"]
)
def test_the_images_get_the_versions_that_were_tested(name: str) -> None:
    tested = pinned("requirements.lock")
    untested = {package for package, version in pinned(name).items() if tested.get(package) != version}
    assert untested <= {"xformers"}, "run `make lock`"  # it needs a CUDA device to be of any use


def test_the_api_image_has_no_torch() -> None:
    assert (
        pinned("requirements-api.lock")
        .keys()
        .isdisjoint({"torch", "diffusers", "transformers", "open-clip-torch"})
    )


def test_rq_is_pinned_exactly_because_its_worker_internals_are_overridden() -> None:
    (rq,) = (requirement for requirement in requirements([]) if requirement.name == "rq")
    assert str(rq.specifier) == "==3.0.0"


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("requirements-api.lock", ["app.cli.main", "app.api.main"]),
        (
            "requirements-worker.lock",
            ["app.cli.main", "app.cli.worker_health", "app.stack.stack", "worker.serving.consumer"],
        ),
    ],
)
def test_an_image_has_every_package_that_its_process_imports(name: str, modules: list[str]) -> None:
    ours = pinned(name).keys() | set(NAMES)
    absent = [
        module
        for module, distributions in packages_distributions().items()
        if ours.isdisjoint(map(canonicalize_name, distributions))
    ]
    code = f"import sys; sys.modules.update(dict.fromkeys({absent!r})); import {', '.join(modules)}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
