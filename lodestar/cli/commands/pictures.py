"""Commands that make pictures. Each imports what it needs, so that the others answer at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli import generation_options as options
from lodestar.cli.connection import DEFAULT_URL, JobId, Url, connected
from lodestar.cli.exits import end_as, reassure
from lodestar.cli.finishing import Quiet, Wait, wait_for_end
from lodestar.cli.generation_options import Output

if TYPE_CHECKING:
    from lodestar.client import Client

commands = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print the job as JSON instead of the paths.")]
Open = Annotated[bool, typer.Option("--open", help="Show the pictures with this machine's viewer.")]


@commands.command()
def generate(
    prompt: options.Prompt,
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
    wait: Wait = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    show: Open = False,
) -> None:
    """Make pictures of a prompt and write them as PNG files; prints their paths.

    Exit codes: 0 done, 1 error, 2 usage, 3 the job failed, 5 it was canceled, 6 --wait is over, 130 Ctrl-C.
    """
    guidance = options.guidance_of(guide, preset=preset, scale=guidance_scale, cutouts=cutouts, clip=clip)
    texts = {"prompt": prompt, "negative_prompt": negative_prompt, "model": model}
    sizes = {"width": width, "height": height, "num_images": num_images}
    sampling = {
        "steps": steps,
        "cfg_scale": cfg_scale,
        "sampler": sampler,
        "schedule": schedule,
        "seed": seed,
    }
    request = options.request_of(**texts, **sizes, **sampling, guidance=guidance)
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
    from jobs.status.job import JobStatus
    from lodestar.generation import save_pictures

    job = wait_for_end(client, job_id, wait, as_json=as_json, quiet=quiet)
    pictures = list(client.jobs.pictures(job)) if job.status is JobStatus.SUCCEEDED else []
    paths = save_pictures(pictures, output)
    typer.echo(
        job.model_dump_json(indent=2) if as_json else "".join(f"{path}\n" for path in paths), nl=as_json
    )
    for path in paths if show else ():
        typer.launch(str(path))
    end_as(job)
