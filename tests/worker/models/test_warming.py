"""What a worker runs before it says that a model is ready."""

import pytest
import torch
from torch import Tensor

from jobs.catalog.catalog import Catalog
from worker.models.families.denoiser import Denoiser
from worker.models.registry import ModelRegistry
from worker.models.warming import warm_up

Shapes = dict[str, tuple[int, ...]]


@pytest.fixture
def model(models: ModelRegistry) -> Denoiser:
    return models.diffusion("pocket")


def shapes_of_warming(model: Denoiser, catalog: Catalog) -> Shapes:
    """What the networks are given while a model is warmed up."""
    seen: Shapes = {}
    _, unet, vae = model.networks
    hooks = [
        network.register_forward_pre_hook(
            lambda _, given, name=name: seen.update({name: tuple(given[0].shape)})
        )
        for name, network in (("unet", unet), ("decoder", vae.get_submodule("decoder")))
    ]
    try:
        warm_up(model, catalog.model("pocket"))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def test_a_model_is_warmed_up_in_the_shapes_of_its_default_request(
    model: Denoiser, pocket_catalog: Catalog
) -> None:
    card = pocket_catalog.model("pocket")
    latents = (
        model.facts.latent_channels,
        card.height // model.facts.latent_factor,
        card.width // model.facts.latent_factor,
    )
    assert shapes_of_warming(model, pocket_catalog) == {"unet": (2, *latents), "decoder": (1, *latents)}


def test_a_model_that_finds_no_room_for_its_default_size_stays(
    model: Denoiser, pocket_catalog: Catalog
) -> None:
    def refuse(_module: torch.nn.Module, _given: tuple[Tensor, ...]) -> None:
        raise torch.OutOfMemoryError("no room")

    hook = model.networks[1].register_forward_pre_hook(refuse)
    try:
        warm_up(model, pocket_catalog.model("pocket"))
    finally:
        hook.remove()
