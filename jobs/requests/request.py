"""The request for pictures, as a caller sends it and with every default filled in."""

from enum import StrEnum
from functools import partial
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from jobs.prompts.fields import MAX_CLIP_SKIP, PROMPT
from jobs.prompts.prompt import LongPrompt, PromptSyntax
from jobs.requests.conditions.adapters import MAX_ADAPTERS, Adapter, ResolvedAdapter
from jobs.requests.conditions.controls import MAX_CONTROLS, Control, ResolvedControl
from jobs.requests.conditions.edit import Edit, EditedPrompt
from jobs.requests.conditions.image_prompts import MAX_IMAGE_PROMPTS, ImagePrompt, ResolvedImagePrompt
from jobs.requests.conditions.refiner import Refiner, ResolvedRefiner
from jobs.requests.conditions.sizes import ResolvedStatedSizes, StatedSizes
from jobs.requests.delivery.webhook import Webhook
from jobs.requests.enlarging import Hires, ResolvedHires, ResolvedUpscale, Upscale
from jobs.requests.guidance import Guidance, ResolvedGuidance, in_full
from jobs.requests.personalization import Personalization, ResolvedPersonalization
from jobs.requests.presets import PRESETS
from jobs.requests.samplers import NamesSampler, SamplerName, ScheduleName
from jobs.requests.selection import ResolvedSelection, Selection, candidates_as_answered
from jobs.requests.start.init import Init, ResolvedInit
from jobs.requests.start.mask import Mask, ResolvedMask
from jobs.requests.start.outpaint import Outpaint, ResolvedOutpaint
from jobs.requests.start.plan import MAX_STEPS, Pass, StepPlan
from jobs.requests.start.seeds import MAX_SEED, ResolvedVariation, Variation
from jobs.wire import MAX_ID_CHARS, MAX_TEXT_CHARS, AtMost, Formerly, Labels, Text, same_field

MAX_PROMPT_CHARS = MAX_TEXT_CHARS
MAX_IMAGES = 16


