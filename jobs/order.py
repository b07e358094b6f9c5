"""What decides the order of the waiting jobs: how much work each is, and whose share it counts against.

The order itself is kept by the scripts: see ``lua/submit.lua``.
"""

from hashlib import sha256
from math import ceil

from jobs.guidance import ResolvedGuidance
from jobs.request import Priority, ResolvedRequest
from jobs.tasks import Task

WEIGHTS = {Priority.LOW: 1, Priority.NORMAL: 4, Priority.HIGH: 16}

_UNIT_PX = 64 * 64
_DECODER_ROWS = 4  # the image decoder forwards and backwards, against one forward of the denoiser
_CUTOUT_ROWS = 0.25  # CLIP forwards and backwards on one view, likewise
_LOOK_ROWS = 0.1  # CLIP forwards alone, likewise
_TUNING_ROWS = 1.0  # the text encoder forwards, backwards and one step of Adam, likewise


def cost_of(request: ResolvedRequest | Task) -> int:
    """An estimate of a job's model work, for fair shares and foreseen times; only ratios matter.

    One unit is one row of one denoising step at 64 x 64 pixels. Classifier-free guidance doubles the rows; CLIP
    guidance adds the decoder and every cutout. The work grows with the pixels; attention's square is left out.
    """
    if not isinstance(request, ResolvedRequest):
        return max(1, ceil(request.looks * _LOOK_ROWS))
    rows = 1.0 if request.cfg_scale == 1 else 2.0
    if request.guidance is not None:
        rows += _gradients(request.guidance, request.steps) * (
            _DECODER_ROWS + _CUTOUT_ROWS * request.guidance.cutouts
        )
    drawing = request.images * request.steps * rows * max(1.0, request.width * request.height / _UNIT_PX)
    tuning = _TUNING_ROWS * request.personalization.steps if request.personalization else 0.0
    return ceil(drawing + tuning)


def _gradients(guidance: ResolvedGuidance, steps: int) -> float:
    """Gradients that guidance takes for each sampling step, on average over the run."""
    share = len(guidance.window(steps)[:: guidance.stride]) / steps
    return share * guidance.recurrences * guidance.iterations


def weight_of(priority: Priority) -> float:
    """How much of a worker's time a job gets while others want it too, against a normal one."""
    return WEIGHTS[priority] / WEIGHTS[Priority.NORMAL]


def flow_of(caller: str, priority: Priority) -> str:
    """The flow that a job's work is counted against: one for each caller and priority.

    Args:
        caller: who asks, in whatever way the API knows; empty for all who do not say.
        priority: of the job.
    """
    # A digest, so that what is kept in Redis tells nobody's name.
    return f"{sha256(caller.encode()).hexdigest()[:16] if caller else 'anonymous'}:{priority}"
