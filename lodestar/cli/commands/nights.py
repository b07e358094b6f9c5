"""Commands about nights. Each imports what it needs, so that the others answer at once."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lodestar.cli import generation_options as options
from lodestar.cli.completion import clips, night_ids
from lodestar.cli.connection import DEFAULT_URL, AsJson, Url, connected
from lodestar.cli.exits import Exit, each, say
from lodestar.cli.finishing import Quiet

if TYPE_CHECKING:
    from jobs.status.night import Night
    from lodestar.client import Client

commands = typer.Typer()
group = typer.Typer(name="nights", help="Nights: list, follow, finish, cancel, delete.")

Hours = Annotated[float, typer.Option(help="Time to draw in, in hours; up to 24.")]
KeepOf = Annotated[
    str, typer.Option("--keep", metavar="NUMBER|SHARE", help="Pictures to keep: a number, or a share as 5%.")
]
By = Annotated[str, typer.Option(help="Score that ranks: clip or aesthetic.")]
Scorer = Annotated[
    str | None,
    typer.Option(
        help="Id of the CLIP that scores; by default the first that does not guide.", autocompletion=clips
    ),
]
Enlarge = Annotated[
    bool, typer.Option("--upscale/--no-upscale", help="Enlarge what is kept in the end, by 4.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Print the id and follow nothing.")]
NightId = Annotated[str, typer.Argument(help="Id of the night.", autocompletion=night_ids)]
Folder = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder to write the kept pictures to in the end.", file_okay=False),
]
_OWN = {"hours", "keep", "by", "scorer", "upscale"}


@commands.command()
def night(
    prompt: options.Prompt = None,
    hours: Hours = 8,
    keep: KeepOf = "5%",
    by: By = "clip",
    scorer: Scorer = None,
    upscale: Enlarge = True,
    output: Folder = None,
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
    guide: options.Guide = None,
    preset: options.Preset = None,
    guidance_scale: options.GuidanceScale = None,
    cutouts: options.Cutouts = None,
    clip: options.Clip = None,
    embedding: options.Embedding = None,
    adapter: options.Adapter = None,
    label: options.Label = None,
    set_: options.Set = None,
    request: options.Request = None,
    detach: Detach = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw a prompt again and again until the time is over, and keep the best. The service goes on without us.

    Exit codes: 0 done, 1 error, 2 usage, 3 the night failed, 5 it was canceled, 130 Ctrl-C.
    """
    given = locals()
    wanted = options.request_of({name: value for name, value in given.items() if name not in _OWN})
    with connected(url) as client:
        begun = _begin(client, wanted, {name: given[name] for name in _OWN})
        if detach:
            typer.echo(begun.model_dump_json(indent=2) if as_json else begun.id)
            return
        _follow(client, begun.id, output, as_json=as_json, quiet=quiet)


@group.command("list")
def list_(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List nights, newest first. Off a terminal: lines of id, status, numbers and prompt with tabs between."""
    from lodestar.cli.night_line import line_of
    from lodestar.cli.table import print_table

    with connected(url) as client:
        found = client.nights.list()
    if as_json:
        typer.echo(json.dumps([night.model_dump(mode="json") for night in found], indent=2))
    else:
        rows = [(night.id, str(night.status), line_of(night), night.request.prompt) for night in found]
        print_table(("night", "status", "so far", "prompt"), rows)


@group.command()
def follow(
    night_id: NightId,
    output: Folder = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Follow a night to its end, then list the pictures that it keeps. Exit codes as for night."""
    with connected(url) as client:
        _follow(client, night_id, output, as_json=as_json, quiet=quiet)


@group.command()
def show(night_id: NightId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the pictures that a night keeps now, best first."""
    with connected(url) as client:
        _print(client.nights.get(night_id), as_json=as_json)


@group.command()
def finish(night_id: NightId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """End the time to draw in now; what is kept is then enlarged. Prints the status."""
    with connected(url) as client:
        after = client.nights.finish(night_id)
    typer.echo(after.model_dump_json(indent=2) if as_json else after.status)


@group.command()
def cancel(night_id: NightId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Draw and enlarge nothing more; what is kept so far stays. Prints the status."""
    with connected(url) as client:
        after = client.nights.cancel(night_id)
    typer.echo(after.model_dump_json(indent=2) if as_json else after.status)


@group.command()
def delete(
    night_ids: Annotated[list[str], typer.Argument(metavar="NIGHT_ID...", help="Ids of the nights.")],
    url: Url = DEFAULT_URL,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask first, on a terminal.")] = False,
) -> None:
    """Delete nights and all of their pictures, the kept ones too."""
    if not yes and sys.stdin.isatty():
        typer.confirm(
            f"Delete {len(night_ids)} night{'s' * (len(night_ids) > 1)} and the pictures?", abort=True
        )
    with connected(url) as client:
        each(night_ids, client.nights.delete)


def _begin(client: "Client", wanted: Any, own: dict[str, Any]) -> "Night":
    from lodestar.errors import InvalidRequestError

    try:
        return client.nights.begin(wanted, **own)
    except InvalidRequestError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.USAGE) from error


def _follow(client: "Client", night_id: str, output: Path | None, *, as_json: bool, quiet: bool) -> None:
    from jobs.status.night import NightStatus
    from lodestar.cli.night_line import NightLine

    line = NightLine()
    try:
        ended = client.nights.wait(night_id, on_look=None if quiet else line)
    except KeyboardInterrupt as error:
        line.close()
        again = f"{night_id} --url {client.url}"
        say(
            f"Night {night_id} goes on without us. To come back to it, or to end it early:\n"
            f"  lodestar nights follow {again}\n  lodestar nights finish {again}"
        )
        raise typer.Exit(Exit.INTERRUPTED) from error
    line.close()
    if output is not None:
        _write(client, ended, output)
    _print(ended, as_json=as_json)
    if ended.status is NightStatus.FAILED:
        say(
            f"lodestar: night {night_id} failed: {ended.error.message if ended.error else 'no reason is known'}"
        )
        raise typer.Exit(Exit.JOB_FAILED)
    if ended.status is NightStatus.CANCELED:
        say(f"lodestar: night {night_id} was canceled")
        raise typer.Exit(Exit.CANCELED)


def _write(client: "Client", night: "Night", folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place, picture in enumerate(client.nights.pictures(night), 1):
        picture.save(folder / f"{place:03d}-seed-{picture.seed}.png")


def _print(night: "Night", *, as_json: bool) -> None:
    from lodestar.cli.table import print_table

    if as_json:
        typer.echo(night.model_dump_json(indent=2))
        return
    rows = [
        (f"{kept.job_id}/0", f"{kept.score:.4f}", str(kept.seed), f"{kept.width}x{kept.height}")
        for kept in night.kept
    ]
    print_table(("picture", night.by, "seed", "size"), rows)
