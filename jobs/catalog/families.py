"""The family of a model, and the defaults that the published checkpoints of each suggest."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import Field, model_validator

from jobs.prompts.fields import MAX_CLIP_SKIP
from jobs.requests.conditions.edit import MAX_IMAGE_CFG_SCALE
from jobs.requests.conditions.families import FamilyName, ModelKind
from jobs.requests.guidance import Guidance
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
_PIXELS = MappingProxyType(
    {
        "width": 256,
        "height": 256,
        "min_px": 64,
        "max_px": 512,
        "multiple_px": 32,
        "steps": 50,
        "cfg_scale": 1.0,
        # At its published numbers, which were made for this family.
        "guidance": {"preset": "crowson"},
    }
)
# Of full LCM checkpoints (Luo et al. 2023, "Latent Consistency Models"), by their authors' examples.
_EMBEDDED = MappingProxyType({"steps": 4, "cfg_scale": 8.0, "sampler": SamplerName.LCM})
_DEFAULTS: dict[FamilyName, Mapping[str, Any]] = {
    FamilyName.SDXL: _XL,
    FamilyName.SDXL_REFINER: _XL,
    FamilyName.UNCLIP: MappingProxyType(
        {"width": 768, "height": 768, "min_px": 384, "max_px": 1024, "steps": 20, "cfg_scale": 10.0}
    ),
    FamilyName.PIXELS: _PIXELS,
}


class OfFamily(NamesSampler):
    """The family of a model, the sizes that it makes, and the defaults of its requests."""

    family: FamilyName = Field(
        FamilyName.SD,
        description="Kind of the checkpoint: `sd` (Stable Diffusion 1.x and 2.x), `sdxl`, `sdxl-refiner`, `unclip` "
        "(Stable unCLIP 2.1), or `pixels` (diffusion on pixels that knows no text). All but the first have defaults of "
        "their own for the fields below.",
    )
    kind: ModelKind = Field(
        ModelKind.TEXT,
        description="`edit` for a checkpoint that edits pictures as InstructPix2Pix does; `text` for any other.",
    )
    width: int = Field(ge=8, description="Default width in pixels.")
    height: int = Field(ge=8, description="Default height in pixels.")
    min_px: int = Field(ge=8, description="Smallest width and height in pixels.")
    max_px: int = Field(le=4096, description="Largest width and height in pixels.")
    multiple_px: int = Field(8, ge=1, description="Width and height are multiples of this.")
    steps: int = Field(25, ge=1, le=250, description="Default number of sampling steps.")
    cfg_scale: float = Field(7.5, ge=0, le=50, description="Default classifier-free guidance scale.")
    cfg_embedded: bool = Field(
        False,
        description="Whether its UNet takes the guidance scale as an input (`time_cond_proj_dim`), as full LCM "
        "checkpoints do. Then `steps` is 4, `cfg_scale` 8 and `sampler` `lcm` by default.",
    )
    image_cfg_scale: float = Field(
        1.5,
        ge=0,
        le=MAX_IMAGE_CFG_SCALE,
        description="Default of `edit.image_cfg_scale`, for the kind `edit`.",
    )
    guidance_rescale: float = Field(0.0, ge=0, le=1, description="Default share of rescaled guidance.")
    clip_skip: int = Field(0, ge=0, le=MAX_CLIP_SKIP, description="Default of `clip_skip`.")
    sampler: SamplerName = Field(SamplerName.DDIM, description="Default sampler.")
    schedule: ScheduleName = Field(ScheduleName.DEFAULT, description="Default noise schedule.")
    guidance: Guidance | None = Field(
        None,
        description="CLIP guidance of requests that ask for none, as in a request; of those that name no preset, "
        "what they leave out.",
    )

    @model_validator(mode="before")
    @classmethod
    def _has_the_defaults_of_its_family(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        named = fields.get("family")
        is_known = isinstance(named, str) and named in set(FamilyName)
        own = _DEFAULTS.get(FamilyName(str(named)), {}) if is_known else {}
        return {**own, **(_EMBEDDED if fields.get("cfg_embedded") is True else {}), **fields}

    @model_validator(mode="after")
    def _makes_its_default(self) -> "OfFamily":
        for name, px in (("width", self.width), ("height", self.height)):
            if not self.min_px <= px <= self.max_px or px % self.multiple_px:
                raise ValueError(
                    f"the default {name} {px} is not a multiple of {self.multiple_px} "
                    f"from {self.min_px} to {self.max_px} px"
                )
        if not self.family.reads_texts and self.cfg_scale != 1:
            raise ValueError(
                f"the family {self.family} knows no text: its cfg_scale is 1, not {self.cfg_scale:g}"
            )
        if self.cfg_embedded and self.cfg_scale < 1:
            raise ValueError(
                f"a UNet that takes cfg_scale takes 1 (no guidance) or more, not {self.cfg_scale:g}"
            )
        if reason := unsupported(self.sampler, self.schedule):
            raise ValueError(reason)
        return self

    @model_validator(mode="after")
    def _edits_in_a_family_that_does(self) -> "OfFamily":
        if self.kind is ModelKind.EDIT and self.family is not FamilyName.SD:
            raise ValueError(f"models of the family {self.family} have no kind 'edit': only 'sd' has")
        if self.kind is ModelKind.EDIT and self.cfg_embedded:
            raise ValueError(
                "a model of the kind 'edit' has several rows, and cfg_embedded has one: leave it out"
            )
        return self
