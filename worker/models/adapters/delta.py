"""Variants of a UNet that are stored as a low-rank change of another's weights.

A delta is a folder. ``delta.toml`` names the base, the SHA-256 of its UNet's file, the rank and the replaced tensors.
``delta.safetensors`` holds those tensors whole, and for other linear and convolutional weights two factors under PEFT's
names, ``MODULE.lora_A.weight`` [r, in, ...] and ``MODULE.lora_B.weight`` [out, r, ...] (LoRA, Hu et al. 2021, eq. 3,
with alpha = r).

The variant may be of another family than its base. Then the folder also has a ``model_index.json`` and the
configurations of its own parts, such as ``unet/config.json``, and the card tells what the UNets do not have in common.
A second text encoder is the text half of an OpenCLIP folder, which the card names.
"""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from torch import Tensor

from jobs.errors import ModelUnavailableError
from jobs.wire import Wire
from jobs.wording import wording
from worker.models.adapters.factors import Factors
from worker.models.adapters.files import TEXT_2
from worker.models.families.family import Family
from worker.models.families.original import text_tower
from worker.models.loading.digests import Digests
from worker.models.loading.header import read_shapes
from worker.models.loading.layout import CLIP_WEIGHTS, INDEX

WEIGHTS, CARD = "delta.safetensors", "delta.toml"
A, B = ".lora_A.weight", ".lora_B.weight"
FIRST = "conv_in.weight"  # [out, in, kh, kw]
TOKENIZER_2 = "tokenizer_2"


class ClipText(Wire):
    """A text encoder that is the text half of an OpenCLIP model, and that model's tokenizer."""

    clip: str = Field(description="Folder of that model, relative to the delta's.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of its weights.")


class DeltaCard(Wire):
    """What a delta says of itself."""

    base: str = Field(description="Name of the model that it changes.")
    base_sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="Digest of the file of that model's UNet, on which it was trained.",
    )
    rank: int = Field(ge=1, description="Rank of the changes.")
    replaced: tuple[str, ...] = Field((), description="Names of the base's tensors that it holds whole.")
    added: tuple[str, ...] = Field((), description="Names of tensors that it holds and the base has not.")
    dropped: tuple[str, ...] = Field((), description="Names of the base's tensors that the variant has not.")
    text_encoder_2: ClipText | None = Field(None, description="Where the second text encoder comes from.")


