"""What a checkpoint is, before its weights are fetched: its family, and whether they are those of its networks."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn import Module

from jobs.errors import ModelUnavailableError
from worker.models.adapters.delta import Delta
from worker.models.adapters.files import TEXT, UNET
from worker.models.adapters.places import Places
from worker.models.adding.sources import WEIGHTS, Source
from worker.models.families.family import Family, Parts
from worker.models.families.original import TEXT as TEXT_IN_FILE
from worker.models.families.original import XL_TEXT, text_tower
from worker.models.loading.description import family_in
from worker.models.loading.header import outline
from worker.models.loading.layout import CLIP_CONFIG, INDEX, diffusion_files, network_files
from worker.models.loading.parts import described
from worker.models.loading.single_file import described_by, family_of_file, split
from worker.models.loading.weights import require_own

FP16 = "fp16"
_EMBEDDINGS = "token_embedding.weight"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is served.

    Attributes:
        family: of it.
        parts: its networks without weights, tokenizers and scheduler.
        files: those that are read.
        variant: of its weights; None for the full ones, or the only ones.
        embeddings: the file and the key of the token embeddings of its first text encoder, if that is a whole CLIP's.
    """

    family: Family
    parts: Parts
    files: tuple[str, ...]
    variant: str | None
    embeddings: tuple[str, str] | None

    @property
    def parameters(self) -> int:
        """Numbers of all its networks."""
        return parameters_of(self.parts[name] for name in self.family.networks)


def parameters_of(networks: Iterable[Module]) -> int:
    """Numbers of networks."""
    return sum(tensor.numel() for network in networks for tensor in network.parameters())


def of_folder(
    source: Source, variant: str | None, delta: Delta | None = None, *, prefers_fp16: bool
) -> Checkpoint:
    """A checkpoint in the layout of diffusers.

    Args:
        source: its folder.
        variant: of the weights that are to be read; the best for the device if None.
        delta: of its UNet.
        prefers_fp16: whether the device computes in fp16.

    Raises:
        ModelUnavailableError: it is of a kind that is not served, or its weights are not those of its networks.
    """
    _require_index(source.names)
    family = family_in(Places(source.described([INDEX]), delta).index)
    if variant is None and prefers_fp16 and _has_fp16(source.names, family):
        variant = FP16
    _require_safetensors(source.names, family)
    brought, stems = ({}, family.stems) if delta is None else (delta.brought, delta.stems(family))
    files = diffusion_files(source.names, stems, (*family.tokenizers, *family.described), variant)
    folder = source.described(name for name in files if not name.endswith(WEIGHTS))
    parts = described(Places(folder, delta), family, changes={UNET: delta.config} if delta else {})
    for name in brought.keys() & family.networks.keys():
        require_own(parts[name], text_tower(outline(brought[name])), family.networks[name].title)
    embeddings = None
    for name, weights in network_files(source.names, stems, variant).items():
        network = family.networks[name]
        tensors = network.renamed(source.outline(weights))
        if delta is not None and name == UNET:
            tensors = delta.merged(tensors, outline(delta.weights))
        require_own(parts[name], tensors, network.title)
        if name == TEXT:
            embeddings = _embeddings(source, weights)
    return Checkpoint(family, parts, tuple(files), variant, embeddings)


def of_file(file: Path, config: Path | None) -> Checkpoint:
    """A checkpoint that is one file.

    Args:
        file: in the layout of the original release.
        config: a diffusers folder that describes it; fetched from the hub if None.

    Raises:
        ModelUnavailableError: as for ``of_folder``, or the hub cannot be asked for its description.
    """
    family, tensors = family_of_file(file, config), outline([file])
    try:
        folder = config or described_by(file)
    except Exception as error:
        raise ModelUnavailableError(
            f"its configuration cannot be fetched from the hub; name a diffusers folder with --config: {error}"
        ) from error
    parts = described(Places(folder), family)
    for name, own in split(tensors, family, parts).items():
        require_own(parts[name], own, family.networks[name].title)
    key = _key(tensors, (XL_TEXT, TEXT_IN_FILE))
    return Checkpoint(family, parts, (file.name,), None, None if key is None else (file.name, key))


def _has_fp16(names: Iterable[str], family: Family) -> bool:
    try:
        network_files(names, family.stems, FP16)
    except ModelUnavailableError:
        return False
    return True


def _embeddings(source: Source, weights: Iterable[str]) -> tuple[str, str] | None:
    found = ((name, _key(source.outline([name]))) for name in weights)
    return next(((name, key) for name, key in found if key is not None), None)


def _key(tensors: Iterable[str] | dict[str, Tensor], prefixes: tuple[str, ...] = ("",)) -> str | None:
    """The key of token embeddings, of the first prefix that has any."""
    own = [
        [key for key in tensors if key.startswith(prefix) and key.endswith(_EMBEDDINGS)]
        for prefix in prefixes
    ]
    return next((keys[0] for keys in own if keys), None)


def _require_index(names: Iterable[str]) -> None:
    """Refuse a folder of another kind, and say of which."""
    names = set(names)
    if INDEX in names:
        return
    files = sorted(name for name in names if name.endswith(WEIGHTS) and "/" not in name)
    if files and CLIP_CONFIG not in names and "config.json" not in names:
        raise ModelUnavailableError(
            f"it holds no {INDEX}, but checkpoints of one file ({', '.join(files[:3])}): fetch one, and add that file"
        )
    raise ModelUnavailableError(f"it holds no {INDEX}, so it is no whole model in diffusers' layout")


def _require_safetensors(names: Iterable[str], family: Family) -> None:
    """Say of a network that has pickles alone that these are not read."""
    names = list(names)
    for network in family.networks:
        own = [name for name in names if name.startswith(f"{network}/")]
        if any(name.endswith((".bin", ".ckpt", ".pt")) for name in own) and not any(
            name.endswith(WEIGHTS) for name in own
        ):
            raise ModelUnavailableError(
                f"{network} has no .safetensors file; other formats can run code when they are read"
            )
