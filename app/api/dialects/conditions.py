"""Names of adapters, controls and image prompts that Replicate's models and servers of diffusers' pipelines share.

One table for every dialect that takes native fields, as ``customary.py``. Adapters and ControlNets are those of the
catalog, by name: a file or an address of the caller's is never read.
"""

from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BaseModel, Field

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.pictures import Picture, Thumbnail
from jobs.wire import MAX_TEXT_CHARS

_Name = Annotated[str | None, Field(max_length=MAX_TEXT_CHARS)]


class ConditionFields(BaseModel):
    """The fields of ``ADAPTERS``, ``IMAGE_PROMPT`` and ``CONTROL``; their bounds are those of the native ones."""

    lora_weights: _Name = Field(None, description="Name of an adapter of /v1/adapters.")
    replicate_weights: _Name = Field(None, description="The same.")
    lora_scale: float | None = Field(
        None, description="Its weight. Default: the adapter's own. Without an adapter, no effect."
    )
    extra_lora: _Name = Field(None, description="Name of a second adapter.")
    extra_lora_scale: float | None = Field(None, description="Its weight, likewise.")
    image_prompt: Thumbnail | None = Field(
        None, description=f"A picture that the model is told of beside the prompt. {Thumbnail.forms}"
    )
    ip_adapter_image: Thumbnail | None = Field(None, description="The same.")
    image_prompt_strength: float | None = Field(
        None, description="How much it counts, from 0 to 2. Without a picture, no effect."
    )
    ip_adapter_scale: float | None = Field(None, description="The same.")
    control_image: Picture | None = Field(
        None,
        description="The picture that a ControlNet reads. Default, with another field of a ControlNet: `image`. "
        + Picture.forms,
    )
    controlnet: _Name = Field(
        None,
        description="Name of a ControlNet of /v1/controls. Default: the only one that is made for the model.",
    )
    control_type: _Name = Field(None, description="The same.")
    structure: _Name = Field(None, description="The same.")
    condition_scale: float | None = Field(None, description="How much the ControlNet counts.")
    controlnet_conditioning_scale: float | None = Field(None, description="The same.")
    control_strength: float | None = Field(None, description="The same.")
    control_guidance_start: float | None = Field(
        None, description="Share of the run after which the ControlNet counts."
    )
    control_guidance_end: float | None = Field(None, description="Share of the run up to which it does.")
    low_threshold: float | None = Field(None, description="Of canny: an edge goes on above this, of 255.")
    high_threshold: float | None = Field(None, description="Of canny: an edge begins above this.")
    # Models that take several ControlNets number them.
    controlnet_1: _Name = Field(None, description="Name of a first ControlNet of several; `none` for none.")
    controlnet_1_image: Picture | None = Field(None, description="The picture that it reads.")
    controlnet_1_conditioning_scale: float | None = Field(None, description="How much it counts.")
    controlnet_1_start: float | None = Field(None, description="Share of the run after which it counts.")
    controlnet_1_end: float | None = Field(None, description="Share of the run up to which it does.")
    controlnet_2: _Name = Field(None, description="Of a second one.")
    controlnet_2_image: Picture | None = Field(None, description="Of a second one.")
    controlnet_2_conditioning_scale: float | None = Field(None, description="Of a second one.")
    controlnet_2_start: float | None = Field(None, description="Of a second one.")
    controlnet_2_end: float | None = Field(None, description="Of a second one.")
    controlnet_3: _Name = Field(None, description="Of a third one.")
    controlnet_3_image: Picture | None = Field(None, description="Of a third one.")
    controlnet_3_conditioning_scale: float | None = Field(None, description="Of a third one.")
    controlnet_3_start: float | None = Field(None, description="Of a third one.")
    controlnet_3_end: float | None = Field(None, description="Of a third one.")


# The customary names of the fields of a native adapter, image prompt and control. Where a request has several of a row,
# the first counts.
ADAPTERS: tuple[dict[str, tuple[str, ...]], ...] = (
    {"name": ("lora_weights", "replicate_weights"), "weight": ("lora_scale",)},
    {"name": ("extra_lora",), "weight": ("extra_lora_scale",)},
)
IMAGE_PROMPT: dict[str, tuple[str, ...]] = {
    "image": ("image_prompt", "ip_adapter_image"),
    "weight": ("image_prompt_strength", "ip_adapter_scale"),
}
CONTROL: dict[str, tuple[str, ...]] = {
    "model": ("controlnet", "control_type", "structure"),
    "image": ("control_image",),
    "weight": ("condition_scale", "controlnet_conditioning_scale", "control_strength"),
    "start": ("control_guidance_start",),
    "end": ("control_guidance_end",),
    "low": ("low_threshold",),
    "high": ("high_threshold",),
}
NUMBERED: tuple[dict[str, tuple[str, ...]], ...] = tuple(
    {
        "model": (f"controlnet_{number}",),
        "image": (f"controlnet_{number}_image",),
        "weight": (f"controlnet_{number}_conditioning_scale",),
        "start": (f"controlnet_{number}_start",),
        "end": (f"controlnet_{number}_end",),
    }
    for number in (1, 2, 3)
)
_OFF = "none"


