"""Files in the routes of other services' dialects: edits, variations, img2img, extras, files of predictions."""

import base64
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from benchmarks.fuzz.calls.sender import Sender
from benchmarks.fuzz.corpus.sample import Sample

_A1111, _OPENAI, _FILES = "/sdapi/v1", "/v1/images", "/v1/files"
_MOST_BYTES = 150_000  # of a file that is sent as text


def send_to_dialects(sender: Sender, sample: Sample, chance: Random, *, fit: bool | None) -> None:
    """Send a file to a route of each dialect, drawn at random.

    Args:
        sender: notes what is wrong.
        sample: the file.
        chance: draws the routes.
        fit: as of ``Sample``; None if either is right.
    """
    _send_form(sender, sample, chance.choice(("edits", "edits with a mask", "variations")), fit=fit)
    if len(sample.data) <= _MOST_BYTES:
        _send_text(sender, sample, chance.choice(sorted(_BODIES)), fit=fit)
    if chance.random() < 0.5:
        _keep(sender, sample, fit=fit)


def _img2img(picture: str) -> dict[str, Any]:
    return {"init_images": [picture], "prompt": "a pear", "steps": 1, "width": 64, "height": 64}


def _resized(picture: str) -> dict[str, Any]:
    return {"image": picture, "upscaler_1": "Lanczos", "upscaling_resize": 1.5}


def _resized_in_a_batch(picture: str) -> dict[str, Any]:
    return {
        "imageList": [{"data": picture, "name": "a"}] * 2,
        "upscaler_1": "Nearest",
        "upscaling_resize": 0.5,
    }


_BODIES: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "img2img": _img2img,
    "extra-single-image": _resized,
    "extra-batch-images": _resized_in_a_batch,
    "png-info": lambda picture: {"image": picture},
    "interrogate": lambda picture: {"image": picture},
}


def _send_text(sender: Sender, sample: Sample, name: str, *, fit: bool | None) -> None:
    operation, body = f"POST {_A1111}/{name}", _BODIES[name](base64.b64encode(sample.data).decode())
    # Only the head of a file is read for its texts.
    is_wrong = fit is False and name != "png-info"
    _hold(sender, operation, sample, fit=False if is_wrong else fit or None, json=body)


def _send_form(sender: Sender, sample: Sample, how: str, *, fit: bool | None) -> None:
    name, file = how.partition(" ")[0], (sample.name, sample.data, "image/png")
    files, data = {"image": file}, {"size": "64x64", "steps": "1"}
    if name == "edits":
        data["prompt"] = "a pear"
        fit = None if fit else fit  # it needs a mask, or transparency
    if how != name:
        files["mask"] = file
    _hold(sender, f"POST {_OPENAI}/{name}", sample, fit=fit, files=files, data=data)


def _keep(sender: Sender, sample: Sample, *, fit: bool | None) -> None:
    """As a file of predictions; what is kept is deleted again."""
    answer = _hold(sender, f"POST {_FILES}", sample, fit=fit, files={"content": (sample.name, sample.data)})
    if answer is not None and answer.is_success:
        sender.send("DELETE /v1/files/{file_id}", f"{_FILES}/{answer.json()['id']}", "what was kept")


def _hold(sender: Sender, operation: str, sample: Sample, *, fit: bool | None, **options: Any) -> Any:
    """Send a file, and hold the answer against what is right."""
    answer = sender.send(operation, operation.partition(" ")[2], sample.name, **options)
    if answer is None or answer.status_code >= 500:
        return answer  # noted already
    if answer.is_success and fit is False:
        sender.found("a wrong file is refused", operation, repr(sample.name), answer.request)
    if answer.status_code in {400, 422} and fit:
        sender.found(
            "a right file is served", operation, f"{sample.name!r}: {answer.text[:200]}", answer.request
        )
    return answer
