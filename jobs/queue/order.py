"""The cost of a job and the flow that it counts against, which decide the order of the queue.

The scripts keep the order itself: see ``lua/submit.lua``.
"""

from hashlib import sha256
from itertools import accumulate, pairwise
from math import ceil

from jobs.requests.enlarging import LATENT_MODES
from jobs.requests.guidance import ResolvedGuidance
from jobs.requests.objectives import PROMPTS, ImageObjective, TextObjective
from jobs.requests.presets import PRESETS
from jobs.requests.request import Priority, ResolvedRequest
from jobs.requests.samplers import TWO_CALLS, SamplerName
from jobs.requests.schedules import most_cutouts, parse_schedule, value_at
from jobs.requests.start.plan import Pass, StepPlan
from jobs.requests.tasks import EnlargeTask, Task

WEIGHTS = {Priority.LOW: 1, Priority.NORMAL: 4, Priority.HIGH: 16}

_UNIT_PX = 64 * 64
# Model calls against one row of one denoising step, the way back included where there is one, as measured on two cores
# with the pocket model: by `python -m benchmarks.unit_costs`, and by the presets' costs in docs/guidance.md.
_PULL_BACK = 2.0  # a row back through the denoiser
_GRADIENT = {"vae": 2.5, "linear": 0.1}  # through the decoder of a picture
_CUTOUT = 0.25  # embedded and compared by one CLIP
_DECODE = 0.9  # a picture, finished or as a preview
_ENCODE = 0.4  # a picture to start from
_EMBEDDING = 0.25  # of a picture by a CLIP
_TEXT = 0.15  # read by a CLIP or by the text encoder
_FIT = 1.0  # one step of fitting the text encoder to one window of a prompt
_ENLARGE = {"x4plus": 40.0, "x4plus-anime": 15.0}  # a picture, on the CPU

_CONTROL = 0.4  # of a row: half a UNet, read once
_ADAPTER = 0.1  # of a row, of rank 8 on every layer
_IMAGE_PROMPTS = 0.75  # of a row, whatever their number: the network runs without its trace

_WINDOW_CHARS = 300  # of a prompt, roughly: as much as a text encoder reads at a time


def cost_of(request: ResolvedRequest | Task) -> int:
    """An estimate of a job's model work, for fair shares and foreseen times; only ratios matter.

    One unit is one row of one denoising step at 64 x 64 pixels. All costs grow with the pixels. So do those of cutouts,
    since models of larger pictures come with larger CLIPs. The quadratic cost of attention is left out. The estimate
    assumes a job that runs to its end; guidance whose patience ends costs less.
    """
    if isinstance(request, EnlargeTask):
        return max(1, ceil(sum(_enlarging_of(each.pixels, request.network) for each in request.pictures)))
    if not isinstance(request, ResolvedRequest):
        return max(1, ceil(request.num_inputs * _EMBEDDING))
    each = _between(request) + sum(
        _area(part) * (_sampling(request, part.plan) + _DECODE * previews)
        for part, previews in zip(request.passes, _previews(request), strict=True)
    )
    first, last = _area(request.passes[0]), _area(request.passes[-1])
    pictures = request.num_images * (each + last * _finishing(request))
    return max(
        1, ceil(first * _encoding(request) + pictures + last * _enlarging(request) + _reading(request))
    )


def _area(part: Pass) -> float:
    return max(1.0, part.width * part.height / _UNIT_PX)


def calls_of(sampler: SamplerName, steps: int) -> list[int]:
    """The sampler's calls of the denoiser at each step that is run."""
    calls = [1] * steps
    if sampler in TWO_CALLS:
        calls = [2] * (steps - 1) + [1]
    elif sampler is SamplerName.PNDM and steps > 1:
        calls[0] = 2
    return calls


def _sampling(request: ResolvedRequest, plan: StepPlan) -> float:
    """Cost of the steps of one pass of a picture."""
    rows = request.rows * (1 + _conditions(request))
    cost = [rows * calls for calls in calls_of(request.sampler, plan.run)]
    guidance = request.guidance
    if guidance is not None:
        cutouts = _Cutouts(guidance)
        for index in guidance.window(plan.planned, plan.first)[:: guidance.stride]:
            gradient = _gradient(guidance, cutouts, index / plan.planned, rows)
            step = index - plan.first
            cost[step] = guidance.recurrences * (cost[step] + gradient)
    return sum(cost)


def _conditions(request: ResolvedRequest) -> float:
    """Cost of what a row is told of besides texts."""
    return (
        _CONTROL * len(request.controls)
        + _ADAPTER * len(request.adapters)
        + _IMAGE_PROMPTS * any(prompt.adapter is not None for prompt in request.image_prompts)
    )