def read_card(folder: Path) -> DeltaCard:
    """The card of a delta.

    Raises:
        ModelUnavailableError: it is missing or wrong.
    """
    try:
        return DeltaCard.model_validate(tomllib.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelUnavailableError(f"the delta's {CARD} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelUnavailableError(f"the delta's {CARD} is wrong: {where}: {wording(first)}") from error


def merge(base: Mapping[str, Tensor], delta: Mapping[str, Tensor], card: DeltaCard) -> dict[str, Tensor]:
    """The weights of a variant, in the format of the base's; on the meta device, their shapes alone.

    Args:
        base: weights by name.
        delta: factors of some of them under PEFT's names, and other tensors whole.
        card: says which: those to take from ``delta`` whatever shape the base's have, those that the base has not. It
            also says which of the base's go.

    Raises:
        ValueError: a tensor is missing, belongs nowhere, or has a shape that its layer has not.
    """
    state, left = _without(base, card.dropped), set(delta)
    for name in card.replaced:
        if name not in delta or name not in state:
            raise ValueError(f"{name} is to be replaced, and not in both the base and the delta")
        state[name] = delta[name].to(state[name].dtype)
        left.remove(name)
    dtype = next(iter(base.values())).dtype
    for name in card.added:
        if name not in delta or name in base:
            raise ValueError(f"{name} is to be added, and not in the delta alone")
        state[name] = delta[name].to(dtype)
        left.remove(name)
    for layer in [name.removesuffix(A) for name in delta if name.endswith(A)]:
        a, b, weight = delta[layer + A], delta.get(layer + B), state.get(f"{layer}.weight")
        if b is None or weight is None:
            raise ValueError(f"{layer} has no second factor, or is no layer of the base")
        if weight.shape != (len(b), *a.shape[1:]) or b.shape[1] != len(a):
            raise ValueError(f"{layer} has factors {tuple(a.shape)} and {tuple(b.shape)}")
        # Rounded once, at the end.
        state[f"{layer}.weight"] = (weight.float() + Factors(a, b.flatten(1)).product).to(weight.dtype)
        left -= {layer + A, layer + B}
    if left:
        raise ValueError(f"{', '.join(sorted(left))} belong to no layer of the base")
    return state


def _without(base: Mapping[str, Tensor], dropped: Collection[str]) -> dict[str, Tensor]:
    for name in dropped:
        if name not in base:
            raise ValueError(f"{name} is to be dropped, and not in the base")
    return {name: tensor for name, tensor in base.items() if name not in dropped}


class Delta:
    """A delta in a folder, whose weights are not read yet.

    Attributes:
        files: all that it consists of.
        weights: those with its weights.
        brought: files with the weights of networks that the base has not, by the names of the networks.
    """

    def __init__(self, folder: Path) -> None:
        """Read its card.

        Raises:
            ModelUnavailableError: as for ``read_card``, or it has no weights.
        """
        self._card, self._folder, self._name = read_card(folder), folder, folder.name
        self.weights = [folder / WEIGHTS]
        self.files = [folder / CARD, *self.weights]
        if not self.weights[0].is_file():
            raise ModelUnavailableError(f"the delta holds no {WEIGHTS}")
        second = self._card.text_encoder_2
        self._clip = None if second is None else folder / second.clip
        self.brought = {} if self._clip is None else {TEXT_2: [self._clip / CLIP_WEIGHTS]}
        for name in (file for files in self.brought.values() for file in files if not file.is_file()):
            raise ModelUnavailableError(
                f"the delta {self._name} reads texts with {name}, which does not exist"
            )

    def folder_of(self, part: str) -> Path | None:
        """Where a part is described that is not the base's; None for one of the base."""
        if part == TOKENIZER_2 and self._clip is not None:
            return self._clip
        own = self._folder / part
        return own if own.is_dir() else None

    @property
    def index(self) -> Path | None:
        """The folder with the index of the variant's parts; None if they are those of the base."""
        return self._folder if (self._folder / INDEX).is_file() else None

    def stems(self, family: Family) -> dict[str, str]:
        """The names that the weights begin with of those networks of a family that are the base's."""
        return {name: stem for name, stem in family.stems.items() if name not in self.brought}

    def family(self, family: Family) -> Family:
        """The family as its networks are read from where the delta has them."""
        networks = {
            name: replace(network, renamed=text_tower) if name in self.brought else network
            for name, network in family.networks.items()
        }
        return replace(family, networks=networks)

    @property
    def config(self) -> dict[str, Any]:
        """The fields of the UNet's configuration that are not the base's.

        Raises:
            ModelUnavailableError: the weights are damaged.
        """
        shape = read_shapes(self.weights[0]).get(FIRST)
        return {} if shape is None or FIRST not in self._card.replaced else {"in_channels": shape[1]}

    def require_base(self, weights: Sequence[Path], digests: Digests) -> None:
        """Refuse another base than the one that it was trained on, or another second text encoder.

        Raises:
            ModelUnavailableError: it is another.
        """
        if [digests.of(file) for file in weights] != [self._card.base_sha256]:
            raise ModelUnavailableError(
                f"the delta {self._name} is of {self._card.base}, whose UNet has the SHA-256 "
                f"{self._card.base_sha256}, and the model's own UNet has another"
            )
        second = self._card.text_encoder_2
        if second is not None and [digests.of(file) for file in self.brought[TEXT_2]] != [second.sha256]:
            raise ModelUnavailableError(
                f"the delta {self._name} was trained with the texts of a CLIP whose SHA-256 is {second.sha256}, and "
                f"{second.clip} has another"
            )

    def merged(self, base: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the variant; arguments as for ``merge``.

        Raises:
            ModelUnavailableError: the delta does not fit the base.
        """
        try:
            return merge(base, delta, self._card)
        except ValueError as error:
            raise ModelUnavailableError(f"the delta {self._name} does not fit its base: {error}") from error
