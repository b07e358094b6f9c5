"""What a night is to do, as the hash in Redis keeps it from its beginning on."""

import json
from dataclasses import dataclass

from jobs.callers.identity import Identity
from jobs.callers.record import DEFAULT_TENANT
from jobs.requests.request import ResolvedRequest
from jobs.requests.selection import Score
from jobs.requests.tasks import dump_request
from jobs.status.night import Keep, share_and_most


@dataclass(frozen=True)
class NightPlan:
    """What a night is to do.

    Attributes:
        request: of each picture, with the upscaling that the kept ones get, if any.
        hours: to draw in.
        keep: how many are kept, as in a ``NightRequest``.
        by: the score that ranks.
        identity: of the sender, who pays.
        caller: its name within its tenant.
        notes: first notes of each job.
        digest: of the request as it came.
    """

    request: ResolvedRequest
    hours: float
    keep: Keep
    by: Score
    identity: Identity
    caller: str
    notes: tuple[str, ...] = ()
    digest: str = ""

    @property
    def tenant(self) -> str:
        """Whose it is; empty for the default tenant."""
        return "" if self.identity.tenant == DEFAULT_TENANT else self.identity.tenant

    def dump(self) -> dict[str, str | int]:
        """The fields of the hash that never change."""
        share, most = share_and_most(self.keep)
        quota = self.identity.quota
        payer = {
            "name": self.identity.name,
            "via": self.identity.via,
            "key_id": self.identity.key_id,
            "quota": None if quota is None else quota.model_dump(mode="json", exclude_none=True),
        }
        return {
            "plan": dump_request(self.request),
            "keep": self.keep,
            "keep_ppm": share,
            "keep_most": most,
            "by": self.by,
            "caller": self.caller,
            "payer": json.dumps(payer),
            "notes": "\n".join(self.notes),
            "digest": self.digest,
        }
