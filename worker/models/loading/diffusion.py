"""Loads a diffusion model, and runs each of its networks once."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from jobs.catalog.models import ModelCard
from jobs.catalog.textual_inversions import TextualInversionCard
from jobs.errors import ModelUnavailableError
from worker.finite import is_finite
from worker.models.adapters.delta import Delta
from worker.models.adapters.places import Places
from worker.models.device import Device
from worker.models.failures import is_out_of_memory
from worker.models.families.denoiser import Denoiser
from worker.models.families.table import of_kind, require_family
from worker.models.inversions.finding import find_words
from worker.models.loading.description import family_in
from worker.models.loading.files import locate, require_pinned
from worker.models.loading.parts import load_file_parts, load_folder_parts
from worker.models.loading.single_file import described_by, family_of_file
from worker.models.networks.keeping import Keeping
from worker.models.rows import blank
from worker.models.shared import SharedNetworks


def load_diffusion(
    card: ModelCard,
    device: Device,
    shared: SharedNetworks | None = None,
    inversions: Sequence[TextualInversionCard] = (),
    keeping: Keeping | None = None,
) -> Denoiser:
    """Load a checkpoint: a diffusers folder or a hub id, with a delta or without, or one .safetensors file.

    Args:
        card: of the catalog.
        device: for the networks.
        shared: networks in memory; those that a folder has in common with them are not loaded again.
        inversions: those that it may read.
        keeping: how its weights are kept; as the card says if left out.

    Raises:
        ModelUnavailableError: its files are missing, damaged, or not safetensors; no family serves it; or its networks
            do not fit their weights or each other.
        RuntimeError: it does not fit the device's memory; see ``is_out_of_memory``.
    """
    path, shared = locate(card), shared or SharedNetworks()
    keeping = keeping or Keeping.of(card, device.device)
    try:
        delta = None if card.delta is None else Delta(card.delta)
        if path.is_file():
            if delta is not None:
                raise ModelUnavailableError("a delta stands on a diffusers folder, not on one file")
            family = family_of_file(path, card.config)
            config = card.config or described_by(path)
            require_family(family, card)
            parts = load_file_parts(path, config, of_kind(family, card), device, shared.digests, keeping)
        else:
            family = family_in(Places(path, delta).index)
            require_family(family, card)
            own = of_kind(family, card)
            parts = load_folder_parts(path, own, card.variant, device, shared, delta, keeping)
        require_pinned(card, path, shared.digests)
        model = family.make(parts, device, partial(find_words, inversions, card, shared.digests))
        _try_out(model)
    except ModelUnavailableError as error:
        raise ModelUnavailableError(f"{card.id}: {error.message}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelUnavailableError(f"{card.id}: {path.name} cannot be loaded: {error}") from error
    return model


def _try_out(model: Denoiser) -> None:
    """Run each network once, on a picture of a few pixels, so that a misfit fails here and not in jobs.

    Raises:
        ModelUnavailableError: one cannot be run, or its output has another shape or is not finite.
    """
    device = model.facts.device
    channels, factor, side = model.facts.latent_channels, model.facts.latent_factor, model.least_side
    latents, timestep = (
        torch.zeros(1, channels, side, side, device=device),
        torch.tensor([500], device=device),
    )
    text = _tried("text encoder", lambda: model.encode_texts([""]))
    rows = model.rows([(blank(model.facts.row, text, (side, side)),)])
    _tried("UNet", lambda: model.predict(latents, timestep, rows), latents.shape)
    if model.facts.row.reads_pictures:
        _tried("image encoder", model.try_pictures)
    _tried("VAE", lambda: _rendered(model, latents), (1, 3, side * factor, side * factor))


def _rendered(model: Denoiser, latents: Tensor) -> Tensor:
    """A picture; decoded once more if it is not finite, see ``Decode``."""
    picture = model.render(latents)
    return picture if is_finite(picture) else model.render(latents)


def _tried(what: str, run: Callable[[], Tensor], shape: Sequence[int] | None = None) -> Tensor:
    try:
        made = run()
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelUnavailableError(f"the {what} cannot be run: {type(error).__name__}: {error}") from error
    if shape is not None and tuple(made.shape) != tuple(shape):
        raise ModelUnavailableError(
            f"the {what} makes {list(made.shape)} numbers where {list(shape)} are due"
        )
    if not is_finite(made):
        raise ModelUnavailableError(f"the {what} makes numbers that are not finite")
    return made
