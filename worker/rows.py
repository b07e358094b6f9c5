"""The conditions of the denoiser, row by row."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from torch import Tensor

from worker.canvas import Canvas


@dataclass(frozen=True, eq=False)
class TextStates:
    """What the text encoders of a model make of one wording; tensors lie on the model's device.

    Attributes:
        context: states of its tokens, [1, k L, D], of k windows.
        pooled: of the text as a whole, [1, P]; None where the denoiser reads none.
    """

    context: Tensor
    pooled: Tensor | None = None


@dataclass(frozen=True)
class AdapterUse:
    """An adapter and how much of its change a network gets: 1 for all, negative for the opposite.

    Attributes:
        adapter: its id in the catalog.
        weight: of the change.
    """

    adapter: str
    weight: float


class Emphasis(StrEnum):
    """How the weight of a control goes over its n + 1 residuals, from the first skip to the middle."""

    FLAT = "flat"  # w
    SOFT = "soft"  # w 0.825^(n - i), as the web UI's extension weakens the outer ones
    RISING = "rising"  # w 10^(i / n - 1), as diffusers' guess mode does

    def scales(self, weight: float, last: int) -> list[float]:
        """Of the residuals 0 to ``last``."""
        match self:
            case Emphasis.FLAT:
                return [weight] * (last + 1)
            case Emphasis.SOFT:
                return [weight * 0.825 ** (last - number) for number in range(last + 1)]
            case Emphasis.RISING:
                return [weight * 10 ** (number / last - 1) for number in range(last + 1)]


@dataclass(frozen=True, eq=False)
class ControlUse:
    """A ControlNet, and the map that it reads.

    Attributes:
        control: its id in the catalog.
        canvas: the map, at the size of the picture.
        weight: of its residuals, more than 0.
        emphasis: how the weight goes over these.
    """

    control: str
    canvas: Canvas
    weight: float
    emphasis: Emphasis = Emphasis.FLAT


@dataclass(frozen=True, eq=False)
class ImagePromptUse:
    """A picture that cross-attentions read beside the text.

    Attributes:
        adapter: id in the catalog of what makes tokens of it.
        canvas: the picture, of any size; None for none, as the adapter learned to read it.
        weight: of its values in the attention, more than 0.
    """

    adapter: str
    canvas: Canvas | None
    weight: float


@dataclass(frozen=True, eq=False)
class PictureLabel:
    """Pictures that an unCLIP denoiser is told of, as one embedding with noise.

    Attributes:
        pictures: each with its weight, more than 0.
        noise_level: timestep of the noise.
        noise: standard normal, [1, E], on the CPU.
    """

    pictures: tuple[tuple[Canvas, float], ...]
    noise_level: int
    noise: Tensor


@dataclass(frozen=True, eq=False)
class Row:
    """The conditions of one row of the denoiser's batch; tensors lie on the model's device.

    All guidance by rows is a weighted sum of the denoiser's outputs, whose weights sum to 1: (w, 1 - w) for
    classifier-free guidance (Ho & Salimans 2022, eq. 6), (w_T, w_I - w_T, 1 - w_I) for InstructPix2Pix (Brooks et al.
    2023, eq. 3), (1,) without guidance.

    Attributes:
        context: states of the text's tokens, [1, L, D].
        weight: of the row's output in the combined one.
        vector: pooled text and sizes, [1, V]; for models that are told one.
        guidance: embedding of the guidance scale, [1, G]; likewise.
        channels: beside the latents, such as a mask or an encoded picture, [1, K, h, w]; likewise.
        adapters: of the denoiser for this row alone.
        controls: whose residuals are added for this row alone.
        image_prompts: that cross-attentions read for this row alone.
        label: in place of the vector, for models that read pictures; None for none.
    """

    context: Tensor
    weight: float = 1.0
    vector: Tensor | None = None
    guidance: Tensor | None = None
    channels: Tensor | None = None
    adapters: tuple[AdapterUse, ...] = ()
    controls: tuple[ControlUse, ...] = ()
    image_prompts: tuple[ImagePromptUse, ...] = ()
    label: PictureLabel | None = None

    @cached_property
    def key(self) -> Hashable:
        """The shapes of the conditions, in which the rows of one batch agree. All that is named by an id may differ."""
        others = (
            None if part is None else part.shape[1:] for part in (self.vector, self.guidance, self.channels)
        )
        return self.context.shape[1:], *others


Rows = tuple[Row, ...]  # of one picture, the conditional one first
