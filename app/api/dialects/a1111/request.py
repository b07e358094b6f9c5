"""The body of ``txt2img``, and the native request that it stands for."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.api.dialects.a1111 import guidance, hires, networks
from app.api.dialects.a1111.controlnet import image_prompts, units
from app.api.dialects.a1111.hires import HiresFix
from app.api.dialects.a1111.options import CLIP_STOP, MODEL, changes, clip_skip, preview_every_steps
from app.api.dialects.a1111.refining import refiner_of
from app.api.dialects.a1111.samplers import sampler_named, schedule_named, substitute, supported
from app.api.dialects.a1111.unserved import notes_on_unserved
from app.api.dialects.refusals import NotSupportedError
from app.api.dialects.submission import native_request
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.prompts.fields import MAX_CLIP_SKIP
from jobs.prompts.prompt import PromptSyntax
from jobs.requests.request import MAX_IMAGES, GenerateRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.wire import AtMost

_MODEL = f"override_settings.{MODEL}"
_MAX_NOTED_CHARS = 50
NAMES = {
    "num_images": "batch_size",
    "guidance": guidance.FIELD,
    "model": _MODEL,
    "clip_skip": f"override_settings.{CLIP_STOP}",
    "refiner": "refiner_checkpoint",
    "refiner.model": "refiner_checkpoint",
    "refiner.switch_at": "refiner_switch_at",
    "variation.seed": "subseed",
    "variation.strength": "subseed_strength",
    "init.image": "init_images",
    "init.strength": "denoising_strength",
    "edit": "init_images",
    "edit.image": "init_images",
    "edit.image_cfg_scale": "image_cfg_scale",
    "mask.image": "mask",
    "mask.blur": "mask_blur",
    "mask.area": "inpaint_full_res",
    "mask.padding": "inpaint_full_res_padding",
    "adapters": "prompt",
    "controls": units.FIELD,
    "image_prompts": units.FIELD,
    **hires.NAMES,
}
# Clients may send all options at once, and most change nothing here.
Options = Annotated[dict[str, Any], AtMost(2000)]


class TextToImage(HiresFix):
    """The fields of A1111's with a meaning here. Others have no effect, as unknown ones in A1111; notes name them."""

    model_config = ConfigDict(frozen=True, extra="allow")

    prompt: str = ""
    negative_prompt: str | None = None
    seed: int | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    width: int | None = None
    height: int | None = None
    batch_size: int = Field(1, ge=1, le=MAX_IMAGES)
    n_iter: int = Field(1, ge=1, le=MAX_IMAGES)
    sampler_name: str | None = None
    sampler_index: str | None = None
    scheduler: str | None = None
    override_settings: Options | None = None
    clip_skip: int | None = Field(None, ge=0, le=MAX_CLIP_SKIP + 1)
    alwayson_scripts: Annotated[dict[str, Any], AtMost(100)] | None = None
    send_images: bool = True
    force_task_id: str | None = Field(None, min_length=1, max_length=200)
    subseed: int | None = None
    subseed_strength: float = 0
    refiner_checkpoint: str | None = None
    refiner_switch_at: float | None = None

    # These change the picture and cannot be served.
    restore_faces: bool | None = None
    tiling: bool | None = None
    styles: Annotated[list[str], AtMost(100)] | None = None
    seed_resize_from_w: int | None = None
    seed_resize_from_h: int | None = None
    script_name: str | None = None

    def start(self, card: ModelCard) -> dict[str, Any]:
        """The native fields of where the passes start, beside the seed; ``card`` is the model's."""
        return self.variation() | ({"hires": self.second_pass(card)} if self.enable_hr else {})

    def variation(self) -> dict[str, Any]:
        """The native field of variations of the seed."""
        if not self.subseed_strength:
            return {}
        seed = None if (self.subseed or 0) < 0 else self.subseed
        return {"variation": {"seed": seed, "strength": self.subseed_strength}}

    @property
    def first_picture(self) -> str | None:
        """That of ``img2img``, which ControlNets without a picture read."""
        return None

    @property
    def shown_maps(self) -> tuple[int, ...]:
        """Numbers of the controls whose maps the answer has."""
        used = units.map_units(units.script_in(self.alwayson_scripts or {}))
        return tuple(number for number, (_, unit) in enumerate(used) if unit.save_detected_map)

    def notes(self) -> tuple[str, ...]:
        """A sentence on everything that is taken without its full effect."""
        notes = units.notes_of(self.alwayson_scripts or {})
        sampler = self.sampler_name or self.sampler_index or ""
        if drawn_by := substitute(sampler):
            notes += (f"sampler {sampler!r} is not served, so {drawn_by} draws instead",)
        if self.scheduler and schedule_named(self.scheduler) is None:
            name = self.scheduler[:_MAX_NOTED_CHARS]
            notes += (f"scheduler {name!r} is not known, so it counts as Automatic",)
        return notes + notes_on_unserved(self.model_extra or {}, self.override_settings or {}, sampler)

    def echo(self) -> dict[str, Any]:
        """The fields for the answer."""
        return self.model_dump(mode="json", include=set(type(self).model_fields))


