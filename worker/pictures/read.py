"""Reads the pictures that a request names."""

from hashlib import sha256

from PIL import Image
from torch import Tensor

from jobs.errors import JobFailedError
from jobs.pictures.reader import Kept, read_picture
from jobs.requests.pictures import Picture, pictures_in
from jobs.requests.request import ResolvedRequest
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import input_key
from worker.pictures.levels import levels


def read_named(job_id: str, request: ResolvedRequest, artifacts: ArtifactStore) -> dict[str, Tensor]:
    """The pictures of a request, in whatever fields, by the names that it gives them.

    Each is uint8 [3, H, W], sRGB, as large as it is kept; or [4, H, W] with its opacity, if its field keeps that and it
    is not opaque.

    Raises:
        JobFailedError: one has changed since the job was submitted.
        UnknownImageError: one is gone.
        OSError: the artifact store cannot be reached.
    """
    named = {str(picture): picture for picture in pictures_in(request).values()}
    return {name: levels(_opened(job_id, picture, artifacts)) for name, picture in named.items()}


def _opened(job_id: str, picture: Picture, artifacts: ArtifactStore) -> Image.Image:
    if picture.digest is None:  # of an older version, which kept the file in the request
        return read_picture(picture.data, "a picture of the request")
    png = artifacts.get(input_key(job_id, picture.digest))
    if sha256(png).hexdigest() != picture.digest:
        raise JobFailedError("a picture of the request is not the one that it was when the job was submitted")
    return read_picture(png, "a stored picture", kept=Kept.WITH_ALPHA)
