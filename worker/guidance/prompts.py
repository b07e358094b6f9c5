"""Pictures that a request carries as prompts."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jobs.errors import JobFailedError

MAX_SIDE = 4096
KEPT_SIDE = 512  # more than any CLIP sees


def read_picture(file: bytes) -> Tensor:
    """A PNG, JPEG or WebP file as [3, H, W] in [0, 1], scaled down to ``KEPT_SIDE`` where it is larger.

    Raises:
        JobFailedError: it cannot be read, or is too large.
    """
    try:
        with Image.open(io.BytesIO(file), formats=("PNG", "JPEG", "WEBP")) as opened:
            if max(opened.size) > MAX_SIDE:
                raise JobFailedError(
                    f"a picture to be guided by is {opened.width} x {opened.height} pixels; {MAX_SIDE} are the most"
                )
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise JobFailedError(f"a picture to be guided by cannot be read: {error}") from error
    picture.thumbnail((KEPT_SIDE, KEPT_SIDE))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
