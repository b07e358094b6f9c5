"""The bodies of ``images.edit`` and ``images.create_variation``: requests that start from a picture."""

from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BeforeValidator, PrivateAttr

from app.api.dialects.customary import names_strength
from app.api.dialects.openai.request import ImageGeneration
from jobs.catalog.models import ModelCard
from jobs.requests.conditions.image_prompts import ImagePrompt
from jobs.requests.pictures import MaskPicture, Picture, Thumbnail
from jobs.requests.request import GenerateRequest
from jobs.requests.start.mask import Mask

_OF_A_WHOLE, _FAITHFUL, _OF_A_MASK, _OF_A_VARIATION = 0.8, 0.6, 1.0, 0.6


def _picture_alone(value: object) -> object:
    return {"image": value} if isinstance(value, str) else value


class ImageEdit(ImageGeneration):
    """OpenAI's fields of an edit beside those of a generation. The mask is transparent where the picture is painted."""

    events: ClassVar[str] = "image_edit"

    image: Picture
    mask: Annotated[Mask | None, BeforeValidator(_picture_alone)] = None
    input_fidelity: Literal["low", "high"] | None = None
    markup: Any = None
    _has_own_mask: bool = PrivateAttr(False)  # its own transparency
    _has_own_strength: bool = PrivateAttr(True)  # named by the caller

    @property
    def default_strength(self) -> float:
        """The strength of a body that names none."""
        if self.mask is not None:
            return _OF_A_MASK  # what is beneath a mask is often erased
        return _FAITHFUL if self.input_fidelity == "high" else _OF_A_WHOLE

    def with_start(self, mask: str | None) -> Self:
        """The same with the native mask that was made of its own, and with a strength."""
        body = self
        if mask is not None:
            fields = (
                {}
                if self.mask is None
                else {name: getattr(self.mask, name) for name in self.mask.model_fields_set}
            )
            body = body.model_copy(update={"mask": Mask(**{**fields, "image": MaskPicture(mask)})})
        named = names_strength(self)
        if not named:
            body = body.model_copy(update={"strength": body.default_strength})
        body._has_own_mask = mask is not None and self.mask is None
        body._has_own_strength = named
        return body

    @property
    def starts_from_picture(self) -> bool:
        return self._has_own_strength

    def notes(self, wanted: GenerateRequest) -> tuple[str, ...]:
        """A sentence on everything that has no effect, or another one than with OpenAI."""
        notes = super().notes(wanted)
        if self.markup is not None:
            notes += ("markup has no effect on this server",)
        if self._has_own_mask:
            notes += ("there is no mask, so what is transparent in the picture is painted anew",)
        if wanted.edit is not None and wanted.init is None:
            return (*notes, *self._on_an_edit())
        if self.mask is None:
            return (*notes, self._on_the_whole())
        if self.input_fidelity is not None:
            notes += ("input_fidelity has no effect with a mask",)
        return notes

    def _on_the_whole(self) -> str:
        return "without a mask the whole picture is drawn anew from it; a lower strength keeps more of it"

    def _on_an_edit(self) -> tuple[str, ...]:
        fidelity = self.input_fidelity is not None
        return (
            ("input_fidelity has no effect on a model that edits; edit.image_cfg_scale has",)
            if fidelity
            else ()
        )


class ImageVariation(ImageEdit):
    """OpenAI's fields of a variation, which has no prompt; one may be given."""

    prompt: str = ""

    @property
    def default_strength(self) -> float:
        """Lower than that of an edit: nothing but the picture says what is drawn."""
        return _OF_A_VARIATION

    def read_by(self, card: ModelCard) -> Self | None:
        """The same with the picture as one that the model reads; None for a model that reads none, and for a start."""
        is_start = names_strength(self) or self.init is not None or self.mask is not None
        if not card.family.is_told_pictures or self.image_prompts or is_start:
            return None
        prompt = ImagePrompt(image=Thumbnail(self.image))
        return self.model_copy(update={"image": None, "image_prompts": (prompt,)})

    def _on_the_whole(self) -> str:
        if not self.image:
            return (
                "the model reads the picture and draws another like it; with a strength it would draw over it"
            )
        return "a variation is drawn anew from the whole picture; a lower strength keeps more of it"


Body = TypeVar("Body", bound=ImageEdit)