def _gradient(guidance: ResolvedGuidance, cutouts: "_Cutouts", progress: float, rows: float) -> float:
    """Cost of one gradient of guidance."""
    number = cutouts.at(progress)
    if number is None:
        return 0.0
    samples = guidance.smoothing_samples if guidance.smoothing else 1
    times = bool(guidance.rho) + (guidance.iterations if guidance.mu else 0)
    back = 1.0 if PRESETS[guidance.preset].through == "conditional" else rows
    return (
        times * samples * (_GRADIENT[guidance.decoder] + _CUTOUT * number)
        + bool(guidance.rho) * back * _PULL_BACK
    )


class _Cutouts:
    """The number of cutouts that CLIPs see at a time of a run."""

    def __init__(self, guidance: ResolvedGuidance) -> None:
        self._guidance = guidance
        self._schedules = [parse_schedule(text) for text in (guidance.overview_cuts, guidance.inner_cuts)]
        self._share = guidance.cutouts / most_cutouts(guidance.overview_cuts, guidance.inner_cuts)

    def at(self, progress: float) -> int | None:
        """Those of all CLIPs together; None when no objective is active."""
        active = [objective for objective in self._guidance.objectives if objective.active(progress)]
        prompts = [objective for objective in active if isinstance(objective, PROMPTS)]
        clips = {objective.clip or self._guidance.clip for objective in prompts}
        each = round(self._share * sum(value_at(schedule, progress) for schedule in self._schedules))
        return each * len(clips) if (each and clips) or len(active) > len(prompts) else None


def _previews(request: ResolvedRequest) -> list[int]:
    """Number of previews in each pass of a picture."""
    every = request.preview_every_steps
    if not every:
        return [0 for _ in request.passes]
    ends = [*accumulate(part.plan.run for part in request.passes[:-1]), request.steps_run - 1]
    return [end // every - start // every for start, end in pairwise((0, *ends))]


def _between(request: ResolvedRequest) -> float:
    """Cost of enlarging the result of the first pass for the second."""
    if request.hires is None or request.hires.upscaler in LATENT_MODES:
        return 0.0
    first, second = map(_area, request.passes)
    return first * (_DECODE + _ENLARGE.get(request.hires.upscaler, 0.0)) + second * _ENCODE


def _finishing(request: ResolvedRequest) -> float:
    """Cost of a picture besides its passes: decoding, and embeddings by the CLIPs.

    Two embed every picture, for its similarity and for its aesthetic score. A catalog may name one CLIP for both, which
    then looks once; the request does not say so, and a quarter of a unit is too little to ask the catalog for it.
    """
    guidance = request.guidance
    models = [
        objective
        for objective in (guidance.objectives if guidance and guidance.scale else ())
        if isinstance(objective, ImageObjective)
    ]
    scored = (
        0 if request.select is None or request.select.resample is None else len(request.select.resample.at)
    )
    return _DECODE + _EMBEDDING * (2 + len(models)) + scored * (_DECODE + _EMBEDDING)


def _encoding(request: ResolvedRequest) -> float:
    """Cost of the encodings of a request's pictures, which all that it draws share."""
    init = request.init
    start = 0.0 if init is None or (init.starts_from_noise and request.mask is None) else _ENCODE
    seen = _ENCODE * (request.edit is not None)
    return start + seen + _EMBEDDING * len(request.image_prompts)


def _enlarging(request: ResolvedRequest) -> float:
    if request.upscale is None:
        return 0.0
    kept = request.num_images if request.select is None else request.select.keep
    return kept * _enlarging_of(_UNIT_PX, request.upscale.model)


def _enlarging_of(pixels: int, network: str) -> float:
    """Cost of enlarging a picture of so many pixels."""
    return pixels / _UNIT_PX * _ENLARGE.get(network, max(_ENLARGE.values()))


def _reading(request: ResolvedRequest) -> float:
    """Cost of the work that all pictures share: texts, and fitting the text encoder to an aesthetic embedding."""
    texts = 1 + len(request.wordings) + (request.select is not None)
    if request.guidance is not None and request.guidance.scale:
        texts += sum(isinstance(objective, TextObjective) for objective in request.guidance.objectives)
    personal, windows = request.personalization, max(1, ceil(len(request.prompt) / _WINDOW_CHARS))
    fits = personal is not None and personal.weight and request.reads_prompt
    fitting = personal.steps if personal is not None and fits else 0
    return _TEXT * texts + _FIT * fitting * windows


def weight_of(priority: Priority) -> float:
    """A job's share of a worker's time relative to a job of normal priority."""
    return WEIGHTS[priority] / WEIGHTS[Priority.NORMAL]


def flow_of(caller: str, priority: Priority) -> str:
    """The flow that a job's work is counted against: one for each caller and priority.

    Args:
        caller: its name, as the API knows it; empty for all anonymous ones.
        priority: of the job.
    """
    # A digest, so that Redis holds no name of a caller.
    return f"{sha256(caller.encode()).hexdigest()[:16] if caller else 'anonymous'}:{priority}"
