"""Chooses the files of a model by their names alone: of a folder, or of a repository before it is fetched.

A network's weights are one file, or several parts; in full, or as a *variant* such as fp16, named between dots:

    diffusion_pytorch_model.safetensors     diffusion_pytorch_model-00001-of-00002.safetensors
    diffusion_pytorch_model.fp16.safetensors     diffusion_pytorch_model.fp16-00001-of-00002.safetensors
"""

import re
from collections.abc import Iterable, Mapping

from jobs.errors import ModelUnavailableError

INDEX = "model_index.json"
CONFIG = "config.json"
NETWORK_STEM = "diffusion_pytorch_model"
CLIP_WEIGHTS = "open_clip_model.safetensors"
CLIP_CONFIG = "open_clip_config.json"
ADAPTER_WEIGHTS = (
    "pytorch_lora_weights.safetensors",
    "adapter_model.safetensors",
)  # of diffusers and of PEFT
ADAPTER_CONFIG = "adapter_config.json"
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_DESCRIPTIONS = ("preprocessor_config.json", "scheduler_config.json", *_TOKENIZER)
# Some put the variant behind the number of the part.
_WEIGHTS = re.compile(
    r"(?P<stem>\w+)(?:\.(?P<variant>[\w-]+?))?(?:-(?P<part>\d{5})-of-(?P<parts>\d{5}))?(?:\.(?P<behind>[\w-]+))?"
    r"\.safetensors"
)


def network_files(
    names: Iterable[str], stems: Mapping[str, str], variant: str | None = None
) -> dict[str, list[str]]:
    """The safetensors files of each network of a diffusers folder.

    Args:
        names: of all files, relative to the folder, with slashes.
        stems: of the networks, the name that the weights of each begin with.
        variant: which is wanted; a network that does not have it is read in full. Without, each is read in full, or in
            the only variant that there is of it.

    Raises:
        ModelUnavailableError: a network has none, or not all parts, or several variants to choose from.
    """
    names = list(names)
    kinds = {network: _kinds(names, network, stem) for network, stem in stems.items()}
    if variant is not None and not any(variant in known for known in kinds.values()):
        raise ModelUnavailableError(f"none of its networks has weights of the variant {variant!r}")
    return {network: _chosen(network, stems[network], known, variant) for network, known in kinds.items()}


def diffusion_files(
    names: Iterable[str], stems: Mapping[str, str], described: Iterable[str], variant: str | None = None
) -> list[str]:
    """All files of a diffusers repository that are read.

    Args:
        names: as for ``network_files``.
        stems: likewise.
        described: folders of the tokenizers, and of other parts without weights.
        variant: as for ``network_files``.

    Raises:
        ModelUnavailableError: as for ``network_files``, or it is no diffusers repository.
    """
    names = list(names)
    if INDEX not in names:
        raise ModelUnavailableError(f"it holds no {INDEX}")
    plain = {INDEX, "scheduler/scheduler_config.json"}
    plain |= {f"{folder}/{name}" for folder in described for name in _DESCRIPTIONS}
    plain |= {f"{name}/config.json" for name in stems}
    weights = [file for files in network_files(names, stems, variant).values() for file in files]
    return [*(name for name in names if name in plain), *weights]


def alone(names: Iterable[str], stem: str, variant: str | None = None) -> list[str]:
    """The safetensors files of a folder that holds one network; arguments and errors as for ``network_files``."""
    (chosen,) = network_files((f"network/{name}" for name in names), {"network": stem}, variant).values()
    return [name.removeprefix("network/") for name in chosen]


def clip_files(names: Iterable[str]) -> list[str]:
    """All files of an OpenCLIP repository that are read.

    Raises:
        ModelUnavailableError: it is none, or has no safetensors.
    """
    names = list(names)
    for needed in (CLIP_CONFIG, CLIP_WEIGHTS):
        if needed not in names:
            raise ModelUnavailableError(f"it holds no {needed}")
    return [name for name in names if name in {CLIP_CONFIG, CLIP_WEIGHTS, *_TOKENIZER}]


def adapter_files(names: Iterable[str], file: str | None) -> list[str]:
    """The files of an adapter's repository that are read.

    Args:
        names: of all files.
        file: of the adapter; None for the one that diffusers or PEFT writes.

    Raises:
        ModelUnavailableError: it is not there.
    """
    names = list(names)
    wanted = ADAPTER_WEIGHTS if file is None else (file,)
    found = next((name for name in wanted if name in names), None)
    if found is None:
        raise ModelUnavailableError(f"it holds no {' and no '.join(wanted)}")
    folder = found.rpartition("/")[0]
    config = f"{folder}/{ADAPTER_CONFIG}" if folder else ADAPTER_CONFIG
    return [found, *(name for name in names if name == config)]


def _kinds(names: Iterable[str], network: str, stem: str) -> dict[str | None, dict[int, list[str]]]:
    """The weights of a network by variant, and by the number of parts that they are in."""
    kinds: dict[str | None, dict[int, list[str]]] = {}
    for name in sorted(names):
        folder, _, file = name.rpartition("/")
        found = _WEIGHTS.fullmatch(file)
        if folder == network and found is not None and found["stem"] == stem:
            split = kinds.setdefault(found["variant"] or found["behind"], {})
            split.setdefault(int(found["parts"] or 1), []).append(name)
    return kinds


def _chosen(
    network: str, stem: str, kinds: dict[str | None, dict[int, list[str]]], variant: str | None
) -> list[str]:
    if not kinds:
        raise ModelUnavailableError(f"{network} holds no {stem}.safetensors")
    kind = variant if variant in kinds else _full_or_only(network, kinds, variant)
    parts, files = min(kinds[kind].items())  # one file, where there are parts of the same beside it
    if len(files) != parts:
        raise ModelUnavailableError(
            f"{network} holds {len(files)} of the {parts} parts of {stem}.safetensors"
        )
    return files


def _full_or_only(
    network: str, kinds: dict[str | None, dict[int, list[str]]], variant: str | None
) -> str | None:
    """The kind of a network that does not have the wanted one: the full weights, or without a wish the only ones."""
    if None in kinds:
        return None
    known = sorted(str(kind) for kind in kinds)
    if variant is not None:
        raise ModelUnavailableError(
            f"{network} has weights neither of the variant {variant!r} nor in full, only {', '.join(known)}"
        )
    if len(known) > 1:
        raise ModelUnavailableError(
            f"{network} has the variants {', '.join(known)} and no full weights: name one as `variant`"
        )
    return known[0]
