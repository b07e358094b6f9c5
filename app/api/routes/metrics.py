"""Numbers for Prometheus."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.api.access.keys.needs import needs
from app.api.intake.intake import IntakeRoute
from app.api.services import TheServices
from jobs.callers.scopes import Scope

router = APIRouter(tags=["operation"], route_class=IntakeRoute)


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Metrics in Prometheus' text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
@needs(Scope.METRICS)
def get_metrics(services: TheServices) -> Response:
    """Jobs by status, workers, and this process's request times."""
    return Response(services.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
