"""Work of the extras that a worker does: jobs that are deleted once they are answered."""

import io
from collections.abc import Sequence
from functools import partial

from fastapi import Request
from PIL import Image
from starlette.concurrency import run_in_threadpool

from app.api.access.caller import caller_of
from app.api.dialects.a1111.extras.resizing import Target
from app.api.dialects.stored_pictures import stored_pictures
from app.api.following.waiting import await_end, require_success
from app.api.intake.task_submission import submit_task
from app.api.pictures.store_access import reaching_the_store
from app.api.pictures.uploads import keep_made
from app.api.services import Services, services_of
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.pictures.reader import to_png
from jobs.queue.submission import new_job_id
from jobs.requests.enlarging import HiresUpscaler
from jobs.requests.tasks import DescribeTask, Description, EnlargeTask, LargerPicture, Task
from jobs.status.job import Job
from jobs.storage.job_files import BroughtFiles

TIMEOUT_S = 3600.0  # of enlarging, which takes a CPU minutes for a large picture


async def enlarged(
    request: Request, network: HiresUpscaler, pictures: Sequence[Image.Image], targets: Sequence[Target]
) -> list[Image.Image]:
    """Pictures at other sizes, by a Real-ESRGAN network.

    Raises:
        LodestarError: the job is refused, or fails.
    """
    job_id = new_job_id()
    keys, files = await keep_made(request, job_id, [partial(to_png, picture) for picture in pictures])
    task = EnlargeTask(
        network=network,
        fit=targets[0].fit,
        pictures=tuple(
            LargerPicture(key=key, pixels=picture.width * picture.height, width=of.width, height=of.height)
            for key, picture, of in zip(keys, pictures, targets, strict=True)
        ),
        timeout_s=TIMEOUT_S,
    )
    job = await _done(request, task, job_id, files)
    services = services_of(request)
    made = await run_in_threadpool(stored_pictures, services, job)
    await run_in_threadpool(_delete, services, job)
    return [Image.open(io.BytesIO(png), formats=["PNG"]) for png in made]


async def described(request: Request, picture: Image.Image, card: ModelCard) -> str:
    """What a picture shows, in the words that a model's CLIP finds most alike.

    Raises:
        LodestarError: the job is refused, or fails.
    """
    job_id = new_job_id()
    (key,), files = await keep_made(request, job_id, [partial(to_png, picture)])
    job = await _done(request, DescribeTask(clip=card.clip, picture=key, words_of=card.id), job_id, files)
    await run_in_threadpool(_delete, services_of(request), job)
    assert isinstance(job.result, Description)
    return job.result.caption


async def _done(request: Request, task: Task, job_id: str, files: BroughtFiles) -> Job:
    try:
        job = await submit_task(request, task, job_id, caller_of(request), files)
    except InvalidRequestError as error:
        is_batch = isinstance(task, EnlargeTask) and task.num_inputs > 1
        raise InvalidRequestError(error.message, field="imageList" if is_batch else "image") from error
    return require_success(await await_end(request, job, on_hang_up="cancel"))


def _delete(services: Services, job: Job) -> None:
    with reaching_the_store():
        services.files.delete_before(job.id, services.queue.delete)