# What changes the picture and cannot be served, with the reason.
_REFUSED = {
    "restore_faces": "no model here restores faces",
    "tiling": "pictures without seams would need networks of their own",
    "styles": "no styles are kept here; write them into the prompt",
    "script_name": "there are no scripts; for `sd upscale`, send the enlarged picture to img2img",
}
_RESIZED = ("seed_resize_from_w", "seed_resize_from_h")  # on if positive


def to_native(
    body: TextToImage, chosen_model: str | None, catalog: Catalog, options: dict[str, Any] | None = None
) -> GenerateRequest:
    """The native request that a body stands for.

    Args:
        body: of ``txt2img`` or ``img2img``.
        chosen_model: of the caller's options; the body's own setting comes first.
        catalog: the models.
        options: other options of the caller; likewise.

    Raises:
        UnknownModelError: the catalog does not hold the model.
        NotSupportedError: a field is on that changes the picture in a way that cannot be served.
        InvalidRequestError: a name is unknown.
        RequestValidationError: a field has a value that cannot be served.
    """
    _refuse_unserved(body)
    named, overrides = changes(body.override_settings or {}, catalog, within="override_settings.")
    card = named or catalog.model(chosen_model)
    sampler, schedule = _sampling(body, card)
    # SD.Next's own field; clients send both.
    skipped = {CLIP_STOP: body.clip_skip} if body.clip_skip else {}
    chosen = {**(options or {}), **skipped, **overrides}
    prompt, adapters = networks.adapters_of(body.prompt, catalog)
    if body.enable_hr:
        prompts = body.prompt, body.negative_prompt or ""
        body.require_one_course(prompts, sampler or card.sampler, schedule)
    optional = {
        "model": card.id if named else chosen_model,
        "negative_prompt": body.negative_prompt,
        "seed": None if (body.seed or 0) < 0 else body.seed,
        "steps": body.steps,
        "cfg_scale": _scale(body.cfg_scale, card),
        "width": _rounded(body.width, card),
        "height": _rounded(body.height, card),
        "preview_every_steps": preview_every_steps(chosen),
        "clip_skip": clip_skip(chosen, card),
        "refiner": refiner_of(body.refiner_checkpoint, body.refiner_switch_at, catalog),
        "sampler": sampler,
        "schedule": schedule,
        "guidance": guidance.guidance_of(body.alwayson_scripts or {}),
        "adapters": adapters or None,
        "controls": _controls(body, card) or None,
        "image_prompts": _image_prompts(body, card, catalog) or None,
    }
    fields = {name: value for name, value in optional.items() if value is not None}
    number = body.batch_size * body.n_iter
    syntax = {"prompt": prompt, "prompt_syntax": PromptSyntax.A1111}
    return native_request({**syntax, "num_images": number, **fields, **body.start(card)}, NAMES)


def _refuse_unserved(body: TextToImage) -> None:
    for name, reason in _REFUSED.items():
        if getattr(body, name):
            raise NotSupportedError(f"{name} is not supported: {reason}", field=name)
    for name in _RESIZED:
        if (getattr(body, name) or 0) > 0:
            raise NotSupportedError(f"{name} is not supported", field=name)
    if body.batch_size * body.n_iter > MAX_IMAGES:
        raise InvalidRequestError(
            f"batch_size times n_iter is {body.batch_size * body.n_iter}, over {MAX_IMAGES}", field="n_iter"
        )


def _controls(body: TextToImage, card: ModelCard) -> list[dict[str, Any]]:
    """The native controls of its units."""
    script = units.script_in(body.alwayson_scripts or {})
    return units.controls_of(script, body.steps or card.steps, body.first_picture)


def _image_prompts(body: TextToImage, card: ModelCard, catalog: Catalog) -> list[dict[str, Any]]:
    """The native image prompts of its units."""
    script = units.script_in(body.alwayson_scripts or {})
    steps = body.steps or card.steps
    return image_prompts.image_prompts_of(script, catalog, steps, body.first_picture)


def _scale(asked: float | None, card: ModelCard) -> float | None:
    """The guidance scale. For a model that is sampled without guidance, or guides by itself, less than 1 is off too."""
    is_few_step = card.cfg_embedded or card.cfg_scale == 1
    return 1.0 if asked is not None and is_few_step and 0 <= asked < 1 else asked


def _rounded(px: int | None, card: ModelCard) -> int | None:
    """A width or height that the model makes: the next smaller one, as in A1111, whose latents have 8 pixels."""
    return px if px is None else px - px % card.multiple_px


def _sampling(body: TextToImage, card: ModelCard) -> tuple[SamplerName | None, ScheduleName | None]:
    """The native sampler and schedule. A schedule in the sampler's name comes before the one beside it, as there."""
    schedule = schedule_named(body.scheduler or "")
    for field in ("sampler_name", "sampler_index"):
        if name := getattr(body, field):
            sampler, included = sampler_named(name, field=field)
            return sampler, supported(sampler, included or schedule)
    if schedule is ScheduleName.DEFAULT:
        schedule = None  # automatic: the model's own choice
    return None, supported(card.sampler, schedule)
