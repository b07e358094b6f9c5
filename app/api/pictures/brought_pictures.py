"""The pictures that a request names: read at the submission, kept beside the job, named by their digests."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from fastapi import Request
from PIL import Image
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from app.api.pictures.fetching import TIMEOUT_S
from app.api.pictures.sources import Source, find_source
from app.api.pictures.store_access import reaching_the_store
from app.api.pictures.uploads import unpacked
from app.api.services import Services, services_of
from jobs.pictures.reader import Kept, digest_of, read_picture, to_png
from jobs.requests.pictures import Picture, PictureFacts, Place, pictures_in, with_pictures
from jobs.storage.job_files import BroughtFiles, input_key

Model = TypeVar("Model", bound=BaseModel)


@dataclass
class Brought:
    """The pictures of one request, stored.

    Attributes:
        facts: what is known of each, by its name.
        stored_bytes: the size of each, by its digest.
    """

    facts: dict[str, PictureFacts] = field(default_factory=dict)
    stored_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def files(self) -> BroughtFiles:
        """Them as files of their job."""
        return BroughtFiles(inputs=tuple(self.stored_bytes), inputs_bytes=sum(self.stored_bytes.values()))


async def bring_pictures(
    request: Request, job_id: str | None, wanted: Model, caller: str
) -> tuple[Model, Brought]:
    """A request with digests in place of all its pictures, whatever fields they are in; and these, stored for a job.

    Pictures of other servers have to come within ``TIMEOUT_S`` together.

    Args:
        request: of the client.
        job_id: of the job that is about to be submitted; None stores nothing.
        wanted: the request's model.
        caller: whose uploads it may name.

    Raises:
        InvalidFileError: one is no picture that is read, or is not kept any more.
        LodestarError: as for ``find_source``.
        ArtifactsUnavailableError: they cannot be stored.
        JobCanceledError, StoppingError: as for ``unpacked``.
    """
    brought = Brought()
    names: dict[Place, str] = {}
    known: dict[tuple[str, Kept], str] = {}
    services = services_of(request)
    until_s = asyncio.get_running_loop().time() + TIMEOUT_S
    if job_id is not None:
        await run_in_threadpool(services.queue.expect_files, job_id)
    for place, picture in pictures_in(wanted).items():
        asked = str(picture), _kind(picture)
        if asked not in known:
            # One at a time: what is unpacked or encoded of a request never takes more memory than one picture.
            source = await find_source(request, picture, caller, ".".join(map(str, place)), until_s)
            png, facts = await unpacked(request, partial(_kept, source, asked[1]))
            known[asked] = name = picture.kept_as(digest_of(png))
            brought.facts[name] = facts
            if job_id is not None:
                await _store(services, job_id, name, png, brought)
        names[place] = known[asked]
    return with_pictures(wanted, names), brought


async def _store(services: Services, job_id: str, name: Picture, png: bytes, brought: Brought) -> None:
    digest = name.digest or ""
    if digest not in brought.stored_bytes:
        await run_in_threadpool(_put, services, input_key(job_id, digest), png)
        brought.stored_bytes[digest] = len(png)


def _kind(picture: Picture) -> Kept:
    if picture.is_thumbnail:
        return Kept.THUMBNAIL
    return Kept.WITH_ALPHA if picture.keeps_alpha else Kept.WHOLE


def _kept(source: Source, kind: Kept) -> tuple[bytes, PictureFacts]:
    """A picture as a PNG file of ours. One that is such a file already keeps its bytes, and so its name."""
    picture = read_picture(source.data, source.name, field=source.field, kept=kind)
    png = source.data if source.is_kept_by(kind) else to_png(picture)
    return png, PictureFacts(*picture.size, _levels(picture))


def _levels(picture: Image.Image) -> tuple[tuple[int, int], ...]:
    channels = (channel.getextrema() for channel in picture.split())
    return tuple((int(low), int(high)) for low, high in cast("Iterable[tuple[float, float]]", channels))


def _put(services: Services, key: str, png: bytes) -> None:
    with reaching_the_store():
        services.artifacts.put(key, png)
