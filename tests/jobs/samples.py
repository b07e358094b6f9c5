"""Requests and pictures for tests that only need some."""

from jobs.queue.leases import Lease, Leases
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName
from jobs.status.job import StoredImage

RESOLVED = ResolvedRequest(
    prompt="a red apple",
    negative_prompt="",
    model="pocket",
    width=64,
    height=64,
    steps=25,
    cfg_scale=4.0,
    sampler=SamplerName.DDIM,
    seed=7,
    num_images=1,
    guidance=None,
    timeout_s=60,
)
ORIGINAL = GenerateRequest(prompt="a red apple")


def resolved(prompt: str) -> ResolvedRequest:
    """A request that can be told from others by its prompt."""
    return RESOLVED.model_copy(update={"prompt": prompt})


def submission(job_id: str, *, most: int = 100, key: str = "") -> list[str | int]:
    """Arguments of the script that stores a job."""
    return [job_id, RESOLVED.model_dump_json(), most, key, "digest", 60, "anonymous:normal", 4, 50, "pocket"]


def pictures_of(lease: Lease) -> tuple[StoredImage, ...]:
    """What an execution that succeeded would have stored."""
    key = f"{lease.artifact_prefix}/0.png"
    return (StoredImage(index=0, seed=7, width=64, height=64, key=key, clip_score=0.25),)


def claimed(leases: Leases, job_id: str) -> Lease:
    """The lease of a job that can be claimed."""
    lease = leases.claim(job_id)
    assert lease is not None
    return lease
