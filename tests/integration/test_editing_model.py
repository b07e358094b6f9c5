"""The model that edits as a prompt says, through the real stack, with all that a job may ask for besides."""

import base64
import io

import numpy as np
from PIL import Image

from jobs.requests.request import GenerateRequest
from jobs.status.job import Job
from tests.brought_pictures import encoded
from tests.integration.stack import Stack

BLUE = (70, 120, 220)
ASKED = {"model": "pocket-edit", "prompt": "make the background blue", "seed": 7, "steps": 12}


def disc(background: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """An orange disc."""
    y, x = np.mgrid[:64, :64]
    inside = ((y - 32) ** 2 + (x - 32) ** 2 < 18**2)[..., None]
    return Image.fromarray(np.where(inside, (240, 150, 40), background).astype(np.uint8))


def brought(picture: Image.Image) -> str:
    return base64.b64encode(encoded(picture)).decode()


def pixels(stack: Stack, job: Job, index: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    picture = Image.open(io.BytesIO(stack.client.jobs.image(job.id, index))).convert("RGB")
    return np.asarray(picture, dtype=np.int64)


def finished(stack: Stack, **fields: object) -> Job:
    job = stack.finish(stack.client.submit(GenerateRequest.model_validate({**ASKED, **fields})).id)
    assert job.status == "succeeded", job.error
    return job


def test_it_changes_the_background_and_keeps_the_drawing(stack: Stack) -> None:
    made = pixels(stack, finished(stack, edit={"image": brought(disc())}))
    border = np.median(np.concatenate([made[:4].reshape(-1, 3), made[-4:].reshape(-1, 3)]), axis=0)
    assert np.abs(border - BLUE).max() < 40
    middle = np.median(made[26:38, 26:38].reshape(-1, 3), axis=0)
    assert np.abs(middle - (240, 150, 40)).max() < 40


def test_it_is_guided_personalized_masked_enlarged_and_the_best_of_several(stack: Stack) -> None:
    picture = brought(disc())
    best = finished(
        stack,
        edit={"image": picture, "image_cfg_scale": 1.2},
        guidance={"cutouts": 2, "trace": True},
        select={"candidates": 2},
    )
    assert best.images[0].trace
    larger = finished(stack, edit={"image": picture}, hires={"scale": 1.5, "steps": 4})
    assert pixels(stack, larger).shape == (96, 96, 3)
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 64, 20))
    bounded = finished(
        stack,
        edit={"image": picture},
        init={"image": picture, "strength": 1},
        mask={"image": brought(mask), "area": "masked", "padding": 8},
    )
    outside = np.asarray(mask) == 0
    assert (pixels(stack, bounded)[outside] == np.asarray(disc())[outside]).all()


def test_jobs_with_other_scales_are_what_they_are_alone(stack: Stack) -> None:
    picture = brought(disc((30, 40, 90)))
    asked = [
        {"edit": {"image": picture, "image_cfg_scale": scale}, "cfg_scale": 3, "steps": 6}
        for scale in (1, 1.5, 3)
    ]
    alone = [pixels(stack, finished(stack, **fields)) for fields in asked]
    ids = [stack.client.submit(GenerateRequest.model_validate({**ASKED, **fields})).id for fields in asked]
    together = [pixels(stack, stack.finish(each)) for each in ids]
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - other).max() <= 1
