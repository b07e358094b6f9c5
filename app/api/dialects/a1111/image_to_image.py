"""The body of ``img2img``, with the defaults of A1111's API, which are not those of its pages."""

from typing import Annotated, Any

from pydantic import Field

from app.api.dialects.a1111.request import TextToImage
from app.api.dialects.refusals import NotSupportedError
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.conditions.families import ModelKind
from jobs.requests.pictures import MaskPicture, Picture
from jobs.requests.request import MAX_IMAGES, GenerateRequest
from jobs.requests.start.init import Fit
from jobs.requests.start.mask import Area, Fill
from jobs.wire import AtMost

# By their numbers in A1111. Its fourth way of resizing is the first one, on latents.
_FITS = (Fit.STRETCH, Fit.CROP, Fit.PAD, Fit.STRETCH)
_ON_LATENTS = 3
_FILLS = (Fill.BLUR, Fill.ORIGINAL, Fill.NOISE, Fill.NOTHING)
_MOST_STRENGTH = 0.999
_USUAL_SCALES = (None, 0, 1.5)  # clients send them of their own accord


class ImageToImage(TextToImage):
    """The fields of ``img2img`` with a meaning here."""

    init_images: Annotated[tuple[Picture, ...], AtMost(MAX_IMAGES)] = ()
    denoising_strength: float = Field(0.75, ge=0, le=1)
    resize_mode: int = Field(0, ge=0, lt=len(_FITS))
    mask: MaskPicture | None = None
    mask_blur: float | None = None
    mask_blur_x: float = 4
    mask_blur_y: float = 4
    inpainting_fill: int = Field(0, ge=0, lt=len(_FILLS))
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = 0
    inpainting_mask_invert: bool = False
    include_init_images: bool = False
    latent_mask: Any = None
    initial_noise_multiplier: float | None = None
    image_cfg_scale: float | None = None

    def start(self, card: ModelCard) -> dict[str, Any]:
        """The native ``init`` and ``mask``, beside what ``txt2img`` has."""
        self._refuse()
        if len(self.init_images) != 1:
            raise InvalidRequestError(
                f"there are {len(self.init_images)} pictures, and a job starts from one", field="init_images"
            )
        init = {
            "image": self.init_images[0],
            "strength": strength_of(self.denoising_strength, self.steps or card.steps),
            "fit": _FITS[self.resize_mode],
        }
        mask = {} if self.mask is None else {"mask": self._mask()}
        return {**self.variation(), "init": init, **mask, **self._edit(card, init)}

    @property
    def first_picture(self) -> str | None:
        return self.init_images[0] if self.init_images else None

    def notes(self) -> tuple[str, ...]:
        """What is taken without its full effect."""
        known = {
            "resize_mode 3 resizes pixels, as 0 does": self.resize_mode == _ON_LATENTS,
            "enable_hr has no effect in img2img": self.enable_hr,
        }
        return *super().notes(), *(note for note, applies in known.items() if applies)

    def echo(self) -> dict[str, Any]:
        """The fields for the answer, without pictures unless they are asked for."""
        pictures = {} if self.include_init_images else {"init_images": None, "mask": None}
        return {**super().echo(), **pictures}

    def _edit(self, card: ModelCard, init: dict[str, Any]) -> dict[str, Any]:
        """The native ``edit`` for a model that edits, which sees the picture that it starts from, as in A1111."""
        if card.kind is not ModelKind.EDIT:
            return {}
        scale = {} if self.image_cfg_scale is None else {"image_cfg_scale": self.image_cfg_scale}
        return {"edit": {"image": init["image"], "fit": init["fit"], **scale}}

    def _mask(self) -> dict[str, Any]:
        if self.mask_blur is None and self.mask_blur_x != self.mask_blur_y:
            raise NotSupportedError("a blur of two radii is not supported", field="mask_blur_x")
        return {
            "image": self.mask,
            "invert": self.inpainting_mask_invert,
            "blur": self.mask_blur_x if self.mask_blur is None else self.mask_blur,
            "fill": _FILLS[self.inpainting_fill],
            "area": Area.MASKED if self.inpaint_full_res else Area.WHOLE,
            "padding": self.inpaint_full_res_padding,
        }

    def _refuse(self) -> None:
        if self.latent_mask is not None:
            raise NotSupportedError("latent_mask is not supported; give mask", field="latent_mask")
        if self.initial_noise_multiplier not in (None, 1):
            raise NotSupportedError(
                "initial_noise_multiplier is not supported", field="initial_noise_multiplier"
            )


def notes_on_scale(body: TextToImage, wanted: GenerateRequest) -> tuple[str, ...]:
    """A sentence on the scale of a picture to edit, if there is none."""
    scale = getattr(body, "image_cfg_scale", None)
    is_idle = wanted.edit is None and scale not in _USUAL_SCALES
    return ("image_cfg_scale has no effect: the model edits no pictures",) if is_idle else ()


def strength_of(denoising_strength: float, steps: int) -> float:
    """The native strength that runs as many steps as A1111's samplers of k-diffusion do.

    Of N planned steps they run int(min(S, .999) N) + 1, so never none. The native rule is int(N S), for which half a
    step more stays clear of rounding.
    """
    run = int(min(denoising_strength, _MOST_STRENGTH) * steps) + 1
    return min(1.0, (run + 0.5) / max(1, steps))
