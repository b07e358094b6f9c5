"""The secret for receivers of webhooks."""

from fastapi import APIRouter
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.errors import LodestarError
from jobs.wire import Wire

router = APIRouter(prefix="/v1/webhooks", tags=["operation"], route_class=OwnRoute)


class SecretNotServedError(LodestarError):
    """The secret allows forging messages, so the API keeps it unless the operator allows otherwise."""

    type = "secret_not_served"


class WebhookSecret(Wire):
    """The secret that verifies messages."""

    key: str = Field(
        description="For a verifier of Standard Webhooks only; keep it secret.",
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
    )


@router.get(
    "/secret",
    summary="Get the webhooks' secret",
    responses=documented("secret_not_served", "missing_scope", "host_not_allowed", "queue_unavailable"),
)
@needs(Scope.JOBS_WRITE)
async def get_webhook_secret(services: TheServices) -> WebhookSecret:
    """The secret that signs webhook messages, if the operator allows its disclosure over HTTP."""
    if not services.settings.serve_webhook_secret:
        raise SecretNotServedError(
            "on the server's machine, lodestar webhook-secret prints it; with LODESTAR_SERVE_WEBHOOK_SECRET=true this "
            "route answers"
        )
    secrets = await run_in_threadpool(services.webhook_secrets)
    return WebhookSecret(key=secrets[0])
