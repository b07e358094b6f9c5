"""Variants of a UNet that are stored as a low-rank change of another's weights.

A delta is a folder. ``delta.toml`` names the base, the SHA-256 of its UNet's file, the rank and the replaced tensors.
``delta.safetensors`` holds those tensors whole, and for other linear and convolutional weights two factors under PEFT's
names, ``MODULE.lora_A.weight`` [r, in, ...] and ``MODULE.lora_B.weight`` [out, r, ...] (LoRA, Hu et al. 2021, eq. 3,
with alpha = r).
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from torch import Tensor

from jobs.errors import ModelUnavailableError
from jobs.wire import Wire
from jobs.wording import wording
from worker.models.adapters.factors import Factors
from worker.models.loading.digests import Digests
from worker.models.loading.header import read_shapes

WEIGHTS, CARD = "delta.safetensors", "delta.toml"
A, B = ".lora_A.weight", ".lora_B.weight"
FIRST = "conv_in.weight"  # [out, in, kh, kw]


class DeltaCard(Wire):
    """What a delta says of itself."""

    base: str = Field(description="Name of the model that it changes.")
    base_sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="Digest of the file of that model's UNet, on which it was trained.",
    )
    rank: int = Field(ge=1, description="Rank of the changes.")
    replaced: tuple[str, ...] = Field((), description="Names of the tensors that it holds whole.")


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


def merge(
    base: Mapping[str, Tensor], delta: Mapping[str, Tensor], replaced: Sequence[str]
) -> dict[str, Tensor]:
    """The weights of a variant, in the format of the base's; on the meta device, their shapes alone.

    Args:
        base: weights by name.
        delta: factors of some of them under PEFT's names, and the ``replaced`` tensors whole.
        replaced: names of tensors to take from ``delta``, of whatever shape.

    Raises:
        ValueError: a tensor is missing, belongs nowhere, or has a shape that its layer has not.
    """
    state, left = dict(base), set(delta)
    for name in replaced:
        if name not in delta or name not in base:
            raise ValueError(f"{name} is to be replaced, and not in both the base and the delta")
        state[name] = delta[name].to(base[name].dtype)
        left.remove(name)
    for layer in [name.removesuffix(A) for name in delta if name.endswith(A)]:
        a, b, weight = delta[layer + A], delta.get(layer + B), base.get(f"{layer}.weight")
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


class Delta:
    """A delta in a folder, whose weights are not read yet.

    Attributes:
        files: all that it consists of.
        weights: those with its weights.
    """

    def __init__(self, folder: Path) -> None:
        """Read its card.

        Raises:
            ModelUnavailableError: as for ``read_card``, or it has no weights.
        """
        self._card, self._name = read_card(folder), folder.name
        self.weights = [folder / WEIGHTS]
        self.files = [folder / CARD, *self.weights]
        if not self.weights[0].is_file():
            raise ModelUnavailableError(f"the delta holds no {WEIGHTS}")

    @property
    def config(self) -> dict[str, Any]:
        """The fields of the UNet's configuration that are not the base's.

        Raises:
            ModelUnavailableError: the weights are damaged.
        """
        shape = read_shapes(self.weights[0]).get(FIRST)
        return {} if shape is None or FIRST not in self._card.replaced else {"in_channels": shape[1]}

    def require_base(self, weights: Sequence[Path], digests: Digests) -> None:
        """Refuse another base than the one that it was trained on.

        Raises:
            ModelUnavailableError: it is another.
        """
        if [digests.of(file) for file in weights] != [self._card.base_sha256]:
            raise ModelUnavailableError(
                f"the delta {self._name} is of {self._card.base}, whose UNet has the SHA-256 "
                f"{self._card.base_sha256}, and the model's own UNet has another"
            )

    def merged(self, base: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the variant; arguments as for ``merge``.

        Raises:
            ModelUnavailableError: the delta does not fit the base.
        """
        try:
            return merge(base, delta, self._card.replaced)
        except ValueError as error:
            raise ModelUnavailableError(f"the delta {self._name} does not fit its base: {error}") from error
