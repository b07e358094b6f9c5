"""Hostile files, sent to every route that takes some."""

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import httpx

from benchmarks.fuzz.calls.budget import Budget
from benchmarks.fuzz.calls.picture_calls import send_to_dialects
from benchmarks.fuzz.calls.sender import Sender
from benchmarks.fuzz.corpus.pictures import pictures
from benchmarks.fuzz.corpus.sample import Sample
from benchmarks.fuzz.corpus.weights import weights
from benchmarks.fuzz.findings.tally import Finding

_EMBEDDINGS, _IMPORT = "/v1/aesthetic-embeddings", "/v1/aesthetic-embeddings/import"
AT_ONCE = 8
_HEAVY = {"scans-60.jpg", "4000-rgba.png", "4000-rgba16.png", "4000.webp"}
_WAIT = {"Prefer": "wait=10"}
_MOST_BASE64_CHARS = 200_000  # of an objective
# Why a job that read a file may fail.
_REASONS = {"invalid_file", "clip_mismatch"}
_ENDED = {"succeeded", "failed", "canceled"}


def send_files(sender: Sender, chance: Random, budget: Budget, marker: Path) -> None:
    """Each file to each route of its kind, and some to a route of another kind."""
    samples = [*pictures(chance), *weights(chance, marker)]
    chance.shuffle(samples)
    for number, sample in enumerate(samples):
        if budget.is_spent():
            break
        is_picture = _is_picture(sample)
        if is_picture or chance.random() < 0.1:
            _send_picture(sender, sample, number, chance, is_picture=is_picture)
        if not is_picture or chance.random() < 0.1:
            _import(sender, sample, number, is_picture=is_picture)
    _send_at_once(sender, samples)
    if marker.exists():
        sender.tally.found(Finding("code in a file", f"POST {_IMPORT}", f"{marker} has come to be", ""))


def _send_at_once(sender: Sender, samples: list[Sample]) -> None:
    """The pictures that cost most, many at a time: what one takes is not all that counts."""
    heavy = [sample for sample in samples if sample.name in _HEAVY]

    def upload(sample: Sample) -> None:
        files, data = {"pictures": (sample.name, sample.data)}, {"prompt": "a red apple"}
        sender.send("POST /v1/scores", "/v1/scores", f"{AT_ONCE} x {sample.name}", files=files, data=data)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for sample in heavy:
            list(pool.map(upload, [sample] * AT_ONCE))


def _is_picture(sample: Sample) -> bool:
    return not sample.name.endswith((".pt", ".pth", ".npy", ".safetensors", ".exe"))


def _send_picture(sender: Sender, sample: Sample, number: int, chance: Random, *, is_picture: bool) -> None:
    fit = sample.fit if is_picture else False
    uploads = list(_uploads(sample, number))
    for path, options in [chance.choice(uploads)] if sample.is_damaged else uploads:
        _hold(
            sender, sample.name, fit, sender.send(f"POST {path}", path, sample.name, headers=_WAIT, **options)
        )
        if path == _EMBEDDINGS:
            sender.send(f"DELETE {_EMBEDDINGS}/{{name}}", f"{_EMBEDDINGS}/fuzz-{number}", "what was made")
    _upload(sender, sample, fit=fit)
    if not sample.is_damaged or chance.random() < 0.3:
        send_to_dialects(sender, sample, chance, fit=fit)
    encoded = base64.b64encode(sample.data).decode()
    if len(encoded) <= _MOST_BASE64_CHARS and not (sample.is_damaged and chance.random() < 0.7):
        objective = {"type": "image", "image": encoded}
        body = {"prompt": "a red apple", "steps": 2, "guidance": {"cutouts": 1, "objectives": [objective]}}
        answer = sender.send(
            "POST /v1/jobs", "/v1/jobs", f"objective {sample.name}", headers=_WAIT, json=body
        )
        _hold(sender, f"objective {sample.name}", fit, answer)


def _uploads(sample: Sample, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    file = (sample.name, sample.data)
    yield "/v1/scores", {"files": {"pictures": file}, "data": {"prompt": "a red apple"}}
    yield "/v1/search", {"files": {"picture": file}}
    yield _EMBEDDINGS, {"files": {"pictures": file}, "data": {"name": f"fuzz-{number}"}}


def _upload(sender: Sender, sample: Sample, *, fit: bool | None) -> None:
    """As a picture to be named later; what is kept is deleted again, since a caller may not keep many."""
    files = {"files": (sample.name, sample.data)}
    answer = sender.send("POST /v1/uploads", "/v1/uploads", sample.name, files=files)
    if answer is not None and answer.is_success:
        if fit is False:
            sender.found("a wrong file is refused", "POST /v1/uploads", repr(sample.name), answer.request)
        path = f"/v1/uploads/{answer.json()['data'][0]['id']}"
        sender.send("DELETE /v1/uploads/{upload_id}", path, "what was kept")
    elif answer is not None and fit:
        sender.found("a right file is served", "POST /v1/uploads", answer.text[:200], answer.request)


def _import(sender: Sender, sample: Sample, number: int, *, is_picture: bool) -> None:
    name = f"{sample.name}.npy" if is_picture else sample.name
    files, data = {"file": (name, sample.data)}, {"name": f"fuzz-{number}"}
    answer = sender.send(f"POST {_IMPORT}", _IMPORT, name, headers=_WAIT, files=files, data=data)
    _hold(sender, sample.name, False if is_picture else sample.fit, answer, may_be_late=True)
    sender.send(f"DELETE {_EMBEDDINGS}/{{name}}", f"{_EMBEDDINGS}/fuzz-{number}", "what was imported")


def _hold(
    sender: Sender, name: str, fit: bool | None, answer: httpx.Response | None, *, may_be_late: bool = False
) -> None:
    """Hold the answer to a file against what is right.

    Args:
        sender: notes what is wrong.
        name: of the file.
        fit: as of ``Sample``.
        answer: to the call that sent it.
        may_be_late: whether the worker may be the one who refuses, as for weights, which the API does not read.
    """
    if answer is None or answer.status_code >= 500:
        return  # noted already
    operation = f"{answer.request.method} {answer.request.url.path}"

    def found(check: str, message: str) -> None:
        sender.found(check, operation, f"{name!r}: {message}", answer.request)

    if answer.is_error:
        if fit:
            found("a right file is served", answer.text[:200])
        return
    job = _ended(sender, answer.json())
    error = job.get("error") or {}
    if error and error["type"] not in _REASONS:
        found("a job's reason", f"it failed with {error['type']}: {error['message'][:200]}")
    elif error and not may_be_late:
        found("refused at once", f"it was accepted, and failed in the queue: {error['message'][:200]}")
    elif not error and fit is False and job.get("status") != "canceled":
        found("a wrong file is refused", f"its job has {job.get('status')}")


def _ended(sender: Sender, job: dict[str, Any]) -> dict[str, Any]:
    """A job as it stands when it has ended, or after a while."""
    end = time.monotonic() + 10
    while job.get("status", "succeeded") not in _ENDED and time.monotonic() < end:
        time.sleep(0.1)
        answer = sender.send("GET /v1/jobs/{job_id}", f"/v1/jobs/{job['id']}", "a look")
        if answer is None or answer.is_error:
            break
        job = answer.json()
    return job
