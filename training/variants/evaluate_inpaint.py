"""Measure pocket-inpaint beside plain pocket whose estimate is blended with the picture, and write the card's table.

``python -m training.variants.evaluate_inpaint`` fills the middle of 256 pictures twice, from the same noise with the
same captions, and draws some of them to ``inpaint-figures-SCALE.png`` in the work folder. The judge is pocket-eval.
"""

import argparse
from pathlib import Path

import numpy as np
import open_clip
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from training import glyphs
from training.captions import COLOURS, caption, compose
from training.cards import write_figures
from training.glyphs import Glyph
from training.metrics import retrieval
from training.settings import models_folder, work_folder
from training.variants.delta import materialize
from training.variants.fill import Texts, fill
from training.variants.hole_figures import Truth, background_error, psnr, seam
from training.variants.inpaint import NAME
from training.variants.inpaint_data import Holes, condition, encode, load_vae
from training.variants.masks import hide, middle

COUNT = 256
POOL = 256
AT_ONCE = 64
SHOWN = 12


class Judge:
    """pocket-eval, asked for the name of a picture whose style and background are told."""

    def __init__(self) -> None:
        folder = f"local-dir:{models_folder() / 'pocket-eval'}"
        self._clip = open_clip.create_model(folder).eval()
        self._tokenizer = open_clip.get_tokenizer(folder)
        names = glyphs.learned()
        self._names = names + [name for name in glyphs.vocabulary() if name not in set(names)]
        self._texts: dict[tuple[str, str], Tensor] = {}

    @torch.no_grad()
    def names(self, pictures: Tensor, shown: list[tuple[Glyph, str]]) -> tuple[float, float]:
        """Shares of pictures [N, 3, H, W] in [0, 1] whose own name is the nearest, and one of the nearest 5, of 256.

        The 255 others are learned ones first: the nearer the others, the harder to tell apart.
        """
        px = self._clip.visual.image_size[0]
        small = F.interpolate(pictures, (px, px), mode="bicubic", antialias=True).clamp(0, 1)
        features = torch.cat(
            [self._clip.encode_image(part * 2 - 1, normalize=True) for part in small.split(64)]
        )
        hits = []
        for feature, (glyph, colour) in zip(features, shown, strict=True):
            own = self._names.index(glyph.name)
            pool = [own, *(other for other in range(len(self._names)) if other != own)][:POOL]
            texts = self._described(glyph.style, colour)[pool]
            hits.append([retrieval(feature[None], texts, torch.tensor([0]), top) for top in (1, 5)])
        top_1, top_5 = np.mean(hits, axis=0)
        return float(top_1), float(top_5)

    def _described(self, style: str, colour: str) -> Tensor:
        if (style, colour) not in self._texts:
            rng = np.random.default_rng(0)
            captions = [caption(Glyph(name, style), colour, rng, drop=0) for name in self._names]
            self._texts[style, colour] = torch.cat(
                [
                    self._clip.encode_text(self._tokenizer(captions[at : at + 64]), normalize=True)
                    for at in range(0, len(captions), 64)
                ]
            )
        return self._texts[style, colour]


def problems() -> tuple[Truth, list[tuple[Glyph, str]]]:
    """256 learned glyphs on backgrounds of all colours alike, with the middle half of each side masked."""
    rgba, rows = glyphs.load(work_folder())
    rng, wanted = np.random.default_rng(2), set(glyphs.learned())
    chosen = rng.permutation([index for index, glyph in enumerate(rows) if glyph.name in wanted])[:COUNT]
    shown = [(rows[index], list(COLOURS)[int(rng.integers(len(COLOURS)))]) for index in chosen]
    pictures = np.stack(
        [compose(rgba[index], colour) for index, (_, colour) in zip(chosen, shown, strict=True)]
    )
    alphas = rgba[chosen][..., 3].astype(np.float32)[:, None] / 255
    return Truth(torch.from_numpy(pictures) / 2 + 0.5, torch.from_numpy(alphas), middle()), shown


