"""Reads the pictures of a request's objectives."""

from hashlib import sha256

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jobs.errors import JobFailedError
from jobs.pictures.reader import read_picture
from jobs.requests.objectives import ImageObjective
from jobs.requests.request import ResolvedRequest
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import input_key


def read_prompts(job_id: str, request: ResolvedRequest, artifacts: ArtifactStore) -> dict[str, Tensor]:
    """The pictures of a request's objectives, uint8 [3, H, W], by the names that the objectives give them.

    Raises:
        JobFailedError: one has changed since the job was submitted.
        UnknownImageError: one is gone.
        OSError: the artifact store cannot be reached.
    """
    objectives = request.guidance.objectives if request.guidance else ()
    asked = {each.image: each for each in objectives if isinstance(each, ImageObjective)}
    return {image: levels(_opened(job_id, each, artifacts)) for image, each in asked.items()}


def levels(picture: Image.Image) -> Tensor:
    """An RGB picture as uint8 [3, H, W], a quarter of its size in float32."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _opened(job_id: str, objective: ImageObjective, artifacts: ArtifactStore) -> Image.Image:
    if objective.digest is None:  # of an older version, which kept the file in the request
        return read_picture(objective.data, "a picture to be guided by")
    png = artifacts.get(input_key(job_id, objective.digest))
    if sha256(png).hexdigest() != objective.digest:
        raise JobFailedError(
            "a picture to be guided by is not the one that it was when the job was submitted"
        )
    return read_picture(png, "a stored picture")
