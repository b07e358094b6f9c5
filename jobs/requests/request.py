"""What a caller may ask for, and the same with every default filled in."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, HttpUrl, field_validator

from jobs.requests.guidance import Guidance, ResolvedGuidance
from jobs.requests.personalization import Personalization, ResolvedPersonalization
from jobs.requests.samplers import NamesSampler, SamplerName, ScheduleName
from jobs.requests.selection import ResolvedSelection, Selection
from jobs.wire import MAX_TEXT_CHARS, AtMost, Formerly, Text, Wire

MAX_PROMPT_CHARS = MAX_TEXT_CHARS
MAX_SEED = 2**32 - 1
MAX_IMAGES = 16


class Priority(StrEnum):
    """How large a share of the work a caller's jobs get while others wait: 1 to 4 to 16."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class WebhookEvent(StrEnum):
    """What a webhook may be told of."""

    STARTED = "started"
    DONE = "done"


class Webhook(Wire):
    """Where to send a signed message when something happens to the job."""

    url: HttpUrl = Field(
        description="Address that the messages are posted to. Private, loopback and link-local addresses are refused "
        "unless the server's operator allows them; redirects are not followed.",
        examples=["https://example.com/lodestar"],
    )
    events: Annotated[tuple[WebhookEvent, ...], AtMost(len(WebhookEvent))] = Field(
        (WebhookEvent.DONE,),
        min_length=1,
        description="`done` is sent when the job has ended, again and again until it is accepted; `started` when a "
        "worker has taken it, once.",
    )

    @field_validator("url")
    @classmethod
    def _names_no_user(cls, url: HttpUrl) -> HttpUrl:
        if url.username or url.password:
            raise ValueError("the address of a webhook may hold no user name or password")
        return url


class Upscale(Wire):
    """Real-ESRGAN on the finished pictures."""

    factor: Literal[2, 4] = Field(description="Times as wide and high.", examples=[2])

    @field_validator("factor", mode="before")
    @classmethod
    def _from_text(cls, factor: object) -> object:
        """Queries and forms hold text, which pydantic takes for numbers but not for one of several."""
        return int(factor) if isinstance(factor, str) and factor.isdecimal() else factor


class ResolvedUpscale(Wire):
    """Upscaling with nothing left open."""

    factor: int = Field(description="Times as wide and high.")
    model: str = Field(description="The Real-ESRGAN network.")


