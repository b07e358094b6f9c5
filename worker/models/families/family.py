"""What a family's checkpoints consist of, as far as loading has to know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.nn import Module

from jobs.requests.conditions.families import FamilyName
from worker.models.device import Device
from worker.models.families.denoiser import Denoiser
from worker.models.inversions.words import FindWords

Parts = Mapping[str, Any]  # of a checkpoint, by their names in its model_index.json
Tensors = dict[str, Tensor]


def _same(tensors: Tensors) -> Tensors:
    return tensors


@dataclass(frozen=True, eq=False)
class Network:
    """One network of a checkpoint.

    Attributes:
        title: for messages.
        classes: names of the classes that it may have; the first is the one to ask for.
        stem: the name that the files of its weights begin with.
        empty: from the folder with its configuration, and fields that are others, to the network; called where weights
            are not made.
        require: refuses the content of its ``config.json`` if the family does not serve it.
        renamed: the tensors of its files by the names that they have now.
        prefix: of its keys in a checkpoint that is one file.
        convert: from the tensors of such a file and the network to its tensors by its own names.
        is_unread: whether a key of such a file may have no tensor of the same memory after ``convert``.
    """

    title: str
    classes: tuple[str, ...]
    stem: str
    empty: Callable[..., Module]
    require: Callable[[Mapping[str, Any]], None]
    prefix: str
    convert: Callable[[Tensors, Module], Tensors]
    renamed: Callable[[Tensors], Tensors] = _same
    is_unread: Callable[[str], bool] = lambda _: False


@dataclass(frozen=True, eq=False)
class Family:
    """Checkpoints that one denoiser serves.

    Attributes:
        name: for people.
        id: in the catalog.
        networks: by their names in ``model_index.json``, which are those of their folders.
        tokenizers: names of the classes of its tokenizers, likewise.
        ignored: parts of a checkpoint that are not used.
        described: files of parts that are plain descriptions, by the names of their folders.
        options: plain fields of ``model_index.json`` that are parts too, with their values where it lacks them.
        require: refuses parts that do not fit each other, by their configurations.
        require_file: refuses a checkpoint that is one file, by its tensors on the meta device.
        make: from filled parts, and what finds the words of textual inversions, to the denoiser on its device.
    """

    name: str
    id: FamilyName
    networks: Mapping[str, Network]
    tokenizers: Mapping[str, tuple[str, ...]]
    ignored: frozenset[str]
    require: Callable[[Parts], None]
    require_file: Callable[[Tensors], None]
    make: Callable[[Parts, Device, FindWords], Denoiser]
    described: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stems(self) -> dict[str, str]:
        """The name that the weights of each network begin with."""
        return {name: network.stem for name, network in self.networks.items()}
