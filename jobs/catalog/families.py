"""The family of a model, and the defaults that the published checkpoints of each suggest."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import Field, model_validator

from jobs.prompts.fields import MAX_CLIP_SKIP
from jobs.requests.conditions.families import FamilyName
from jobs.requests.samplers import NamesSampler, SamplerName, ScheduleName, unsupported

_XL = MappingProxyType(
    {
        "width": 1024,
        "height": 1024,
        "min_px": 512,
        "max_px": 2048,
        "steps": 30,
        "cfg_scale": 5.0,
        "sampler": SamplerName.EULER,
    }
)
_DEFAULTS: dict[FamilyName, Mapping[str, Any]] = {FamilyName.SDXL: _XL, FamilyName.SDXL_REFINER: _XL}


class OfFamily(NamesSampler):
    """The family of a model, the sizes that it makes, and the defaults of its requests."""

    family: FamilyName = Field(
        FamilyName.SD,
        description="Kind of the checkpoint: `sd` (Stable Diffusion 1.x and 2.x), `sdxl` or `sdxl-refiner`. The last "
        "two have defaults of their own for the fields below.",
    )
    width: int = Field(ge=8, description="Default width in pixels.")
    height: int = Field(ge=8, description="Default height in pixels.")
    min_px: int = Field(ge=8, description="Smallest width and height in pixels.")
    max_px: int = Field(le=4096, description="Largest width and height in pixels.")
    multiple_px: int = Field(8, ge=1, description="Width and height are multiples of this.")
    steps: int = Field(25, ge=1, le=250, description="Default number of sampling steps.")
    cfg_scale: float = Field(7.5, ge=0, le=50, description="Default classifier-free guidance scale.")
    guidance_rescale: float = Field(0.0, ge=0, le=1, description="Default share of rescaled guidance.")
    clip_skip: int = Field(0, ge=0, le=MAX_CLIP_SKIP, description="Default of `clip_skip`.")
    sampler: SamplerName = Field(SamplerName.DDIM, description="Default sampler.")
    schedule: ScheduleName = Field(ScheduleName.DEFAULT, description="Default noise schedule.")

    @model_validator(mode="before")
    @classmethod
    def _has_the_defaults_of_its_family(cls, fields: Any) -> Any:
        named = fields.get("family") if isinstance(fields, dict) else None
        if not isinstance(named, str) or named not in set(FamilyName):
            return fields
        return {**_DEFAULTS.get(FamilyName(named), {}), **fields}

    @model_validator(mode="after")
    def _makes_its_default(self) -> "OfFamily":
        for name, px in (("width", self.width), ("height", self.height)):
            if not self.min_px <= px <= self.max_px or px % self.multiple_px:
                raise ValueError(
                    f"the default {name} {px} is not a multiple of {self.multiple_px} "
                    f"from {self.min_px} to {self.max_px} px"
                )
        if reason := unsupported(self.sampler, self.schedule):
            raise ValueError(reason)
        return self
