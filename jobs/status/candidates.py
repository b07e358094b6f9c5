"""The candidates of a best-of-n job in the job's hash.

Each is a field of its own, written by the execution that made it. Those of an execution that has lost the job do not
count.
"""

from collections.abc import Mapping, Sequence

from jobs.db.times import now_us
from jobs.requests.request import ResolvedRequest
from jobs.requests.selection import rank_scores
from jobs.requests.tasks import Task
from jobs.status import links
from jobs.status.job import Candidate, JobStatus, StoredImage

_FIELD = "candidate:"


def field_of(image: StoredImage) -> str:
    """The hash's field for a candidate."""
    return f"{_FIELD}{image.index}"


def load_candidates(record: Mapping[str, str]) -> tuple[StoredImage, ...]:
    """The candidates that the present execution, or the last one, has made so far."""
    fence = record.get("fence", "")
    made = (
        StoredImage.model_validate_json(value, extra="ignore")
        for key, value in record.items()
        if key.startswith(_FIELD)
    )
    of_fence = (image for image in made if image.key.split("/")[1] == fence)
    return tuple(sorted(of_fence, key=lambda image: image.index))


def load_rejected(record: Mapping[str, str], images: Sequence[StoredImage]) -> tuple[StoredImage, ...]:
    """The candidates of a job that has succeeded which are not among its images, while their files are there."""
    if int(record.get("rejected_until_us", 0)) <= now_us():
        return ()
    kept = {image.index for image in images}
    return tuple(image for image in load_candidates(record) if image.index not in kept)


def to_candidates(
    job_id: str,
    record: Mapping[str, str],
    request: ResolvedRequest | Task,
    status: JobStatus,
    images: Sequence[StoredImage],
) -> tuple[Candidate, ...]:
    """The candidates as callers see them."""
    if not isinstance(request, ResolvedRequest) or request.select is None:
        return ()
    made = load_candidates(record)
    kept = {image.index for image in images}
    has_chosen = status is JobStatus.SUCCEEDED
    there = kept | {image.index for image in (made if not has_chosen else load_rejected(record, images))}
    return tuple(
        Candidate(
            index=image.index,
            seed=image.seed,
            clip_score=image.clip_score,
            aesthetic_score=image.aesthetic_score,
            score=round(score, 4),
            kept=image.index in kept if has_chosen else None,
            url=links.here(links.image(job_id, image.index))
            if image.index in there and status in {JobStatus.RUNNING, JobStatus.SUCCEEDED}
            else None,
        )
        for image, score in zip(made, rank_scores(made, request.select.by), strict=True)
    )
