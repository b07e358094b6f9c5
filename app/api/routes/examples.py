"""Requests that the API's documentation shows."""

from fastapi.openapi.models import Example

REQUESTS: dict[str, Example] = {
    "plain": {
        "summary": "A prompt, and the model's defaults for all else",
        "value": {"prompt": "a red apple on a light blue background"},
    },
    "guided": {
        "summary": "CLIP guidance with the preset's defaults, and a fixed seed",
        "value": {"prompt": "a red apple on a light blue background", "guidance": {}, "seed": 7},
    },
    "chosen": {
        "summary": "The best 3 of 16, chosen by a CLIP that does not guide",
        "value": {
            "prompt": "a red apple on a light blue background",
            "guidance": {},
            "select": {"candidates": 16, "keep": 3},
        },
    },
    "detailed": {
        "summary": "Four pictures, with most things chosen",
        "value": {
            "prompt": "a yellow taxi on a dark green background",
            "negative_prompt": "blurry",
            "model": "pocket",
            "width": 64,
            "height": 96,
            "steps": 40,
            "cfg_scale": 5.0,
            "sampler": "dpmpp_2m",
            "seed": 7,
            "num_images": 4,
            "guidance": {"scale": 0.15, "cutouts": 24},
        },
    },
}
