"""Commands about published aesthetic predictors and embeddings."""

from pathlib import Path
from typing import Annotated

import typer

from lodestar.cli.exits import say

commands = typer.Typer(name="assets", help="Published aesthetic predictors and embeddings.")

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="Groups, or group/file; everything if left out."),
]
List = Annotated[
    Path | None,
    typer.Option("--list", help="Another list of files, such as one of a mirror.", dir_okay=False),
]
Folder = Annotated[Path, typer.Option("--to", help="Folder to keep them in.", file_okay=False)]


@commands.command("list")
def list_(assets: List = None) -> None:
    """List the files: each one's name, and its group's licence."""
    from app.cli.published import PUBLISHED, load_groups

    for name, group in load_groups(assets or PUBLISHED).items():
        say(f"{name}: {group.description} Licence: {group.licence}.")
        for file in group.sha256:
            typer.echo(f"{name}/{file}")


@commands.command()
def pull(names: Names = None, to: Folder = Path("data/assets"), assets: List = None) -> None:
    """Fetch files that are not there yet, and check all of them; prints their paths."""
    import httpx

    from app.cli.published import PUBLISHED, TIMEOUT_S, find_assets, load_groups
    from app.cli.published import pull as pull_one

    wanted = find_assets(names or (), load_groups(assets or PUBLISHED))
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as http:
        for asset in wanted:
            was_fetched = pull_one(asset, to, http)
            say(f"{'fetched' if was_fetched else 'already there'}: {asset.name}")
            typer.echo(to / asset.name)
