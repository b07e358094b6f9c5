"""The models of an installation, and what is made for them, as callers see them."""

from typing import Literal

from pydantic import Field

from jobs.requests.conditions.adapters import AdapterKind
from jobs.requests.conditions.families import FamilyName, ModelKind
from jobs.requests.conditions.maps import Preprocessor
from jobs.requests.objectives import PixelObjective
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.wire import Wire


class Sizes(Wire):
    """Widths and heights that a model supports, in pixels."""

    min_px: int = Field(description="Smallest width and height in pixels.", examples=[48])
    max_px: int = Field(description="Largest width and height in pixels.", examples=[128])
    multiple_px: int = Field(description="Width and height are multiples of this many pixels.", examples=[16])


class Defaults(Wire):
    """Default values of a model."""

    width: int = Field(description="Width in pixels.", examples=[64])
    height: int = Field(description="Height in pixels.", examples=[64])
    steps: int = Field(description="Sampling steps for each picture.", examples=[25])
    cfg_scale: float = Field(description="Classifier-free guidance scale.", examples=[4.0])
    image_cfg_scale: float | None = Field(
        None, description="Guidance scale of the picture, for a model that edits.", examples=[1.5]
    )
    guidance_rescale: float = Field(0.0, description="Share of rescaled guidance.", examples=[0.0])
    clip_skip: int = Field(0, description="Last layers of the text encoders that are left out.", examples=[0])
    sampler: SamplerName = Field(description="Solver of the reverse diffusion.")
    schedule: ScheduleName = Field(description="Noise schedule of this sampler.")
    clip: str = Field(description="Id of the guidance CLIP.", examples=["pocket-m"])
    preset: str = Field(
        "laion", description="Guidance preset; another one in runs of very few steps.", examples=["fast"]
    )


class PresetInfo(Wire):
    """A published method of CLIP guidance."""

    id: str = Field(description="Name for `guidance.preset`.", examples=["laion"])
    scale: float = Field(description="Default strength, in the method's own convention.", examples=[0.1])
    cutouts: int = Field(description="Default number of cutouts at the step that has most.", examples=[48])
    target: str = Field(
        description="What the gradient is taken with respect to: the denoised latents, or the noisy ones, which takes "
        "the way back through the UNet, or both.",
        examples=["denoised"],
    )
    source: str = Field(description="Publication of the method.")
    cost: float | None = Field(
        None,
        description="Time of an average step on the pocket model, that of an unguided one being 1; null if it was not "
        "measured.",
        examples=[1.3],
    )
    gain: float | None = Field(
        None,
        description="Gain on the pocket model in the similarity of picture and prompt, by a CLIP that guides nothing, "
        "but may be flattered; null if it was not measured.",
        examples=[0.033],
    )
    defaults: dict[str, bool | int | float | str] = Field(
        description="Its values of the fields of `guidance` that a request leaves out.",
        examples=[{"scale": 0.1, "stride": 1, "decoder": "vae"}],
    )
    regularizers: tuple[PixelObjective, ...] = Field(
        description="Its objectives besides the prompt, unless a request gives `objectives`."
    )


class ModelInfo(Wire):
    """A model, in OpenAI's shape with our fields added."""

    id: str = Field(description="Name for `model`.", examples=["pocket"])
    aliases: tuple[str, ...] = Field((), description="Other names for `model`.", examples=[["dall-e-3"]])
    object: Literal["model"] = Field("model", description="Always `model`.")
    created: int = Field(
        description="When this server read its catalog, in seconds since 1970.", examples=[1767225600]
    )
    owned_by: str = Field("lodestar", description="Always `lodestar`.")
    description: str = Field(description="Description for a person; may be empty.")
    family: FamilyName = Field(
        description="Kind of its checkpoint: `sizes` is for `sdxl` and its refiner.", examples=["sd"]
    )
    kind: ModelKind = Field(
        ModelKind.TEXT,
        description="`edit` for a model that edits a picture as the prompt says, and needs `edit`; else `text`.",
    )
    examples: tuple[str, ...] = Field(
        (), description="Prompts to begin with; may be empty.", examples=[["noto red apple"]]
    )
    vocabulary: tuple[str, ...] = Field(
        (),
        description="What it was trained to draw, for a model that draws nothing else; empty if that is not known.",
        examples=[["abacus", "accordion"]],
    )
    sizes: Sizes = Field(description="Sizes that it supports.")
    defaults: Defaults = Field(description="Values of the fields that a request leaves out.")
    clips: tuple[str, ...] = Field(
        description="Names for `guidance.clip`.", examples=[["pocket-m", "pocket-s"]]
    )
    samplers: tuple[SamplerName, ...] = Field(description="Names for `sampler`.")
    schedules: dict[SamplerName, tuple[ScheduleName, ...]] = Field(
        description="Names for `schedule`, by sampler.", examples=[{"euler": ["default", "karras"]}]
    )
    guidance_presets: tuple[PresetInfo, ...] = Field(description="Methods of CLIP guidance.")


