"""The first minute in a real Firefox: what Chromium's tests check at length must not be Chromium's alone."""

from collections.abc import Callable

import httpx
import pytest

from jobs.status.job import GuidedStep
from tests.app.played_worker import PlayedWorker
from tests.firefox import running_firefox

pytestmark = pytest.mark.timeout(300)

ENTER, CONTROL, RIGHT = "\ue007", "\ue009", "\ue014"  # keys of WebDriver


def test_firefox_shows_what_chromium_shows(
    live: httpx.Client, ask: Callable[..., str], worker: PlayedWorker
) -> None:
    with running_firefox() as firefox:
        firefox.open(str(live.base_url))
        firefox.run("window.wrong = []; addEventListener('error', (event) => wrong.push(event.message))")
        firefox.wait("document.querySelector('#field-steps')")
        firefox.press(f"a green pear{CONTROL}{ENTER}", "#prompt")
        firefox.wait("document.querySelector('#jobs .badge')?.textContent === 'queued, next'")
        (job,) = live.get("/v1/jobs").json()["data"]
        lease = worker.claim(job["id"])
        trace = tuple(
            GuidedStep(step=step, loss=1 / (step + 1), losses=(0.1,), gradient_rms=0.1) for step in range(5)
        )
        made = tuple(image.model_copy(update={"trace": trace}) for image in worker.store(lease))
        worker.leases.succeed(lease, made)
        firefox.wait("document.querySelector('#jobs img.small')?.naturalWidth === 64")
        beside = firefox.run(
            "const [form, list] = ['form', 'jobs'].map((id) => document.getElementById(id)"
            ".getBoundingClientRect()); return form.right < list.left"
        )
        assert beside
        firefox.run("location.hash = arguments[0]", f"#/jobs/{job['id']}")
        firefox.wait("document.querySelector('.results img')?.naturalWidth === 64")
        firefox.press(RIGHT, ".curve")
        firefox.wait("document.querySelector('.read-out').textContent === 'step 2: 0.5'")
        firefox.run("document.querySelector('.results a').click()")
        firefox.wait("document.querySelector('dialog.lightbox img').width % 64 === 0")
        firefox.run("document.querySelector('dialog.lightbox').close()")
        for number in range(3):
            ask(prompt=f"it waits {number}")
        firefox.open(f"{live.base_url}?status=queued&view=table", width=500)
        firefox.wait("document.querySelectorAll('.job-table tbody tr').length === 3")
        first = "document.querySelector('.job-table tbody .col-prompt').textContent"
        assert firefox.run(f"return {first}") == "it waits 0"
        assert firefox.run("return document.documentElement.scrollWidth - innerWidth") <= 0
        assert firefox.run("return window.wrong ?? []") == []
