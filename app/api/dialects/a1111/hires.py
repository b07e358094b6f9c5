"""The fields of A1111's hires fix, and the native second pass that they stand for."""

from typing import Any

from pydantic import Field

from app.api.dialects.a1111.samplers import sampler_named, schedule_named
from app.api.dialects.left_out import LeavesOut
from app.api.dialects.refusals import NotSupportedError
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.enlarging import HiresUpscaler
from jobs.requests.labels import HIRES_LABELS
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.requests.start.plan import MAX_STEPS

NAMES = {
    "hires": "enable_hr",
    "hires.scale": "hr_scale",
    "hires.upscaler": "hr_upscaler",
    "hires.strength": "denoising_strength",
    "hires.steps": "hr_second_pass_steps",
    "hires.width": "hr_resize_x",
    "hires.height": "hr_resize_y",
}
_UPSCALERS = {label.lower(): upscaler for upscaler, label in HIRES_LABELS.items()}
_UPSCALERS["none"] = HiresUpscaler.LANCZOS  # by which A1111 resizes what no upscaler has enlarged
_MAX_NAMED_CHARS = 50


class HiresFix(LeavesOut):
    """The fields of a second pass, with the defaults of A1111's API."""

    enable_hr: bool = False
    denoising_strength: float = 0.75
    hr_scale: float = 2
    hr_upscaler: str = HIRES_LABELS[HiresUpscaler.LATENT]
    hr_second_pass_steps: int = Field(0, ge=0, le=MAX_STEPS)
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    hr_prompt: str | None = None
    hr_negative_prompt: str | None = None
    hr_sampler_name: str | None = None
    hr_scheduler: str | None = None
    hr_checkpoint_name: str | None = None
    firstphase_width: int = 0
    firstphase_height: int = 0

    def second_pass(self, card: ModelCard) -> dict[str, Any]:
        """The native ``hires`` of the fields; ``card`` is the model's.

        Raises:
            InvalidRequestError: no upscaler has this name.
        """
        sides = {"width": self.hr_resize_x, "height": self.hr_resize_y}
        size = {side: px - px % card.multiple_px for side, px in sides.items() if px}
        how: dict[str, Any] = {
            "upscaler": _upscaler_named(self.hr_upscaler),
            **(size or {"scale": self.hr_scale}),
        }
        if self.denoising_strength == 0:
            # There A1111 runs no step at all; here the last one of a long schedule, which changes next to nothing.
            return {**how, "strength": 1 / MAX_STEPS, "steps": 1}
        return {**how, "strength": self.denoising_strength, "steps": self.hr_second_pass_steps or None}

    def require_one_course(
        self, prompts: tuple[str, str], sampler: SamplerName, schedule: ScheduleName | None
    ) -> None:
        """Refuse a second pass that differs from the first in more than its size and steps.

        Args:
            prompts: of the first pass: the prompt and the negative one.
            sampler: of the first pass.
            schedule: of the first pass; None for the default one.

        Raises:
            NotSupportedError: it does.
            InvalidRequestError: no sampler has this name.
        """
        for field, prompt in zip(("hr_prompt", "hr_negative_prompt"), prompts, strict=True):
            if getattr(self, field) not in (None, "", prompt):
                raise _other(field)
        if self.hr_sampler_name and not _is_same(self.hr_sampler_name, "sampler"):
            own, included = sampler_named(self.hr_sampler_name, field="hr_sampler_name")
            if own is not sampler or included not in (None, schedule):
                raise _other("hr_sampler_name")
        if self.hr_scheduler and not _is_same(self.hr_scheduler, "scheduler"):
            default = ScheduleName.DEFAULT
            if (schedule_named(self.hr_scheduler) or default) is not (schedule or default):
                raise _other("hr_scheduler")
        if self.hr_checkpoint_name and not _is_same(self.hr_checkpoint_name, "checkpoint"):
            raise _other("hr_checkpoint_name")
        for name in ("firstphase_width", "firstphase_height"):
            if getattr(self, name) > 0:
                raise NotSupportedError(
                    f"{name} is not supported: give the first pass's width and height, and hr_scale",
                    field=name,
                )


def _upscaler_named(name: str) -> HiresUpscaler:
    if found := _UPSCALERS.get(name.lower()):
        return found
    known = ", ".join(("None", *HIRES_LABELS.values()))
    raise InvalidRequestError(
        f"there is no upscaler {name[:_MAX_NAMED_CHARS]!r}; there are: {known}", field="hr_upscaler"
    )


def _is_same(name: str, what: str) -> bool:
    """Whether a name is that of A1111's pages for the sampler, scheduler or checkpoint of the first pass."""
    return name.lower() == f"use same {what}"


def _other(field: str) -> NotSupportedError:
    return NotSupportedError(
        f"{field} is not supported: the second pass has the prompts, the sampler and the model of the first",
        field=field,
    )