class Priority(StrEnum):
    """Share of the work that a caller's jobs get while others wait: 1 to 4 to 16."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class ResolvedRequest(NamesSampler, EditedPrompt):
    """A request with every default and the seed filled in. It determines the pictures.

    Its fields have the meaning that ``GenerateRequest`` shares, and no bounds: those of another version may differ.
    """

    model: str = Field(
        description="Id of a model of /v1/models. Default: the first one.",
        examples=["pocket"],
    )
    width: int = Field(
        description="Width in pixels. Default: the model's own; with `init`, of the picture's shape.",
        examples=[64],
    )
    height: int = Field(description="Height in pixels. Default: likewise.", examples=[64])
    sampler: SamplerName = Field(
        description="Solver of the reverse diffusion. Default: the model's own.", examples=["dpmpp_2m"]
    )
    schedule: ScheduleName = Field(
        ScheduleName.DEFAULT,
        description="Noise schedule: the spacing of the steps' noise levels. `ddim`, `pndm`, `ddpm`, `restart`, `lcm` "
        "and `tcd` support only `default`: the schedule in the model's files, or that of the method. Default: the "
        "model's own if `sampler` is left out too, else `default`.",
        examples=["karras"],
    )
    eta: float = Field(
        0.0,
        description="Share of fresh noise that the samplers `ddim` and `tcd` add at each step: 0 adds none. With "
        "`ddim` 1 is DDPM, and Disco Diffusion takes 0.8. With `tcd` it is the gamma of its paper. The other samplers "
        "have none, or their own.",
        examples=[0.0],
    )
    guidance_rescale: float = Field(
        0.0,
        description="Share by which the spread of the guided prediction is brought back to that of the prompt's alone; "
        "0 leaves it. Against too much contrast at a high `cfg_scale`, above all of models with zero terminal SNR, "
        "whose authors take 0.7. Default: the model's own.",
        examples=[0.0],
    )
    seed: int = Field(
        description="Seed of the first picture; each following picture adds 1, unless they are variations of one. "
        "Default: a random seed.",
        examples=[7],
    )
    num_images: Annotated[int, Formerly("images")] = Field(
        description="Number of pictures to make.", examples=[1]
    )
    guidance: ResolvedGuidance | None = Field(
        description="CLIP guidance. Default: none. In a request, `true` and `{}` guide with all defaults, "
        "and a text is the name of a preset."
    )
    adapters: tuple[ResolvedAdapter, ...] = Field(
        (), description="Adapters (LoRA) that change the model for this job alone. Default: none."
    )
    controls: tuple[ResolvedControl, ...] = Field(
        (), description="ControlNets with the maps that the picture is to follow. Default: none."
    )
    image_prompts: tuple[ResolvedImagePrompt, ...] = Field(
        (), description="Pictures that the model is told of beside the prompt (IP-Adapter). Default: none."
    )
    sizes: ResolvedStatedSizes | None = Field(
        None,
        description="Sizes that SDXL and its refiner are told beside the text. Default: the size that is drawn.",
    )
    refiner: ResolvedRefiner | None = Field(
        None, description="A second model for the last steps of a model of the family `sdxl`. Default: none."
    )
    init: ResolvedInit | None = Field(
        None, description="Image-to-image: the picture to start from. Default: none, pure noise."
    )
    mask: ResolvedMask | None = Field(
        None,
        description="Inpainting: the part of `init.image` that is painted anew. Default: none, all of it.",
    )
    outpaint: ResolvedOutpaint | None = Field(
        None, description="Outpainting: pixels to add around `init.image`, and to paint. Default: none."
    )
    variation: ResolvedVariation | None = Field(
        None, description="Variations of one seed. Default: none, a seed for each picture."
    )
    hires: ResolvedHires | None = Field(
        None, description="A second pass at a larger size, from the result of the first. Default: none."
    )
    preview_every_steps: Annotated[int | None, Formerly("preview_every")] = Field(
        None,
        description="Steps between two small previews of each picture. Default: no previews. `GET "
        "/v1/jobs/{id}/events` announces them.",
        examples=[5],
    )
    personalization: ResolvedPersonalization | None = Field(
        None, description="Aesthetic gradients towards a named embedding. Default: none."
    )
    select: ResolvedSelection | None = Field(
        None,
        description="Best-of-n: make many candidates and keep the best, in place of `num_images`. Default: none.",
    )
    upscale: ResolvedUpscale | None = Field(
        None,
        description="Upscaling of the kept pictures. Default: none. Workers need the extra `upscale`.",
    )
    timeout_s: float = Field(
        description="Seconds that one attempt may run before the job fails with deadline_exceeded.",
        examples=[3600],
    )
    priority: Priority = Field(
        Priority.NORMAL,
        description="Share of the work while others wait: `normal` gets four times the share of `low`, and `high` "
        "four times that of `normal`. No job waits for ever.",
        examples=["normal"],
    )
    labels: Labels = Field(
        (),
        description="Words to find the job by: `GET /v1/jobs?label=...`.",
        examples=[["sweep-7", "client-a"]],
    )

    @property
    def reads_prompt(self) -> bool:
        """Whether the denoiser has a row for the prompt: one of weight 0 is left out, unless guidance passes it."""
        guidance = self.guidance
        through = guidance is not None and guidance.rho and PRESETS[guidance.preset].through == "conditional"
        return self.conditional_scale != 0 or bool(through)

    def seed_of(self, index: int) -> int:
        """The seed of a picture."""
        return self.seed if self.variation else self.seed + index

    @property
    def plan(self) -> StepPlan:
        """The steps of each picture, of its first pass."""
        return StepPlan(self.steps) if self.init is None else self.init.plan

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The passes of each picture, one after another."""
        first, hires = Pass(self.plan, self.width, self.height), self.hires
        return (first,) if hires is None else (first, Pass(hires.plan, hires.width, hires.height))

    @property
    def steps_run(self) -> int:
        """Steps that each picture takes, in all its passes."""
        return sum(each.plan.run for each in self.passes)

    @property
    def rows(self) -> int:
        """Rows of the denoiser for each picture; one of weight 0 is left out."""
        return len(self.branches) * self.reads_prompt + len(self.negative_weights)


