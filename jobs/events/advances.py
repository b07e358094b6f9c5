"""The progress of all running jobs, as their workers tell it: no stream keeps it, since the next news replaces it."""

import json
from dataclasses import dataclass

from jobs.events.events import ProgressEvent, read_event


@dataclass(frozen=True)
class Advance:
    """A step that a job has done, and the job's tenant; empty for the default one."""

    tenant: str
    event: ProgressEvent


def read_advances(message: str) -> list[Advance]:
    """What a message of the channel ``advances`` tells; see ``lua/renew_many.lua``."""
    advances = []
    for stream_id, job_id, tenant, step, steps, eta_s in json.loads(message):
        fields = {"type": "progress", "step": step, "steps": steps} | ({"eta_s": eta_s} if eta_s else {})
        event = read_event(stream_id, fields, job_id)
        assert isinstance(event, ProgressEvent)
        advances.append(Advance(tenant, event))
    return advances
