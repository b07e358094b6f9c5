"""Reads textual inversions from the formats that trainers write.

AUTOMATIC1111's web UI writes a tensor ``emb_params``, or a pickle of ``{"string_to_param": {"*": tensor}}``; there the
file's name is the word. diffusers writes ``{word: tensor}``. Files for SDXL have no word either, and a tensor for each
of its text encoders, ``clip_l`` and ``clip_g``. A tensor is [n, D], or [D] for one vector.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.models.adapters.files import TEXT, TEXT_2
from worker.models.inversions.words import Room
from worker.models.loading.header import read_header

NAMES = ("learned_embeds.safetensors", "learned_embeds.bin")  # of diffusers
PICKLES = frozenset({".pt", ".bin"})
MAX_BYTES = 2**23
MAX_VECTORS = 75
FEW = 3  # keys that a refusal names
_TITLES = {TEXT: "text encoder", TEXT_2: "second text encoder"}
_OF_SDXL = {"clip_l": TEXT, "clip_g": TEXT_2}


@dataclass(frozen=True, eq=False)
class Inversion:
    """Vectors that text encoders read in the places of a word (Gal et al. 2022, arXiv 2208.01618).

    Attributes:
        word: that its file gives it.
        vectors: for each text encoder, by its name in adapters' files: [n, D], float32 on the CPU, with one n for all.
    """

    word: str
    vectors: Mapping[str, Tensor]

    @property
    def count(self) -> int:
        """n, of the vectors for each encoder."""
        return len(next(iter(self.vectors.values())))

    def require_fit(self, encoders: Mapping[str, Room]) -> None:
        """Refuse it for a model of other text encoders, of other widths, or with less room.

        SDXL's refiner has the second encoder alone, and reads what a file of SDXL has for that.

        Args:
            encoders: of the model, by their names in adapters' files.

        Raises:
            ModelUnavailableError: it does not fit.
        """
        if TEXT_2 in self.vectors and TEXT_2 not in encoders:
            raise ModelUnavailableError(
                "it is of SDXL: it has vectors for two text encoders, and the model has one"
            )
        if not encoders.keys() <= self.vectors.keys():
            raise ModelUnavailableError(
                "it has vectors for one text encoder, and a model of SDXL needs clip_l and clip_g"
            )
        for name, room in encoders.items():
            count, width = self.vectors[name].shape
            if width != room.width:
                raise ModelUnavailableError(
                    f"its vectors have {width} numbers, and those of the model's {_TITLES[name]} {room.width}"
                )
            if count > room.tokens:
                raise ModelUnavailableError(
                    f"it has {count} vectors, and the model's {_TITLES[name]} reads {room.tokens} at once"
                )


def is_inversion(path: Path) -> bool:
    """Whether a file looks like a textual inversion, and not like an adapter.

    Args:
        path: of the file, or of a folder.

    Raises:
        ModelUnavailableError: it is a damaged .safetensors file.
    """
    if path.is_dir():
        return any((path / name).is_file() for name in NAMES)
    if path.suffix != ".safetensors":
        return path.suffix in PICKLES
    keys = {entry.name for entry in read_header(path).entries}
    return len(keys) == 1 or not keys.isdisjoint(_OF_SDXL)


def read_inversion(path: Path) -> Inversion:
    """Read a textual inversion.

    A pickle is read without the ability to run code, and only within limits of its size.

    Args:
        path: of its file, or of diffusers' folder.

    Raises:
        ModelUnavailableError: the file is missing, too large, damaged, or no textual inversion.
    """
    file = inversion_file(path)
    try:
        content = _unpickled(file) if file.suffix in PICKLES else load_file(file)
        word, vectors = _learned(content)
        return Inversion(
            word or file.stem, _of_one_length({name: _checked(each) for name, each in vectors.items()})
        )
    except ModelUnavailableError:
        raise
    except Exception as error:
        raise ModelUnavailableError(f"{file.name} cannot be loaded: {error}") from error


def inversion_file(path: Path) -> Path:
    """The file of a textual inversion.

    Args:
        path: it, or the folder that holds it.

    Raises:
        ModelUnavailableError: there is none, or it is of another format, or too large.
    """
    file = path
    if path.is_dir():
        file = next((path / name for name in NAMES if (path / name).is_file()), path / NAMES[0])
    if not file.is_file():
        raise ModelUnavailableError(f"{file} does not exist")
    if file.suffix not in {".safetensors", *PICKLES}:
        raise ModelUnavailableError(f"{file.name} is no .safetensors, .pt or .bin file")
    if file.stat().st_size > MAX_BYTES:
        raise ModelUnavailableError(f"{file.name} has more than {MAX_BYTES >> 20} MiB")
    return file


def _unpickled(file: Path) -> object:
    """The content of a file of ``torch.save``, by an unpickler that makes tensors and plain values alone."""
    if not zipfile.is_zipfile(file):
        raise ModelUnavailableError(f"{file.name} is no archive as torch.save has written them since 2020")
    with zipfile.ZipFile(file) as archive:
        # A compressed part may unfold to any size; torch.save compresses none.
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise ModelUnavailableError(f"{file.name} has compressed parts, as torch.save writes none")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelUnavailableError(
            f"{file.name} holds more than tensors and plain values, or is damaged; "
            "save the vectors as a .safetensors file with one tensor emb_params"
        ) from error


def _learned(content: object) -> tuple[str | None, dict[str, object]]:
    """The word of a file, if it has one, and its vectors for each text encoder."""
    if not isinstance(content, Mapping):
        raise ModelUnavailableError(f"it is no textual inversion: it holds a {type(content).__name__}")
    if not content.keys().isdisjoint(_OF_SDXL):
        if missing := _OF_SDXL.keys() - content.keys():
            raise ModelUnavailableError(
                f"it is of SDXL, whose files have clip_l and clip_g: it lacks {missing.pop()}"
            )
        return None, {name: content[key] for key, name in _OF_SDXL.items()}
    if "emb_params" in content:
        return None, {TEXT: content["emb_params"]}
    table = content.get("string_to_param", content)
    if not isinstance(table, Mapping) or len(table) != 1:
        keys = [str(key) for key in content][:FEW]
        raise ModelUnavailableError(
            f"it is no textual inversion of one word: it has {', '.join(keys) or 'nothing'}"
        )
    ((word, vectors),) = table.items()
    return (None if "string_to_param" in content else str(word)), {TEXT: vectors}


def _checked(vectors: object) -> Tensor:
    """Vectors as [n, D] in float32.

    Raises:
        ModelUnavailableError: they are none, too many, or not finite.
    """
    if not isinstance(vectors, Tensor) or not vectors.is_floating_point() or vectors.ndim not in {1, 2}:
        raise ModelUnavailableError("it is no textual inversion: it holds no vectors [n, D]")
    table = vectors.detach()[None] if vectors.ndim == 1 else vectors.detach()
    if not 1 <= len(table) <= MAX_VECTORS or table.shape[1] < 1:
        raise ModelUnavailableError(
            f"it has vectors {list(table.shape)}; 1 to {MAX_VECTORS} of at least one number are served"
        )
    if table.shape[1] * len(table) > MAX_BYTES or not bool(table.isfinite().all()):
        raise ModelUnavailableError("its vectors are too large or not finite")
    return table.float().clone()


def _of_one_length(vectors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Vectors for each text encoder, of which a word takes as many places in one as in another.

    Raises:
        ModelUnavailableError: it does not.
    """
    lengths = [len(each) for each in vectors.values()]
    if len(set(lengths)) > 1:
        raise ModelUnavailableError(
            f"it has {lengths[0]} vectors for one text encoder and {lengths[1]} for the other; "
            "both have to read a text in the same places"
        )
    return vectors