_field = partial(same_field, ResolvedRequest)


class GenerateRequest(NamesSampler):
    """A request for pictures. Only the prompt is required."""

    prompt: Annotated[Text, PROMPT]
    negative_prompt: Text = _field("negative_prompt", "")
    prompt_syntax: PromptSyntax = _field("prompt_syntax", PromptSyntax.PLAIN)
    long_prompt: LongPrompt | None = _field("long_prompt")
    clip_skip: Annotated[int | None, Field(ge=0, le=MAX_CLIP_SKIP)] = _field("clip_skip")
    model: Annotated[str | None, Field(max_length=MAX_ID_CHARS)] = _field("model")
    width: Annotated[int | None, Field(ge=8, le=4096)] = _field("width")
    height: Annotated[int | None, Field(ge=8, le=4096)] = _field("height")
    steps: Annotated[int | None, Field(ge=1, le=MAX_STEPS)] = _field("steps")
    cfg_scale: Annotated[float | None, Field(ge=0, le=50)] = _field("cfg_scale")
    cfg_embedded: bool | None = _field("cfg_embedded")
    sampler: SamplerName | None = _field("sampler")
    schedule: ScheduleName | None = _field("schedule")
    eta: Annotated[float, Field(ge=0, le=1)] = _field("eta", 0.0)
    guidance_rescale: Annotated[float | None, Field(ge=0, le=1)] = _field("guidance_rescale")
    seed: Annotated[int | None, Field(ge=0, le=MAX_SEED)] = _field("seed")
    num_images: Annotated[int, Field(ge=1, le=MAX_IMAGES)] = _field("num_images", 1)
    guidance: Annotated[Guidance | None, BeforeValidator(in_full)] = _field("guidance")
    adapters: Annotated[tuple[Adapter, ...], AtMost(MAX_ADAPTERS)] = _field("adapters", ())
    controls: Annotated[tuple[Control, ...], AtMost(MAX_CONTROLS)] = _field("controls", ())
    image_prompts: Annotated[tuple[ImagePrompt, ...], AtMost(MAX_IMAGE_PROMPTS)] = _field("image_prompts", ())
    sizes: StatedSizes | None = _field("sizes")
    refiner: Refiner | None = _field("refiner")
    edit: Edit | None = _field("edit")
    init: Init | None = _field("init")
    mask: Mask | None = _field("mask")
    outpaint: Outpaint | None = _field("outpaint")
    variation: Variation | None = _field("variation")
    hires: Hires | None = _field("hires")
    preview_every_steps: Annotated[int | None, Field(ge=1, le=250)] = _field("preview_every_steps")
    webhook: Webhook | None = Field(
        None,
        description="Where to send a signed message at the job's end: an object, or an address alone. Default: none.",
    )
    personalization: Personalization | None = _field("personalization")
    select: Selection | None = _field("select")
    upscale: Upscale | None = _field("upscale")
    # The largest is jobs.resolve.limits.MAX_TIMEOUT_S.
    timeout_s: Annotated[float, Field(gt=0, le=86400)] = _field("timeout_s", 3600)
    priority: Priority = _field("priority", Priority.NORMAL)
    labels: Labels = _field("labels", ())

    _candidates = model_validator(mode="before")(candidates_as_answered)

    @field_validator("webhook", mode="before")
    @classmethod
    def _address_alone(cls, value: object) -> object:
        return {"url": value} if isinstance(value, str) else value
