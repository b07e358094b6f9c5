"""The options of a generation, and the request that they make."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lodestar.cli import completion

if TYPE_CHECKING:
    from jobs.requests.request import GenerateRequest

Prompt = Annotated[
    str | None, typer.Argument(help="Description of the picture; needed unless --request has it.")
]
NegativePrompt = Annotated[str | None, typer.Option(help="Description of what to avoid.")]
Model = Annotated[str | None, typer.Option(help="Id of the model.", autocompletion=completion.models)]
Width = Annotated[int | None, typer.Option(help="Width in pixels.")]
Height = Annotated[int | None, typer.Option(help="Height in pixels.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the first picture; random if left out.")]
Steps = Annotated[int | None, typer.Option(help="Sampling steps.")]
CfgScale = Annotated[float | None, typer.Option(help="Classifier-free guidance scale.")]
Sampler = Annotated[
    str | None, typer.Option(help="Solver of the reverse diffusion.", autocompletion=completion.samplers)
]
Schedule = Annotated[str | None, typer.Option(help="Noise schedule.", autocompletion=completion.schedules)]
NumImages = Annotated[int | None, typer.Option("-n", "--num-images", "--images", help="Number of pictures.")]
Guide = Annotated[
    bool | None, typer.Option("--guide/--no-guide", help="CLIP guidance; on if one of its options is given.")
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="Method of the guidance; `lodestar presets` lists them.", autocompletion=completion.presets
    ),
]
GuidanceScale = Annotated[float | None, typer.Option(help="Strength of the guidance.")]
Cutouts = Annotated[int | None, typer.Option(help="Augmented cutouts that CLIP sees at each step.")]
Clip = Annotated[str | None, typer.Option(help="Id of the guidance CLIP.", autocompletion=completion.clips)]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="File to write; by default named after the job.", dir_okay=False),
]


BestOf = Annotated[int | None, typer.Option(help="Make so many candidates and keep the best.")]
Keep = Annotated[int | None, typer.Option(help="Candidates to keep; 1 by default.")]
Embedding = Annotated[
    str | None,
    typer.Option(help="Aesthetic embedding to personalize towards.", autocompletion=completion.embeddings),
]
Upscale = Annotated[int | None, typer.Option(help="Enlarge the pictures, by 2 or 4.")]
Init = Annotated[
    str | None,
    typer.Option(
        "--image",
        "--init",
        metavar="PICTURE",
        help="Start from this file, or from the picture JOB_ID/INDEX.",
    ),
]
Edit = Annotated[
    str, typer.Argument(metavar="PICTURE", help="The picture to edit: a file, or JOB_ID/INDEX of a job's.")
]
Instruction = Annotated[str, typer.Argument(metavar="PROMPT", help="What to change.")]
ImageCfgScale = Annotated[float | None, typer.Option(help="How closely the result keeps to the picture.")]
Strength = Annotated[float | None, typer.Option(help="How much of that picture is drawn anew, up to 1.")]
Mask = Annotated[
    str | None,
    typer.Option(metavar="PICTURE", help="White where that picture is drawn anew; named likewise."),
]
Outpaint = Annotated[
    str | None,
    typer.Option(
        metavar="SIDES", help="Pixels to add to that picture, as right=32,down=16; one number for all sides."
    ),
]
Hires = Annotated[
    float | None, typer.Option(metavar="SCALE", help="Draw twice, the second time larger by this factor.")
]
ImagePrompt = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PICTURE[=WEIGHT]",
        help="Tell the model of this file, or of JOB_ID/INDEX, beside the prompt; may be given again.",
    ),
]
Adapter = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=WEIGHT]",
        help="Draw with this LoRA of the catalog; may be given again.",
        autocompletion=completion.adapters,
    ),
]
VariationSeed = Annotated[
    int | None, typer.Option(help="Vary the picture of --seed towards that of this one.")
]
VariationStrength = Annotated[
    float | None, typer.Option(help="How far: 0 is the picture of --seed, 1 the other; 0.1 by default.")
]
Label = Annotated[
    list[str] | None,
    typer.Option(help="Word to find the job by, as in `lodestar jobs --label`; may be given again."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Any field, as guidance.end=0.8; may be given again."),
]
Request = Annotated[
    Path | None,
    typer.Option(
        "--request", help="JSON file with a request, - for stdin; options override it.", allow_dash=True
    ),
]

# The fields of a request, by the options that set them; --set reaches all others.
_FIELDS = {
    **{name: name for name in ("prompt", "negative_prompt", "model", "width", "height", "num_images")},
    **{name: name for name in ("seed", "steps", "cfg_scale", "sampler", "schedule")},
    "preset": "guidance.preset",
    "guidance_scale": "guidance.scale",
    "cutouts": "guidance.cutouts",
    "clip": "guidance.clip",
    "best_of": "select.candidates",
    "keep": "select.keep",
    "embedding": "personalization.embedding",
    "upscale": "upscale.factor",
    "edit": "edit.image",
    "image_cfg_scale": "edit.image_cfg_scale",
    "init": "init.image",
    "strength": "init.strength",
    "mask": "mask.image",
    "outpaint": "outpaint",
    "label": "labels",
    "hires": "hires.scale",
    "variation_seed": "variation.seed",
    "variation_strength": "variation.strength",
    "image_prompt": "image_prompts",
    "adapter": "adapters",
}
_SIDES = ("left", "right", "up", "down")
_VARIATION_STRENGTH = 0.1  # of --variation-seed alone; the API has no default


def request_of(options: Mapping[str, Any]) -> "GenerateRequest":
    """The request of the options that were given, by their names here.

    Raises:
        typer.BadParameter: one is out of its bounds, or contradicts another.
        NotReadableError: a picture cannot be read.
    """
    from jobs.requests.guidance import in_full
    from lodestar.errors import InvalidRequestError
    from lodestar.http import calls

    fields = _read(options.get("request"))
    if "guidance" in fields:
        fields["guidance"] = in_full(fields["guidance"])
    for name, path in _FIELDS.items():
        if (value := options.get(name)) is not None:
            _put(fields, path, _read_option(name, value))
    for text in options.get("set_") or ():
        path, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set needs FIELD=VALUE, not {text!r}")
        _put(fields, path, _value(value))
    _guide(fields, options.get("guide"))
    if options.get("variation_seed") is not None:
        fields["variation"].setdefault("strength", _VARIATION_STRENGTH)
    try:
        return calls.request_of(None, fields)
    except InvalidRequestError as error:
        raise typer.BadParameter(error.message) from error


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        fields = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"--request: {file} cannot be read: {error}") from error
    if not isinstance(fields, dict):
        raise typer.BadParameter(f"--request: {file} holds no JSON object")
    return fields


def _read_option(name: str, value: Any) -> Any:
    from lodestar.inputs import named_or_path

    if name in {"init", "mask", "edit"}:
        return named_or_path(value)
    if name == "image_prompt":
        return [{"image": named_or_path(picture), **weight} for picture, weight in map(_weighted, value)]
    if name == "adapter":
        return [{"name": adapter, **weight} for adapter, weight in map(_weighted, value)]
    return _sides(value) if name == "outpaint" else value


def _weighted(text: str) -> tuple[str, dict[str, float]]:
    """A name, and its weight if there is one behind it."""
    name, _, weight = text.rpartition("=")
    try:
        return name, {"weight": float(weight)}
    except ValueError:
        return text, {}


def _sides(text: str) -> dict[str, str]:
    """Pixels by side. The request checks the numbers."""
    if text.isdecimal():
        return dict.fromkeys(_SIDES, text)
    pairs = [pair.strip().partition("=") for pair in text.split(",")]
    sides = {side: px for side, _, px in pairs}
    if not all(equals for _, equals, _ in pairs) or len(sides) < len(pairs):
        raise typer.BadParameter(
            f"--outpaint needs sides once each, as right=32,down=16, or one number for all, not {text!r}"
        )
    return sides


def _put(fields: dict[str, Any], path: str, value: object) -> None:
    """Set a field, or a field of a field."""
    *outer, name = path.split(".")
    for each in outer:
        inner = fields.get(each)
        fields[each] = inner if isinstance(inner, dict) else {}
        fields = fields[each]
    fields[name] = value


def _value(text: str) -> object:
    """A value as JSON; what is none is a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _guide(fields: dict[str, Any], guide: bool | None) -> None:
    if guide is False and fields.get("guidance"):
        raise typer.BadParameter("--no-guide contradicts the options of the guidance")
    if guide is not None:
        fields["guidance"] = (fields.get("guidance") or {}) if guide else None