@torch.no_grad()
def composites(vae: AutoencoderKL, latents: Tensor, truth: Truth) -> Tensor:
    """Decoded latents [N, 8, 16, 16] in the hole and the pictures' own pixels around it: [N, 3, 64, 64] in [0, 1]."""
    decoded = torch.cat([vae.decode(part).sample for part in latents.split(AT_ONCE)])
    return torch.where(truth.mask, (decoded / 2 + 0.5).clamp(0, 1), truth.pictures)


@torch.no_grad()
def encoded(truth: Truth, shown: list[tuple[Glyph, str]], vae: AutoencoderKL) -> Holes:
    """The same as latents, with full captions."""
    rng = np.random.default_rng(0)
    parts = (truth.pictures * 2 - 1).split(AT_ONCE)
    return Holes(
        torch.cat([encode(vae, part) for part in parts]),
        torch.cat([condition(vae, part, truth.mask.expand(len(part), 1, -1, -1)) for part in parts]),
        [caption(glyph, colour, rng, drop=0) for glyph, colour in shown],
    )


def filled(unet: UNet2DConditionModel, holes: Holes, texts: Texts, steps: int, cfg_scale: float) -> Tensor:
    """The same latents without their holes, from the same noise for every UNet [N, 8, 16, 16]."""
    noise = torch.randn(holes.x0.shape, generator=torch.Generator().manual_seed(0))
    done = []
    for start in range(0, len(noise), AT_ONCE):
        at = slice(start, start + AT_ONCE)
        some = Holes(holes.x0[at], holes.condition[at], holes.captions[at])
        done.append(fill(unet, some, texts, noise[at], steps=steps, cfg_scale=cfg_scale))
    return torch.cat(done)


def save_grid(rows: list[Tensor], path: Path) -> None:
    """Draw the first pictures of each row [N, 3, 64, 64] in [0, 1], twice as large."""
    grid = torch.cat([torch.cat(list(row[:SHOWN]), dim=-1) for row in rows], dim=-2)
    picture = Image.fromarray((grid.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.BICUBIC).save(path)


def heading(steps: int) -> list[str]:
    """The first lines of the table."""
    return [
        f"{COUNT} pictures of learned glyphs whose middle 32 x 32 pixels are masked, filled with the right caption in "
        f"{steps} steps of DDIM and laid into the picture:",
        "",
        "| | guidance scale | PSNR in the hole | top 1 | top 5 | seam | background |",
        "|---|---|---|---|---|---|---|",
    ]


def main() -> None:
    """Measure, and write the table and the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--cfg-scale", type=float, nargs="+", default=[1.0, 2.0, 4.0])
    parser.add_argument("--delta", type=Path, default=models_folder() / NAME)
    options = parser.parse_args()
    torch.set_num_threads(1)
    judge, vae, texts = Judge(), load_vae(), Texts()
    truth, shown = problems()
    holes = encoded(truth, shown, vae)
    plain = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()
    inpaint = materialize(plain, options.delta)
    lines = heading(options.steps)

    def measure(label: str, scale: str, made: Tensor) -> None:
        top_1, top_5 = judge.names(made, shown)
        distance = "" if made is truth.pictures else f"{psnr(made, truth):.2f} dB"
        lines.append(
            f"| {label} | {scale} | {distance} | {top_1:.1%} | {top_5:.1%} "
            f"| {seam(made, truth):.2f} | {background_error(made, truth):.1f} |"
        )
        print(lines[-1], flush=True)

    grey = hide(truth.pictures * 2 - 1, truth.mask[None]) / 2 + 0.5
    measure("the picture itself", "", truth.pictures)
    measure("the hole left grey", "", grey)
    measure("the picture through the VAE", "", composites(vae, holes.x0, truth))
    for scale in options.cfg_scale:
        rows = [truth.pictures, grey]
        for label, unet in (("pocket, blended", plain), (NAME, inpaint)):
            rows.append(composites(vae, filled(unet, holes, texts, options.steps, scale), truth))
            measure(label, f"{scale:g}", rows[-1])
        save_grid(rows, work_folder() / f"inpaint-figures-{scale:g}.png")
    if options.delta == models_folder() / NAME:
        write_figures(options.delta / "README.md", "\n".join(lines))


if __name__ == "__main__":
    main()
