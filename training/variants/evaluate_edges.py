"""Measure pocket-edges on drawings of names that no stage has seen, and write the card's table.

``python -m training.variants.evaluate_edges`` draws from the same noise with and without maps. The judge of names is
pocket-eval. Some pictures go to ``edges-known.png`` and ``edges-unseen.png`` in the work folder.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from jobs.catalog.controls import ControlCard
from training import glyphs
from training.adapters.judge import Judge
from training.cards import write_figures
from training.settings import models_folder, work_folder
from training.variants.edge_figures import edge_f1
from training.variants.edges import NAME, Problems, drawn, edges_of, unseen
from training.variants.evaluate_inpaint import AT_ONCE, save_grid
from training.variants.fill import Texts
from training.variants.inpaint_data import load_vae
from worker.canvas import canvas_of
from worker.models.controls.control import Base, UNetCall
from worker.models.controls.loading import load_control
from worker.models.device import Device
from worker.models.loading.digests import Digests
from worker.settings import WorkerSettings

COUNT = 128
STEPS = 25
SCALE = 4.0
HEADING = ["| names | | edge F1 | name, top 1 | top 5 |", "|---|---|---|---|---|"]


class Served(nn.Module):
    """A ControlNet as the service runs it, called as the one that trains."""

    def __init__(self, folder: Path, unet: UNet2DConditionModel) -> None:
        super().__init__()
        device = Device(WorkerSettings(device="cpu", dtype="fp32"))
        self._control = load_control(ControlCard(id=NAME, path=folder), device, Digests())
        self._control.require_fit(Base(unet, latent_channels=8, latent_factor=4))
        self._unet = [unet]  # in a list, so that it is not a part of this

    def forward(self, latents: Tensor, timesteps: Tensor, states: Tensor, maps: Tensor) -> tuple[Tensor, ...]:
        read = self._control.read([canvas_of((255 * each).to(torch.uint8)) for each in maps])
        return self._control.additions(UNetCall(self._unet[0], latents, timesteps, states), read)


def edges(pictures: Tensor) -> Tensor:
    """The edges [N, H, W] of pictures [N, 3, H, W] in [0, 1]."""
    found = [edges_of(picture.numpy()) for picture in pictures * 2 - 1]
    return torch.from_numpy(np.stack(found))


@torch.no_grad()
def decoded(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Pictures [N, 3, 64, 64] in [0, 1] of latents [N, 8, 16, 16]."""
    made = torch.cat([vae.decode(part).sample for part in latents.split(AT_ONCE)])
    return (made / 2 + 0.5).clamp(0, 1)


def main() -> None:
    """Measure, and write the table and the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control", type=Path, default=models_folder() / NAME)
    options = parser.parse_args()
    torch.set_num_threads(1)
    vae, texts, judge, lines = load_vae(), Texts(), Judge(), list(HEADING)
    unet = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()
    control = Served(options.control, unet)
    for label, problems in (
        ("unseen", Problems(2, COUNT, unseen())),
        ("known", Problems(3, COUNT, set(glyphs.learned()))),
    ):
        whole, names = problems.whole, [glyph.name for glyph, _ in problems.shown]
        untold = replace(whole, captions=[""] * COUNT)
        made = {
            "the drawings through the autoencoder": whole.x0,
            "told the caption": drawn(unet, None, whole, texts, steps=STEPS, cfg_scale=SCALE),
            "told caption and edges": drawn(unet, control, whole, texts, steps=STEPS, cfg_scale=SCALE),
            "told the edges": drawn(unet, control, untold, texts, steps=STEPS, cfg_scale=SCALE),
        }
        pictures = {what: decoded(vae, latents) for what, latents in made.items()}
        for what, shown in pictures.items():
            top_1, top_5 = judge.names(judge.see(shown), names)
            f1 = edge_f1(edges(shown), whole.maps[:, 0])
            lines.append(f"| {label} | {what} | {f1:.3f} | {top_1:.1%} | {top_5:.1%} |")
            print(lines[-1], flush=True)
        grid = [
            pictures["the drawings through the autoencoder"],
            whole.maps.float(),
            *list(pictures.values())[1:],
        ]
        save_grid(grid, work_folder() / f"edges-{label}.png")
    if options.control == models_folder() / NAME:
        write_figures(options.control / "README.md", "\n".join([f"{COUNT} pictures each:", "", *lines]))


if __name__ == "__main__":
    main()
