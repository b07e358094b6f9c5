"""The Python client of a Lodestar service: ``from lodestar import Client, AsyncClient``."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lodestar.async_client import AsyncClient as AsyncClient
    from lodestar.client import Client as Client
    from lodestar.errors import ApiError as ApiError
    from lodestar.errors import ClientError as ClientError
    from lodestar.generation import AsyncGeneration as AsyncGeneration
    from lodestar.generation import Generation as Generation
    from lodestar.http.listing import Filters as Filters
    from lodestar.models import GenerateRequest as GenerateRequest
    from lodestar.models import Guidance as Guidance
    from lodestar.models import Job as Job
    from lodestar.models import JobStatus as JobStatus
    from lodestar.picture import Picture as Picture

# Loaded at their first use: the command line answers before httpx and pydantic are there.
_HOMES = {
    "ApiError": "lodestar.errors",
    "AsyncClient": "lodestar.async_client",
    "AsyncGeneration": "lodestar.generation",
    "Client": "lodestar.client",
    "ClientError": "lodestar.errors",
    "Filters": "lodestar.http.listing",
    "GenerateRequest": "lodestar.models",
    "Generation": "lodestar.generation",
    "Guidance": "lodestar.models",
    "Job": "lodestar.models",
    "JobStatus": "lodestar.models",
    "Picture": "lodestar.picture",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
