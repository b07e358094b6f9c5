"""Commands that make pictures. Each imports what it needs, so that the others answer at once."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli import generation_options as options
from lodestar.cli.connection import DEFAULT_URL, JobId, Url, connected
from lodestar.cli.exits import Exit, end_as, reassure, say
from lodestar.cli.finishing import Quiet, Wait, wait_for_end, wait_line
from lodestar.cli.generation_options import Output

if TYPE_CHECKING:
    from jobs.requests.request import GenerateRequest
    from lodestar.client import Client

commands = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print the job as JSON instead of the paths.")]
Open = Annotated[bool, typer.Option("--open", help="Show the pictures with this machine's viewer.")]


@commands.command()
def generate(
    prompt: options.Prompt = None,
    output: Output = None,
    url: Url = DEFAULT_URL,
    seed: options.Seed = None,
    steps: options.Steps = None,
    cfg_scale: options.CfgScale = None,
    sampler: options.Sampler = None,
    schedule: options.Schedule = None,
    negative_prompt: options.NegativePrompt = None,
    model: options.Model = None,
    width: options.Width = None,
    height: options.Height = None,
    num_images: options.NumImages = None,
    guide: options.Guide = None,
    preset: options.Preset = None,
    guidance_scale: options.GuidanceScale = None,
    cutouts: options.Cutouts = None,
    clip: options.Clip = None,
    best_of: options.BestOf = None,
    keep: options.Keep = None,
    embedding: options.Embedding = None,
    upscale: options.Upscale = None,
    init: options.Init = None,
    strength: options.Strength = None,
    mask: options.Mask = None,
    outpaint: options.Outpaint = None,
    hires: options.Hires = None,
    adapter: options.Adapter = None,
    image_prompt: options.ImagePrompt = None,
    variation_seed: options.VariationSeed = None,
    variation_strength: options.VariationStrength = None,
    label: options.Label = None,
    set_: options.Set = None,
    request: options.Request = None,
    wait: Wait = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    show: Open = False,
) -> None:
    """Make pictures of a prompt and write them as PNG files; prints their paths.

    Exit codes: 0 done, 1 error, 2 usage, 3 the job failed, 5 it was canceled, 6 --wait is over, 130 Ctrl-C.
    """
    _draw(options.request_of(locals()), output, url, wait, as_json, quiet, show)


@commands.command()
def edit(
    picture: options.Edit,
    prompt: options.Instruction,
    output: Output = None,
    url: Url = DEFAULT_URL,
    seed: options.Seed = None,
    steps: options.Steps = None,
    cfg_scale: options.CfgScale = None,
    image_cfg_scale: options.ImageCfgScale = None,
    negative_prompt: options.NegativePrompt = None,
    model: options.Model = None,
    num_images: options.NumImages = None,
    label: options.Label = None,
    set_: options.Set = None,
    wait: Wait = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    show: Open = False,
) -> None:
    """Change a picture as a prompt says: lodestar edit apple.png "make the background blue".

    Without --model, the service's first model that edits does it. Exit codes as for generate.
    """
    given = {**locals(), "edit": picture, "model": model or _editor(url)}
    _draw(options.request_of(given), output, url, wait, as_json, quiet, show)


def _editor(url: str) -> str:
    with connected(url) as client:
        found = next((each.id for each in client.models() if each.kind == "edit"), None)
    if found is None:
        raise typer.BadParameter("the service has no model that edits pictures")
    return found


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
    check_target(output)
    with connected(url) as client:
        _finish(client, job_id, output, wait, as_json, quiet, show)


def _draw(
    wanted: "GenerateRequest",
    output: Path | None,
    url: str,
    wait: float | None,
    as_json: bool,
    quiet: bool,
    show: bool,
) -> None:
    from lodestar.errors import InvalidRequestError

    check_target(output)
    if not quiet:
        reassure(f"Sending the job to {url} ...")
    with connected(url) as client:
        try:
            job_id = client.submit(wanted).id
        except InvalidRequestError as error:
            if not error.errors:
                raise
            say(f"lodestar: {error.message}")
            raise typer.Exit(Exit.USAGE) from error
        _finish(client, job_id, output, wait, as_json, quiet, show)


def check_target(output: Path | None) -> None:
    """Refuse a file that could not be written, before a picture is drawn for it.

    Raises:
        NotWritableError: its folder is not there, or it may not be written.
    """
    from lodestar.errors import NotWritableError

    if output is None:
        return
    if not output.parent.is_dir():
        raise NotWritableError(f"cannot write {output}: there is no folder {output.parent}")
    if not os.access(output if os.path.lexists(output) else output.parent, os.W_OK):
        raise NotWritableError(f"cannot write {output}: permission denied")


def _finish(
    client: "Client",
    job_id: str,
    output: Path | None,
    wait: float | None,
    as_json: bool,
    quiet: bool,
    show: bool,
) -> None:
    from jobs.status.job import JobStatus
    from lodestar.errors import NotWritableError
    from lodestar.generation import save_pictures

    job = wait_for_end(client, job_id, wait, as_json=as_json, quiet=quiet)
    pictures = list(client.jobs.pictures(job)) if job.status is JobStatus.SUCCEEDED else []
    try:
        paths = save_pictures(pictures, output)
    except NotWritableError:
        say(
            f"The service keeps the pictures. To write them elsewhere:\n  {wait_line(client, job.id)} -o FILE"
        )
        raise
    typer.echo(
        job.model_dump_json(indent=2) if as_json else "".join(f"{path}\n" for path in paths), nl=as_json
    )
    for path in paths if show else ():
        typer.launch(str(path))
    end_as(job)
