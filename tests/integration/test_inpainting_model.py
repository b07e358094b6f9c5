"""The model that sees the hole, through the real stack, with all that a job may ask for besides."""

import base64
import io

import httpx
import numpy as np
from PIL import Image

from jobs.requests.request import GenerateRequest
from tests.brought_pictures import encoded
from tests.integration.stack import Stack

MODEL = "pocket-inpaint"


def test_it_paints_a_hole_guided_personalized_and_the_best_of_several(stack: Stack) -> None:
    plain = {"prompt": "noto sunflower on a green background", "seed": 7, "steps": 4}
    source = stack.finish(stack.client.submit(GenerateRequest.model_validate(plain)).id)
    made = httpx.post(
        f"{stack.url}/v1/aesthetic-embeddings",
        data={"name": "green", "jobs": [source.id]},
        files={"ignored": b""},
    )
    stack.finish(made.json()["id"])
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 20, 48, 44))
    asked = {
        **plain,
        "model": MODEL,
        "init": {"image": f"{source.id}/0", "strength": 1},
        "mask": {"image": base64.b64encode(encoded(mask)).decode()},
        "guidance": {"cutouts": 2, "trace": True},
        "personalization": {"embedding": "green", "steps": 2},
        "select": {"candidates": 3},
    }
    job = stack.finish(stack.client.submit(GenerateRequest.model_validate(asked)).id)
    assert job.status == "succeeded"
    assert job.request.model == MODEL
    (best,) = job.images
    assert best.trace
    new, old = (
        np.asarray(Image.open(io.BytesIO(stack.client.jobs.image(each.id, number))).convert("RGB"))
        for each, number in ((job, best.index), (source, 0))
    )
    outside = np.asarray(mask) == 0
    assert (new[outside] == old[outside]).all()
    assert (new[~outside] != old[~outside]).mean() > 0.5


def test_it_draws_without_a_mask_too(stack: Stack) -> None:
    asked = {"model": MODEL, "prompt": "a red apple", "seed": 7, "steps": 4, "cfg_scale": 1.5}
    whole = stack.finish(stack.client.submit(GenerateRequest.model_validate(asked)).id)
    again = asked | {"init": {"image": f"{whole.id}/0", "strength": 0.5}}
    changed = stack.finish(stack.client.submit(GenerateRequest.model_validate(again)).id)
    wider = asked | {"init": {"image": f"{whole.id}/0"}, "outpaint": {"right": 32}}
    wide = stack.finish(stack.client.submit(GenerateRequest.model_validate(wider)).id)
    assert [job.status for job in (whole, changed, wide)] == ["succeeded"] * 3
    own, beside = (
        np.asarray(Image.open(io.BytesIO(stack.client.jobs.image(job.id, 0))).convert("RGB"))
        for job in (whole, wide)
    )
    assert beside.shape == (64, 96, 3)
    assert (beside[:, :64] == own).all()