class ModelList(Wire):
    """All models, the default one first."""

    object: Literal["list"] = Field("list", description="Always `list`.")
    data: tuple[ModelInfo, ...] = Field(description="The models; a request that names none gets the first.")


class AdapterInfo(Wire):
    """A low-rank adapter (LoRA) of the catalog."""

    id: str = Field(description="Name for `adapters.name`.", examples=["ink"])
    description: str = Field(description="Description for a person; may be empty.")
    base: tuple[str, ...] = Field(
        description="Models that it is made for; empty for any whose layers have its shapes.",
        examples=[["pocket"]],
    )
    kind: AdapterKind = Field(
        AdapterKind.LORA, description="`lora`, or `dora`, of which a request has one and no other adapter."
    )
    weight: float = Field(description="Weight of requests that give none.", examples=[1.0])
    triggers: tuple[str, ...] = Field(
        description="Words for prompts, that it was trained with.", examples=[["ink"]]
    )
    licence: str = Field(description="Of its weights; may be empty.", examples=["Apache-2.0"])


class AdapterList(Wire):
    """All adapters, in the catalog's order."""

    data: tuple[AdapterInfo, ...] = Field(description="The adapters.")


class TextualInversionInfo(Wire):
    """A textual inversion of the catalog."""

    id: str = Field(description="Its name in the catalog.", examples=["my-cat"])
    description: str = Field(description="Description for a person; may be empty.")
    word: str = Field(
        description="What stands for it in prompts and negative prompts, in any case.", examples=["<my-cat>"]
    )
    base: tuple[str, ...] = Field(
        description="Models that it is made for; empty for any whose text encoder has its width.",
        examples=[["pocket"]],
    )
    licence: str = Field(description="Of its vectors; may be empty.", examples=["Apache-2.0"])


class TextualInversionList(Wire):
    """All textual inversions, in the catalog's order."""

    data: tuple[TextualInversionInfo, ...] = Field(description="The textual inversions.")


class ControlInfo(Wire):
    """A ControlNet of the catalog."""

    id: str = Field(description="Name for `controls.model`.", examples=["edges"])
    description: str = Field(description="Description for a person; may be empty.")
    base: tuple[str, ...] = Field(
        description="Models that it is made for; empty for any that fits.", examples=[["pocket"]]
    )
    preprocess: Preprocessor = Field(description="What makes its maps, for requests that do not say.")
    licence: str = Field(description="Of its weights; may be empty.", examples=["Apache-2.0"])


class ControlList(Wire):
    """All ControlNets, in the catalog's order, and what makes maps."""

    data: tuple[ControlInfo, ...] = Field(description="The ControlNets.")
    preprocessors: tuple[Preprocessor, ...] = Field(description="Names for `controls.preprocess`.")


class ImagePromptInfo(Wire):
    """An adapter of the catalog that tells models of pictures (IP-Adapter)."""

    id: str = Field(description="Name for `image_prompts.adapter`.", examples=["ip-sd15"])
    description: str = Field(description="Description for a person; may be empty.")
    base: tuple[str, ...] = Field(
        description="Models that it is made for; empty for any that fits.", examples=[["pocket"]]
    )
    weight: float = Field(description="Weight of requests that give none.", examples=[1.0])
    licence: str = Field(description="Of its weights; may be empty.", examples=["Apache-2.0"])


class ImagePromptList(Wire):
    """All adapters for image prompts, in the catalog's order; by default the first counts that is for a model."""

    data: tuple[ImagePromptInfo, ...] = Field(description="The adapters.")
