"""What editing UNets read beside the latents: the picture to edit."""

from collections.abc import Generator
from typing import Any

from torch import Tensor

from jobs.errors import JobFailedError
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.plan import Pass
from worker.calls import Encode
from worker.events import Yield
from worker.facts import ModelFacts
from worker.sampling.inputs import SamplerInputs


def edited_channels(
    request: ResolvedRequest, model: ModelFacts, inputs: SamplerInputs, part: Pass
) -> Generator[Yield, Any, Tensor | None]:
    """The latents of the picture to edit, [1, C, h, w] on the device; None for a model that reads none.

    They are the mode of the VAE's posterior without the scale that all other latents have, as InstructPix2Pix was
    trained (Brooks et al. 2023; timothybrooks/instruct-pix2pix, ``edit_cli.py``).

    Args:
        request: of the picture.
        model: its facts.
        inputs: of the job.
        part: the pass, which is as large.

    Raises:
        JobFailedError: the model reads one, and the request has none.
    """
    if not model.sees_picture:
        return None
    canvas = inputs.edits.get((part.width, part.height))
    if canvas is None:
        raise JobFailedError(f"model {request.model!r} edits a picture, and the request has none")
    latents: Tensor = yield Encode(request.model, canvas)
    return latents / model.latent_scale
