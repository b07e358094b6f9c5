"""A picture as a tensor of its levels."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def levels(picture: Image.Image) -> Tensor:
    """A picture as uint8 [C, H, W], a quarter of its size in float32."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