class Conditions(NamedTuple):
    """Native fields, and the caller's name of each of their parts."""

    fields: dict[str, Any]
    names: dict[str, str]


Body = TypeVar("Body", bound=ConditionFields)


def with_its_picture(body: Body, within: str = "") -> Body:
    """A body whose ``image`` is its control's picture, if it has a control without one of its own.

    Raises:
        InvalidRequestError: it has none either, or a strength says that the run starts from it.
    """
    asked = _given(body, CONTROL)
    if not asked or "image" in asked:
        return body
    image = getattr(body, "image", None)
    if image is None:
        (_, name), *_ = asked.values()
        raise InvalidRequestError(
            f"{name} needs a picture: give control_image", field=f"{within}control_image"
        )
    if any(getattr(body, name, None) is not None for name in ("prompt_strength", "strength")):
        raise InvalidRequestError(
            "with a strength, image is the picture to start from: give the ControlNet's as control_image",
            field=f"{within}control_image",
        )
    return body.model_copy(update={"image": None, "control_image": image})


def condition_fields(
    body: ConditionFields, card: ModelCard, catalog: Catalog, within: str = ""
) -> Conditions:
    """The native ``adapters``, ``controls`` and ``image_prompts`` that a body stands for; none that it leaves out.

    Args:
        body: also may have the native ones.
        card: of the request's model.
        catalog: names the ControlNets.
        within: what stands before a field's name in an error.

    Raises:
        InvalidRequestError: it has them by both names, or leaves open which ControlNet it means.
    """
    adapters = [given for row in ADAPTERS if "name" in (given := _given(body, row))]
    single = _given(body, CONTROL)
    controls = [single] if single else []
    controls += [given for row in NUMBERED if _is_on(given := _given(body, row), within)]
    for control in controls:
        control.setdefault("model", (_only_control(card, catalog, within), "controlnet"))
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    picture = _given(body, IMAGE_PROMPT)
    prompts = [picture] if "image" in picture else []
    for native, entries in (("adapters", adapters), ("controls", controls), ("image_prompts", prompts)):
        if not entries:
            continue
        (_, first), *_ = entries[0].values()
        if getattr(body, native, None):
            raise InvalidRequestError(
                f"{first} and {native} are the same: give one of them", field=within + first
            )
        fields[native] = [{name: value for name, (value, _) in entry.items()} for entry in entries]
        names |= {
            f"{native}.{number}.{name}": within + chosen
            for number, entry in enumerate(entries)
            for name, (_, chosen) in entry.items()
        }
    return Conditions(fields, names)


def weights_of_nothing(body: ConditionFields) -> list[str]:
    """The given weights of adapters and pictures that are not given."""
    rows = (_given(body, row) for row in (*ADAPTERS, IMAGE_PROMPT))
    return [given["weight"][1] for given in rows if "weight" in given and len(given) == 1]


def _given(body: ConditionFields, row: dict[str, tuple[str, ...]]) -> dict[str, tuple[Any, str]]:
    """The values of a row that a body has, each with the name that it has there."""
    found = {}
    for native, customary in row.items():
        chosen = next((name for name in customary if getattr(body, name) is not None), None)
        if chosen is not None:
            found[native] = getattr(body, chosen), chosen
    return found


def _is_on(control: dict[str, tuple[Any, str]], within: str) -> bool:
    """Whether a numbered control asks for anything: clients leave the values of others in place."""
    name, field = control.get("model", (_OFF, ""))
    if name.lower() == _OFF:
        return False
    if "image" not in control:
        raise InvalidRequestError(f"{field} needs a picture", field=f"{within}{field}_image")
    return True


def _only_control(card: ModelCard, catalog: Catalog, within: str) -> str:
    fitting = [each.id for each in catalog.controls_of(card)]
    if len(fitting) != 1:
        raise InvalidRequestError(
            f"name a ControlNet; made for model {card.id!r}: {', '.join(fitting) or 'none'}",
            field=f"{within}controlnet",
        )
    return fitting[0]
