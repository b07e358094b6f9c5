"""Commands that make pictures. Each imports what it needs, so that the others answer at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.connection import DEFAULT_URL, JobId, Url, connected
from app.cli.exits import end_as, reassure
from app.cli.finishing import Quiet, Wait, wait_for_end

if TYPE_CHECKING:
    from app.client.jobs import Client
    from jobs.requests.request import GenerateRequest

commands = typer.Typer()

Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="File to write; by default named after the job.", dir_okay=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the job as JSON instead of the paths.")]
Open = Annotated[bool, typer.Option("--open", help="Show the pictures with this machine's viewer.")]


@commands.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What the picture should show.")],
    output: Output = None,
    url: Url = DEFAULT_URL,
    seed: Annotated[int | None, typer.Option(help="Seed of the first picture; random if left out.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    cfg_scale: Annotated[float | None, typer.Option(help="Classifier-free guidance scale.")] = None,
    sampler: Annotated[str | None, typer.Option(help="Solver of the reverse diffusion.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What it should not show.")] = None,
    model: Annotated[str | None, typer.Option(help="Id of the model.")] = None,
    width: Annotated[int | None, typer.Option(help="Width in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Height in pixels.")] = None,
    num_images: Annotated[
        int | None, typer.Option("-n", "--num-images", "--images", help="Number of pictures.")
    ] = None,
    guide: Annotated[
        bool | None,
        typer.Option("--guide/--no-guide", help="CLIP guidance; on if one of its options is given."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Method of the guidance; `lodestar models` lists them.")
    ] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="Strength of the guidance.")] = None,
    cutouts: Annotated[
        int | None, typer.Option(help="Augmented views that CLIP judges at each step.")
    ] = None,
    clip: Annotated[str | None, typer.Option(help="Id of the CLIP that guides.")] = None,
    wait: Wait = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    show: Open = False,
) -> None:
    """Make pictures of a prompt and write them as PNG files; prints their paths.

    Exit codes: 0 done, 1 error, 2 usage, 3 the job failed, 5 it was canceled, 6 --wait is over, 130 Ctrl-C.
    """
    guidance = _given(preset=preset, scale=guidance_scale, cutouts=cutouts, clip=clip)
    if guide is False and guidance:
        raise typer.BadParameter("--no-guide contradicts the options of the guidance")
    request = _request(
        prompt=prompt,
        negative_prompt=negative_prompt,
        model=model,
        width=width,
        height=height,
        steps=steps,
        cfg_scale=cfg_scale,
        sampler=sampler,
        seed=seed,
        num_images=num_images,
        guidance=guidance if guide or guidance else None,
    )
    if not quiet:
        reassure(f"Sending the job to {url} ...")
    with connected(url) as client:
        _finish(client, client.submit(request).id, output, wait, as_json, quiet, show)


@commands.command("wait")
def wait_for(
    job_id: JobId,
    output: Output = None,
    url: Url = DEFAULT_URL,
    wait: Wait = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    show: Open = False,
) -> None:
    """Wait for a job and write its pictures. Exit codes as for generate."""
    with connected(url) as client:
        _finish(client, job_id, output, wait, as_json, quiet, show)


def _finish(
    client: "Client",
    job_id: str,
    output: Path | None,
    wait: float | None,
    as_json: bool,
    quiet: bool,
    show: bool,
) -> None:
    from app.client.follow import save_pictures

    job = wait_for_end(client, job_id, wait, as_json=as_json, quiet=quiet)
    paths = save_pictures(client, job, output)
    typer.echo(
        job.model_dump_json(indent=2) if as_json else "".join(f"{path}\n" for path in paths), nl=as_json
    )
    for path in paths if show else ():
        typer.launch(str(path))
    end_as(job)


def _request(**fields: Any) -> "GenerateRequest":
    from pydantic import ValidationError

    from jobs.requests.request import GenerateRequest

    try:
        return GenerateRequest(**_given(**fields))
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