class GenerateRequest(NamesSampler):
    """One job: a prompt and how to draw it. Only the prompt is needed."""

    prompt: Text = Field(
        description="What the picture should show; an empty one leaves it to the model. Read as far as the model's "
        "text encoder reads, which is 77 tokens of most models; the job's `notes` say what was left out.",
        examples=["a red apple on a light blue background"],
    )
    negative_prompt: Text = Field(
        "", description="What it should not show; read as far as the prompt.", examples=["blurry"]
    )
    model: str | None = Field(
        None,
        max_length=100,
        description="Id of a model of /v1/models; the first one if left out.",
        examples=["pocket"],
    )
    width: int | None = Field(
        None, ge=8, le=4096, description="Width in pixels; the model's own if left out.", examples=[64]
    )
    height: int | None = Field(
        None, ge=8, le=4096, description="Height in pixels; the model's own if left out.", examples=[64]
    )
    steps: int | None = Field(
        None,
        ge=1,
        le=250,
        description="Sampling steps for each picture; the model's default if left out.",
        examples=[25],
    )
    cfg_scale: float | None = Field(
        None,
        ge=0,
        le=50,
        description="Classifier-free guidance scale; 1 turns it off; the model's default if left out.",
        examples=[5.0],
    )
    sampler: SamplerName | None = Field(
        None,
        description="Solver of the reverse diffusion; the model's default if left out.",
        examples=["dpmpp_2m"],
    )
    schedule: ScheduleName | None = Field(
        None,
        description="Noise schedule: how the noise levels of the steps are spread. `default` is the model's own; "
        "`ddim` and `pndm` have no other. If left out, `default` with a `sampler`, else the model's default.",
        examples=["karras"],
    )
    eta: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of fresh noise that the sampler `ddim` adds at each step: 0 adds none, 1 is DDPM. Disco "
        "Diffusion takes 0.8. The other samplers have none, or their own.",
        examples=[0.0],
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=MAX_SEED,
        description="Seed of the first picture, the next one gets seed + 1; drawn at random if left out.",
        examples=[7],
    )
    num_images: Annotated[int, Formerly("images")] = Field(
        1, ge=1, le=MAX_IMAGES, description="Number of pictures to make.", examples=[1]
    )
    guidance: Guidance | None = Field(
        None, description="CLIP guidance; none if left out. `{}` guides with the defaults of `laion`."
    )
    preview_every_steps: Annotated[int | None, Formerly("preview_every")] = Field(
        None,
        ge=1,
        le=250,
        description="Show a small preview of each picture after every so many steps; none if left out. "
        "`GET /v1/jobs/{id}/events` tells of each.",
        examples=[5],
    )
    webhook: Webhook | None = Field(
        None, description="Where to send a signed message when the job has ended. An address alone will do."
    )
    personalization: Personalization | None = Field(
        None, description="Aesthetic gradients towards a named embedding; none if left out."
    )
    select: Selection | None = Field(
        None, description="Make many candidates and keep the best; takes the place of `num_images`."
    )
    upscale: Upscale | None = Field(
        None, description="Enlarge the pictures that are kept; needs the extra `upscale` on the workers."
    )
    timeout_s: float = Field(
        3600,
        gt=0,
        le=86400,  # jobs.resolve.limits.MAX_TIMEOUT_S
        description="Seconds that one attempt may run before the job fails with deadline_exceeded.",
        examples=[3600],
    )
    priority: Priority = Field(
        Priority.NORMAL,
        description="Share of the work while others wait: `normal` gets four times that of `low`, and `high` four "
        "times that of `normal`. None waits for ever.",
        examples=["normal"],
    )

    @field_validator("webhook", mode="before")
    @classmethod
    def _address_alone(cls, value: object) -> object:
        return {"url": value} if isinstance(value, str) else value


class ResolvedRequest(NamesSampler):
    """A request with every default and the seed filled in: what a job does, exactly."""

    prompt: str = Field(description="What the picture should show.")
    negative_prompt: str = Field(description="What it should not show.")
    model: str = Field(description="Id of the model.")
    width: int = Field(description="Width in pixels.")
    height: int = Field(description="Height in pixels.")
    steps: int = Field(description="Sampling steps for each picture.")
    cfg_scale: float = Field(description="Classifier-free guidance scale.")
    sampler: SamplerName = Field(description="Solver of the reverse diffusion.")
    schedule: ScheduleName = Field(ScheduleName.DEFAULT, description="Noise schedule.")
    eta: float = Field(0.0, description="Share of fresh noise at each step of `ddim`.")
    seed: int = Field(description="Seed of the first picture.")
    num_images: Annotated[int, Formerly("images")] = Field(description="Number of pictures.")
    guidance: ResolvedGuidance | None = Field(description="CLIP guidance, or null.")
    preview_every_steps: Annotated[int | None, Formerly("preview_every")] = Field(
        None, description="Steps between previews, or null."
    )
    personalization: ResolvedPersonalization | None = Field(None, description="Aesthetic gradients, or null.")
    select: ResolvedSelection | None = Field(None, description="How the best are chosen, or null.")
    upscale: ResolvedUpscale | None = Field(None, description="How the kept ones are enlarged, or null.")
    timeout_s: float = Field(description="Seconds that one attempt may run.")
    priority: Priority = Field(Priority.NORMAL, description="Share of the work while others wait.")
