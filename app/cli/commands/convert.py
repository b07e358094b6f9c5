"""Commands that turn published checkpoints of other layouts into folders that are served. They need no service."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from lodestar.cli.exits import Exit, say

commands = typer.Typer(name="convert", help="Checkpoints of other layouts.")

CONVERSION = "worker.models.conversion.folder"


@commands.callback()
def _group() -> None:
    """A command by itself would lose its name."""


@commands.command()
def adm(
    file: Annotated[
        Path, typer.Argument(help="A state dict: .pt or .safetensors.", exists=True, dir_okay=False)
    ],
    folder: Annotated[Path, typer.Argument(help="To write; it may not exist yet.")],
    px: Annotated[int, typer.Option(min=8, max=4096, help="Side of the pictures that it was trained on.")],
    head_width: Annotated[
        int, typer.Option(min=1, max=4096, help="Channels of an attention's head (num_head_channels).")
    ] = 64,
    new_attention_order: Annotated[
        bool, typer.Option("--new-attention-order", help="It was trained with use_new_attention_order.")
    ] = False,
) -> None:
    """Convert an unconditional checkpoint of guided diffusion (OpenAI 2021, "ADM") for the family `pixels`."""
    from app.stack.preflight import check_worker
    from jobs.errors import ConfigurationError

    options = ["--px", str(px), "--head-width", str(head_width)]
    options += ["--new-attention-order"] if new_attention_order else []
    try:
        check_worker()
    except ConfigurationError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.CONFIGURATION) from error
    ended = subprocess.run(
        [sys.executable, "-P", "-m", CONVERSION, str(file), str(folder), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        lines = ended.stderr.strip().splitlines()
        say(f"lodestar: {lines[-1] if lines else 'the conversion ended early'}")
        raise typer.Exit(Exit.CONFIGURATION)
    found = json.loads(ended.stdout)
    say(f"levels of {', '.join(map(str, found['widths']))} channels, {found['layers']} blocks each")
    typer.echo(folder)
