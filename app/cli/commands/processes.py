"""Commands that start processes. Each imports what it needs, so that the others answer at once."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.errors import ConfigurationError
from jobs.wording import wording
from lodestar.cli.exits import Exit, reassure, say

if TYPE_CHECKING:
    from app.api.settings import ApiSettings

commands = typer.Typer()

Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every one.")]
RootPath = Annotated[
    str | None,
    typer.Option(
        envvar="LODESTAR_ROOT_PATH", help="Prefix under which a proxy serves this, such as /images."
    ),
]
DataDir = Annotated[Path, typer.Option(help="Folder for jobs, pictures and logs.", file_okay=False)]
Models = Annotated[
    Path, typer.Option(envvar="LODESTAR_MODELS_FILE", help="The model catalog.", dir_okay=False)
]
RedisUrl = Annotated[
    str | None,
    typer.Option(envvar="LODESTAR_REDIS_URL", help="Redis or Valkey: redis://, rediss:// or unix://."),
]


@commands.command()
def up(
    host: Host = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = 8000,
    data_dir: DataDir = Path("data"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; by default one, or one per GPU.")
    ] = None,
    redis_url: RedisUrl = None,
    models: Models = Path("models.toml"),
    root_path: RootPath = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the log of every process.")] = False,
) -> None:
    """Start everything on this machine: API, workers, and a private Valkey unless --redis-url names a server."""
    reassure("Starting lodestar ...")
    from app.stack.preflight import free_port
    from app.stack.stack import StackOptions, running_stack
    from app.stack.supervisor import StopRequested

    _require_known_callers(host)
    options = StackOptions(
        host, port or free_port(host), data_dir, models, workers, redis_url, verbose, root_path
    )
    with suppress(StopRequested), running_stack(options, say=say) as supervisor:
        say(f"Ready at {options.url}\nJobs, pictures and logs are in {data_dir.absolute()}\nCtrl-C stops it.")
        supervisor.watch()


@commands.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop when the picture is written.")] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="By default 8000, or a free one.")
    ] = None,
    data_dir: DataDir = Path("data"),
    models: Models = Path("models.toml"),
) -> None:
    """Start everything, make one guided picture (demo.png), and go on serving."""
    reassure("Starting lodestar ...")
    from app.cli.demo import run_demo
    from app.stack.preflight import port_or_a_free_one
    from app.stack.stack import StackOptions
    from app.stack.supervisor import StopRequested

    host = "127.0.0.1"
    options = StackOptions(host, port or port_or_a_free_one(host, 8000), data_dir, models)
    try:
        run_demo(options, once=once, say=say, show=typer.echo)
    except StopRequested as error:
        raise typer.Exit(Exit.INTERRUPTED) from error


@commands.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on.")] = None,
    redis_url: RedisUrl = None,
    models: Annotated[Path | None, typer.Option(help="The model catalog.", dir_okay=False)] = None,
    root_path: RootPath = None,
) -> None:
    """Start only the API. Every other setting is an environment variable, LODESTAR_<NAME>."""
    try:
        given = {"host": host, "port": port, "redis_url": redis_url, "models_file": models}
        _serve({**given, "root_path": root_path})
    except ConfigurationError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.CONFIGURATION) from error


@commands.command()
def worker(
    redis_url: RedisUrl = None,
    models: Annotated[Path | None, typer.Option(help="The model catalog.", dir_okay=False)] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, fp16, bf16 or fp32.")] = None,
    attention: Annotated[str | None, typer.Option(help="auto, xformers or sdpa.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads to compute with.")] = None,
    capacity: Annotated[int | None, typer.Option(min=1, help="Jobs to run at a time.")] = None,
) -> None:
    """Start only a worker. Every other setting is an environment variable, LODESTAR_<NAME>."""
    from app.stack.preflight import check_worker
    from app.stack.stack import WORKER

    check_worker()
    given: dict[str, object] = {
        "redis_url": redis_url,
        "models_file": models,
        "device": device,
        "dtype": dtype,
    }
    given |= {"attention": attention, "threads": threads, "capacity": capacity}
    env = {f"LODESTAR_{name.upper()}": str(value) for name, value in given.items() if value is not None}
    os.execvpe(WORKER[0], WORKER, {**os.environ, **env})


@commands.command("worker-health")
def worker_health(redis_url: RedisUrl = None) -> None:
    """Exit with 0 if a worker of this host is alive, for the health check of its container."""
    from app.cli.worker_health import live_workers_here

    alive = live_workers_here(redis_url or "redis://127.0.0.1:6379/0")
    if not alive:
        raise ConfigurationError("no worker of this host is alive")
    say(f"alive: {', '.join(alive)}")


def _require_known_callers(host: str) -> None:
    """End the command if its API would not start, before anything else does."""
    from app.api.auth_mode import auth_mode

    try:
        auth_mode(_settings({"host": host}))
    except ConfigurationError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.CONFIGURATION) from error


def _serve(given: dict[str, Any]) -> None:
    from app.api.main import serve as serve_api
    from jobs.telemetry import tracing

    with tracing("lodestar-api"):
        serve_api(_settings(given))


def _settings(given: dict[str, Any]) -> "ApiSettings":
    from pydantic import ValidationError

    from app.api.settings import ApiSettings

    try:
        return ApiSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = "LODESTAR_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(f"{name}: {wording(first)}") from error
