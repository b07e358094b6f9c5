"""The options of a generation, and the request that they make."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from jobs.requests.request import GenerateRequest

Prompt = Annotated[str, typer.Argument(help="Description of the picture.")]
NegativePrompt = Annotated[str | None, typer.Option(help="Description of what to avoid.")]
Model = Annotated[str | None, typer.Option(help="Id of the model.")]
Width = Annotated[int | None, typer.Option(help="Width in pixels.")]
Height = Annotated[int | None, typer.Option(help="Height in pixels.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the first picture; random if left out.")]
Steps = Annotated[int | None, typer.Option(help="Sampling steps.")]
CfgScale = Annotated[float | None, typer.Option(help="Classifier-free guidance scale.")]
Sampler = Annotated[str | None, typer.Option(help="Solver of the reverse diffusion.")]
Schedule = Annotated[str | None, typer.Option(help="Noise schedule.")]
NumImages = Annotated[int | None, typer.Option("-n", "--num-images", "--images", help="Number of pictures.")]
Guide = Annotated[
    bool | None, typer.Option("--guide/--no-guide", help="CLIP guidance; on if one of its options is given.")
]
Preset = Annotated[str | None, typer.Option(help="Method of the guidance; `lodestar models` lists them.")]
GuidanceScale = Annotated[float | None, typer.Option(help="Strength of the guidance.")]
Cutouts = Annotated[int | None, typer.Option(help="Augmented cutouts that CLIP sees at each step.")]
Clip = Annotated[str | None, typer.Option(help="Id of the guidance CLIP.")]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="File to write; by default named after the job.", dir_okay=False),
]


def guidance_of(guide: bool | None, **options: Any) -> dict[str, Any] | None:
    """Guidance with the options that were given; None if it is off.

    Raises:
        typer.BadParameter: it is off, and an option was given.
    """
    given = _given(options)
    if guide is False and given:
        raise typer.BadParameter("--no-guide contradicts the options of the guidance")
    return given if guide or given else None


def request_of(**options: Any) -> "GenerateRequest":
    """The request of the options that were given.

    Raises:
        typer.BadParameter: one is out of its bounds.
    """
    from lodestar.errors import InvalidRequestError
    from lodestar.http import calls

    given = _given(options)
    try:
        return calls.request_of(given.pop("prompt"), given)
    except InvalidRequestError as error:
        raise typer.BadParameter(error.message) from error


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
