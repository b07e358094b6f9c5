"""``make demo``: the whole service on this machine, and one guided picture from it."""

import json
import os
from contextlib import suppress
from pathlib import Path

from app.stack.stack import Say, StackOptions, running_stack
from app.stack.supervisor import StopRequested, Supervisor
from lodestar.client import Client

PROMPT = "a red apple on a light blue background"
SEED = 7
PICTURE = Path("demo.png")


def run_demo(options: StackOptions, *, once: bool, say: Say, show: Say) -> None:
    """Start everything, make the picture, and go on serving unless ``once``.

    Args:
        options: of the service.
        once: stop when the picture is written.
        say: called with each message.
        show: called with each result: the path, the status page and a request to paste.

    Raises:
        JobFailedError: the job did not succeed.
        StopRequested: a stop was requested before the picture was there.
    """
    with running_stack(options, say=say) as supervisor:
        path = _picture(options.url, supervisor)
        show(f"Picture:      {_in_words(path.absolute())}")
        show(f"Status page:  {options.url}/")
        show(f"Another one:  {curl_line(options.url)}")
        if once:
            return
        say("Serving until Ctrl-C.")
        with suppress(StopRequested):
            supervisor.watch()


def curl_line(url: str) -> str:
    """A request for the shell that makes another guided picture and waits for it."""
    body = json.dumps({"prompt": PROMPT, "seed": SEED + 1, "guidance": {}})
    return f"curl -s {url}/v1/jobs -H 'Content-Type: application/json' -H 'Prefer: wait=60' -d '{body}'"


def _in_words(path: Path) -> str:
    """A path that can be written to any stream, though its name may be no text."""
    return os.fsencode(path).decode(errors="replace")


def _picture(url: str, supervisor: Supervisor) -> Path:
    with Client(url, sleep=supervisor.sleep) as client:
        generation = client.generate(PROMPT, seed=SEED, guidance=True, progress=True)
        (path,) = generation.save(PICTURE)
        return path
