"""The command that says what a picture's file carries, and whether the service draws it again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli.connection import DEFAULT_URL, Url, connected
from lodestar.cli.exits import Exit
from lodestar.cli.finishing import Quiet, wait_for_end

if TYPE_CHECKING:
    from lodestar.client import Client
    from lodestar.verification import Redrawn, Report

commands = typer.Typer()


@commands.command()
def verify(
    file: Annotated[Path, typer.Argument(help="PNG, JPEG or WebP file.")],
    redraw: Annotated[
        bool, typer.Option("--redraw", help="Have the service draw the picture again, and compare.")
    ] = False,
    job: Annotated[
        str | None, typer.Option(help="Id of the job that made it; by default the file's own request counts.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Say what a picture's file carries: mark, content credentials, request.

    Exit codes: 0 if the file says that a model has made it, and with --redraw if the service draws it alike; else 1.
    """
    from lodestar.verification import inspect

    data = _content(file)
    report = inspect(data)
    if redraw or job is not None:
        with connected(url) as client:
            report = report.model_copy(update={"redrawn": _redrawn(client, data, job, quiet)})
    typer.echo(report.model_dump_json(indent=2) if as_json else _words(report))
    is_other = report.redrawn is not None and report.redrawn.verdict == "different"
    if is_other or not report.says_generated:
        raise typer.Exit(Exit.ERROR)


def _content(file: Path) -> bytes:
    from lodestar.errors import NotReadableError

    try:
        return file.read_bytes()
    except OSError as error:
        raise NotReadableError(f"cannot read {file}: {error.strerror}") from error


def _redrawn(client: "Client", file: bytes, job_id: str | None, quiet: bool) -> "Redrawn":
    from jobs.status.job import JobStatus
    from lodestar.cli.exits import end_as
    from lodestar.verification import compare, judged, request_again, request_in

    if job_id is None:
        wanted = request_in(file)
    else:
        wanted = request_again(client.jobs.get(job_id).request.model_dump(mode="json"))
    ended = wait_for_end(client, client.submit(wanted).id, None, as_json=False, quiet=quiet)
    if ended.status is not JobStatus.SUCCEEDED:
        end_as(ended)
    return judged(ended.id, {each.index: compare(file, each.data) for each in client.jobs.pictures(ended)})


def _words(report: "Report") -> str:
    lines = [("format", report.form)]
    mark, credentials = report.mark, report.credentials
    lines.append(("mark", "none" if mark is None else str(mark.source)))
    if mark is not None:
        lines += [("generator", mark.generator or "unknown"), ("model", mark.model or "unknown")]
    signed = f", signed by {credentials.issuer}" if credentials.issuer else ""
    problems = f" ({', '.join(credentials.problems)})" if credentials.problems else ""
    lines.append(("content credentials", f"{credentials.state}{signed}{problems}"))
    lines.append(("request", "whole" if report.has_request else "as text" if report.infotext else "none"))
    if report.infotext:
        lines.append(("infotext", report.infotext.replace("\n", "\n  ")))
    if report.redrawn is not None:
        psnr = "" if report.redrawn.psnr_db is None else f", PSNR {report.redrawn.psnr_db} dB"
        lines.append(("drawn again", f"{report.redrawn.verdict}{psnr}, job {report.redrawn.job}"))
    return "\n".join(f"{name}: {value}" for name, value in lines)
