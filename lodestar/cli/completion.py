"""Completion of values in a shell: names of the API, and what the service of this moment has."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import typer

PATIENCE_S = 0.2  # a shell waits for the answer
MOST_JOBS = 50

Complete = Callable[[typer.Context, str], list[str]]


def presets(_: typer.Context, incomplete: str) -> list[str]:
    """Names of guidance presets."""
    from jobs.requests.presets import PRESETS

    return _beginning(incomplete, PRESETS)


def samplers(_: typer.Context, incomplete: str) -> list[str]:
    """Names of solvers."""
    from jobs.requests.samplers import SamplerName

    return _beginning(incomplete, SamplerName)


def schedules(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the noise schedules of the sampler that was given, or of any."""
    from jobs.requests.samplers import SCHEDULES

    known = {str(sampler): names for sampler, names in SCHEDULES.items()}
    given = known.get(str(context.params.get("sampler")))
    return _beginning(incomplete, given or dict.fromkeys(name for names in known.values() for name in names))


def models(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the service's models."""
    return _beginning(incomplete, (each["id"] for each in _listed(context, "/v1/models")))


def workers(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the workers that are alive."""
    return _beginning(incomplete, (each["name"] for each in _listed(context, "/v1/workers")))


def clips(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the service's CLIPs."""
    return _beginning(incomplete, next((each["clips"] for each in _listed(context, "/v1/models")), ()))


def embeddings(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the service's aesthetic embeddings."""
    return _beginning(incomplete, (each["name"] for each in _listed(context, "/v1/aesthetic-embeddings")))


def adapters(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the service's adapters."""
    return _beginning(incomplete, (each["id"] for each in _listed(context, "/v1/adapters")))


def night_ids(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the newest nights."""
    return _beginning(incomplete, (each["id"] for each in _listed(context, "/v1/nights")))


def job_ids(*statuses: str) -> Complete:
    """Completes ids of the newest jobs, of these statuses or of any."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        query = "".join(f"&status={status}" for status in statuses)
        jobs = _listed(context, f"/v1/jobs?limit={MOST_JOBS}{query}")
        return _beginning(incomplete, (job["id"] for job in jobs))

    return complete


def _beginning(incomplete: str, names: Iterable[object]) -> list[str]:
    return [name for name in map(str, names) if name.startswith(incomplete)]


def _listed(context: typer.Context, path: str) -> Iterator[dict[str, Any]]:
    """What the service lists there; nothing if it does not answer at once, for a shell shows no error."""
    import httpx

    from lodestar.http.connection import address, http_options

    url = address(context.params.get("url") or os.environ.get("LODESTAR_URL"))
    try:
        with httpx.Client(**http_options(url, None, PATIENCE_S)) as http:
            yield from http.get(path).raise_for_status().json()["data"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError):
        return
