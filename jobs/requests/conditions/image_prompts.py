"""The image prompts of a request: pictures that the model is told of beside its text (IP-Adapter)."""

from functools import partial
from typing import Annotated

from pydantic import Field

from jobs.requests.conditions.windows import Windowed
from jobs.requests.pictures import Thumbnail
from jobs.requests.start.init import Fit
from jobs.wire import MAX_ID_CHARS, Wire, same_field

MAX_IMAGE_PROMPTS = 4
MAX_WEIGHT = 2.0
MAX_NOISE_LEVEL = 999


class ResolvedImagePrompt(Windowed, Wire):
    """An image prompt with every default filled in."""

    image: Thumbnail = Field(
        description=f"The picture. {Thumbnail.forms} Its encoder sees a few hundred pixels across, so a thumbnail "
        "will do."
    )
    adapter: str | None = Field(
        None,
        description="Id of an adapter of /v1/image-prompts. Default: the first that is made for the model; none for "
        "models of the family `unclip`, which read pictures by themselves.",
        examples=["ip-sd15"],
    )
    weight: float = Field(
        description="How much the picture counts beside the text: 1 is all, 0 nothing. With a prompt, 0.5 to 0.8 "
        "leave it some say. Default: the adapter's own.",
        examples=[0.7],
    )
    noise_level: int = Field(
        0,
        description="For a model of the family `unclip`: noise that is added to the picture's embedding, from 0 to "
        "999. The more, the freer the variation.",
        examples=[0],
    )
    start: float = Field(0.0, description="Share of the run after which it counts.", examples=[0.0])
    end: float = Field(1.0, description="Share of the run up to which it counts.", examples=[1.0])
    fit: Fit = Field(
        Fit.CROP,
        description="How the picture becomes a square, which is what its encoder sees: `crop` cuts off what is too "
        "wide or too high, as the encoder's own preparation does; `pad` repeats its outermost pixels; `stretch` "
        "changes its proportions.",
    )


_field = partial(same_field, ResolvedImagePrompt)
_Share = Annotated[float, Field(ge=0, le=1)]


class ImagePrompt(Wire):
    """A picture that the model is told of beside the prompt."""

    image: Thumbnail = _field("image", ...)
    adapter: Annotated[str | None, Field(min_length=1, max_length=MAX_ID_CHARS)] = _field("adapter")
    weight: Annotated[float | None, Field(ge=0, le=MAX_WEIGHT)] = _field("weight")
    noise_level: Annotated[int, Field(ge=0, le=MAX_NOISE_LEVEL)] = _field("noise_level", 0)
    start: _Share = _field("start", 0.0)
    end: _Share = _field("end", 1.0)
    fit: Fit = _field("fit", Fit.CROP)
