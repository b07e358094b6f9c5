"""The pools of workers, and the work that waits for each: what an autoscaler needs."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.errors import UnknownPoolError
from jobs.status.workers import PoolInfo, PoolList

Name = Annotated[str, Path(description="Name of the pool.", examples=["a100"])]

router = APIRouter(prefix="/v1/pools", tags=["operation"], route_class=OwnRoute)


@router.get("", summary="List pools", responses=documented("queue_unavailable"))
@needs(Scope.METRICS)
def list_pools(services: TheServices) -> PoolList:
    """The pools of `LODESTAR_POOLS`, and those that only their workers know."""
    return PoolList(data=services.metrics.pools.read(services.workers.alive()))


@router.get("/{pool}", summary="Get a pool", responses=documented("unknown_pool", "queue_unavailable"))
@needs(Scope.METRICS)
def get_pool(services: TheServices, pool: Name) -> PoolInfo:
    """One pool. Its `work_s`, divided by the seconds in which the work should be done, is the workers to have.

    KEDA's `metrics-api` scaler reads it where there is no Prometheus.
    """
    found = next((each for each in list_pools(services).data if each.name == pool), None)
    if found is None:
        raise UnknownPoolError(f"no pool has the name {pool[:40]!r}")
    return found
