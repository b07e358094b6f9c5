"""Kinds of jobs, each drawn at random: all that the rows of one batch may differ in.

A further kind is one more function, and one more entry of ``KINDS``.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.worker.models.inversions.conftest import WORDS

MAP, OTHER, START, PART = (
    f"sha256:{64 * digit}" for digit in "0123"
)  # stand for pictures that a test hands over itself

Draw = Callable[[Random], dict[str, Any]]


def window(rng: Random) -> dict[str, float]:
    """The whole run, or a half of it."""
    return rng.choice([{}, {"end": 0.5}, {"start": 0.5}])


def plain(_: Random) -> dict[str, Any]:
    return {}


def loras(rng: Random) -> dict[str, Any]:
    names = rng.sample(["all", "attention", "unet", "large"], rng.randint(1, 3))
    return {"adapters": [{"name": name, "weight": rng.uniform(-1, 1), **window(rng)} for name in names]}


def dora(rng: Random) -> dict[str, Any]:
    return {"adapters": [{"name": "dora", "weight": rng.uniform(0.2, 1.2), **window(rng)}]}


def words(rng: Random) -> dict[str, Any]:
    return {"prompt": f"a fox with {rng.choice(list(WORDS))}", "negative_prompt": rng.choice(["", "blob"])}


def skipping(_: Random) -> dict[str, Any]:
    return {"clip_skip": 1}  # of two layers


def controls(rng: Random) -> dict[str, Any]:
    names = rng.sample(["edges", "turned"], rng.randint(1, 2))
    modes = ["balanced", "prompt", "control", "guess"]
    return {
        "controls": [
            {
                "model": name,
                "image": rng.choice([MAP, OTHER]),
                "weight": rng.uniform(0.2, 1.5),
                "mode": rng.choice(modes),
                **window(rng),
            }
            for name in names
        ]
    }


def image_prompts(rng: Random) -> dict[str, Any]:
    return {
        "image_prompts": [
            {
                "image": rng.choice([MAP, OTHER]),
                "adapter": rng.choice(["seen", "shipped"]),
                "weight": rng.uniform(0.2, 1.5),
                **window(rng),
            }
            for _ in range(rng.randint(1, 3))
        ]
    }


def from_a_picture(rng: Random) -> dict[str, Any]:
    return {"init": {"image": START, "strength": rng.choice([0.5, 0.75, 1.0])}}


def a_part_of_a_picture(rng: Random) -> dict[str, Any]:
    return {"init": {"image": START, "strength": rng.choice([0.75, 1.0])}, "mask": {"image": PART}}


def several_prompts(rng: Random) -> dict[str, Any]:
    return {"prompt": f"a fox AND a (box:{rng.uniform(0.5, 1.5):.2f}) :0.7", "prompt_syntax": "a1111"}


def guided(rng: Random) -> dict[str, Any]:
    return {"guidance": {"cutouts": 2, "clip": "pocket-m", "scale": rng.uniform(0.05, 0.2)}}


def edited(rng: Random) -> dict[str, Any]:
    scales = [
        0,
        0.5,
        1,
        1.5,
        3,
    ]  # at 1 there is no third row, and at a cfg_scale of 3 that of 3 has no second
    return {
        "model": "tiny-edit",
        "edit": {"image": rng.choice([START, OTHER]), "image_cfg_scale": rng.choice(scales)},
    }


_ALL: tuple[Draw, ...] = (
    plain,
    loras,
    dora,
    words,
    skipping,
    controls,
    image_prompts,
    from_a_picture,
    a_part_of_a_picture,
    several_prompts,
    guided,
    edited,
)
KINDS = {each.__name__: each for each in _ALL}


def job(rng: Random, *names: str) -> dict[str, Any]:
    """The fields of a job of these kinds; of two that give one field, the last counts."""
    fields: dict[str, Any] = {
        "model": "tiny",
        "prompt": "a fox",
        "steps": 4,
        "seed": rng.randrange(1000),
        "cfg_scale": rng.choice([1, 3, 5]),
        "sampler": rng.choice(["ddim", "euler", "dpmpp_2m"]),
    }
    for name in names:
        fields |= KINDS[name](rng)
    return fields


def jobs(seed: int, mixtures: int) -> list[dict[str, Any]]:
    """One job of each kind alone, and mixtures of two or three kinds, in any order."""
    rng = Random(seed)
    asked = [job(rng, name) for name in KINDS]
    asked += [job(rng, *rng.sample(list(KINDS), rng.randint(2, 3))) for _ in range(mixtures)]
    rng.shuffle(asked)
    return asked
