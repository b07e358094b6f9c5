"""Writes a checkpoint of guided diffusion as a diffusers folder, for ``lodestar convert adm``.

``python -m worker.models.conversion.folder FILE FOLDER --px 256`` ends with 1 and one line on stderr if it cannot.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from jobs.errors import LodestarError, ModelUnavailableError
from worker.models.conversion.adm import converted
from worker.models.conversion.layout import Layout, config_of, layout_of
from worker.models.families.time_width import TIME_WIDTH, with_time_width
from worker.models.loading.layout import CONFIG, INDEX, NETWORK_STEM

HEAD_WIDTH = 64


def convert(
    file: Path, folder: Path, px: int, head_width: int = HEAD_WIDTH, *, is_legacy: bool = True
) -> Layout:
    """Convert a checkpoint.

    Args:
        file: a pickled state dict, of which nothing but tensors is read, or safetensors.
        folder: to write; it may not exist.
        px: width and height of the pictures that it was trained on.
        head_width: channels of an attention's head.
        is_legacy: as for ``converted``.

    Returns:
        What was found in the file.

    Raises:
        ModelUnavailableError: it is of another network, or the folder exists.
    """
    if folder.exists():
        raise ModelUnavailableError(f"{folder} exists already")
    tensors = _read(file)
    layout = layout_of(tensors)
    config = config_of(layout, px, head_width)
    named = converted(tensors, layout, head_width, is_legacy=is_legacy)
    _require_shapes(config, named)
    unet = folder / "unet"
    unet.mkdir(parents=True)
    save_file(named, unet / f"{NETWORK_STEM}.safetensors", metadata={"format": "pt"})
    _write(unet / CONFIG, config)
    _write(folder / INDEX, _index())
    is_learned = layout.channels[1] == 2 * layout.channels[0]
    scheduler = DDPMScheduler(
        beta_schedule="linear",
        beta_start=1e-4,
        beta_end=0.02,
        clip_sample=False,
        variance_type="learned_range" if is_learned else "fixed_large",
    )
    scheduler.save_pretrained(folder / "scheduler")
    return layout


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors of a published file; pickled objects of any other kind are refused.

    Raises:
        ModelUnavailableError: it holds something else than named tensors.
    """
    try:
        content = (
            load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelUnavailableError(f"{file} cannot be read as tensors alone: {reason}") from error
    if not isinstance(content, dict) or not all(isinstance(each, Tensor) for each in content.values()):
        raise ModelUnavailableError(f"{file} holds something else than named tensors")
    return dict(content)


def _require_shapes(config: dict[str, Any], named: dict[str, Tensor]) -> None:
    """Refuse tensors that the network of this configuration does not have, or lacks, or has in another shape."""
    plain = {name: value for name, value in config.items() if name != TIME_WIDTH}
    network = with_time_width(UNet2DModel.from_config(plain), config.get(TIME_WIDTH))
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    given = {name: tensor.shape for name, tensor in named.items()}
    wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
    if wrong:
        raise ModelUnavailableError(
            f"the checkpoint does not fit the network that its names describe: {wrong[0]} is "
            f"{_shown(given.get(wrong[0]))} where {_shown(wanted.get(wrong[0]))} is due"
        )


def _shown(shape: Any) -> str:
    return "missing" if shape is None else str(list(shape))


def _index() -> dict[str, Any]:
    return {
        "_class_name": "DDPMPipeline",
        "scheduler": ["diffusers", "DDPMScheduler"],
        "unet": ["diffusers", "UNet2DModel"],
    }


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    """Convert, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--px", type=int, required=True)
    parser.add_argument("--head-width", type=int, default=HEAD_WIDTH)
    parser.add_argument("--new-attention-order", action="store_true")
    options = parser.parse_args()
    try:
        found = convert(
            options.file,
            options.folder,
            options.px,
            options.head_width,
            is_legacy=not options.new_attention_order,
        )
    except LodestarError as error:
        sys.exit(error.message)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
