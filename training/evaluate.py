"""Measure the pocket family and write the table of its model card.

``python -m training.evaluate [--prompts 512] [--preset laion]`` prints the table and puts it between the two marks of
``models/pocket/README.md``. Judges that agree for different reasons look at the pictures
(``training/judges/panel.py``).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from tqdm import tqdm

from jobs.catalog.catalog import load_catalog
from jobs.catalog.models import ClipCard
from jobs.requests.guidance import Guidance
from jobs.requests.presets import PresetName
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from training import glyphs
from training.captions import COLOURS, caption, compose
from training.cards import write_figures
from training.judges.asked import Asked
from training.judges.clips import POOL, embed
from training.judges.panel import FIGURES, Opinion, Panel, change, means
from training.metrics import frechet_distance, kernel_distance, precision_and_recall, retrieval
from training.settings import models_folder, work_folder
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.loading.clip import load_clip
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

FLOOR = 64  # pictures of the floor
CLIPS = ("pocket-s", "pocket-m", "pocket-eval")


def held_out() -> tuple[Tensor, list[str]]:
    """Up to 256 pictures [N, 3, 64, 64] in [0, 1] of names that no stage has seen, with full captions."""
    rgba, rows = glyphs.load(work_folder())
    rng = np.random.default_rng(0)
    chosen = [index for index, glyph in enumerate(rows) if glyphs.is_held_out(glyph.name)]
    pictures, captions = [], []
    for index in rng.permutation(chosen)[:POOL]:
        colour = list(COLOURS)[int(rng.integers(len(COLOURS)))]
        pictures.append(compose(rgba[index], colour))
        captions.append(caption(rows[index], colour, rng, drop=0))
    return torch.from_numpy(np.stack(pictures)) / 2 + 0.5, captions


@torch.no_grad()
def vae_psnr(pictures: Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB of the reconstructions of held-out pictures."""
    vae = AutoencoderKL.from_pretrained(models_folder() / "pocket" / "vae").float().eval()
    decoded = torch.cat(
        [vae.decode(vae.encode(part).latent_dist.mode()).sample for part in (pictures * 2 - 1).split(32)]
    )
    error = (decoded.clamp(-1, 1) / 2 + 0.5 - pictures).square().mean(dim=(1, 2, 3))
    return float((-10 * error.log10()).mean())


def clip_rows(pictures: Tensor, captions: list[str], clips: dict[str, ClipModel]) -> Iterator[str]:
    """Retrieval of held-out pictures by caption and back, for each CLIP."""
    answers = torch.arange(len(captions))
    for name, clip in clips.items():
        image = embed(clip, pictures)
        text = torch.cat([clip.embed_text(words) for words in captions])
        figures = [
            retrieval(*pair, answers, top) for pair in ((image, text), (text, image)) for top in (1, 5)
        ]
        yield f"| {name} | " + " | ".join(f"{figure:.1%}" for figure in figures) + " |"


def prompts(count: int, names: list[str]) -> list[tuple[str, str]]:
    """``count`` pairs of a name and a style, every name before any comes again."""
    rng = np.random.default_rng(1)
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        pairs += [(str(name), glyphs.STYLES[int(rng.integers(4))]) for name in rng.permutation(names)]
    return pairs[:count]


def generated_rows(count: int, preset: PresetName, evaluator: ClipModel, names: list[str]) -> Iterator[str]:
    """The judges' figures of pictures without and with guidance, at the same seeds, of real drawings and of mush."""
    models = ModelRegistry(load_catalog(models_folder().parent / "models.toml"), Device(WorkerSettings()))
    runner, panel = Runner(models), Panel()
    asked = [Asked(name, style) for name, style in prompts(count, names)]
    rgba, rows = glyphs.load(work_folder())
    wanted = set(names)
    real = [compose(rgba[i], "white") for i, glyph in enumerate(rows) if glyph.name in wanted]
    real_features = embed(evaluator, torch.from_numpy(np.stack(real)) / 2 + 0.5)
    plain: Opinion | None = None
    for label, guidance in (("unguided", None), ("guided", Guidance(preset=preset))):
        requests = [
            resolve(GenerateRequest(prompt=one.prompt, seed=seed, guidance=guidance), models.catalog)
            for seed, one in enumerate(asked)
        ]
        drawn = tqdm(generate_all(requests, runner), desc=label, total=count)
        pictures = torch.stack([picture.pixels for (picture,) in drawn])
        opinion, features = panel.see(pictures, asked), embed(evaluator, pictures)
        precision, recall = precision_and_recall(real_features, features)
        yield (
            f"{figures_row(label, opinion)} {frechet_distance(real_features, features):.4f} "
            f"| {kernel_distance(real_features, features):.5f} | {precision:.3f} | {recall:.3f} |"
        )
        if plain is not None:
            told = (change(plain, opinion, field).text for field, *_ in FIGURES)
            yield f"| change | {' | '.join(told)} | | | | |"
        plain = plain or opinion
    drawings, of = panel.ceiling(asked)
    yield f"{figures_row(f'real drawings ({len(of)})', panel.see(drawings, of))} | | | |"
    few = asked[:FLOOR]
    yield f"{figures_row('8 x 8 px by CLIP alone', panel.see(panel.floor(few), few))} | | | |"


def figures_row(label: str, opinion: Opinion) -> str:
    """The beginning of a line of a table."""
    return f"| {label} | {' | '.join(f'{each:.3f}' for each in means(opinion).values())} |"


def main() -> None:
    """Measure everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--preset", choices=get_args(PresetName), default="laion", help="how to guide")
    parser.add_argument("--names", type=Path, default=glyphs.CORE, help="the names that the UNet learned")
    options = parser.parse_args()
    device = Device(WorkerSettings())
    clips = {name: load_clip(ClipCard(id=name, path=models_folder() / name), device) for name in CLIPS}
    names = glyphs.learned(options.names)
    pictures, captions = held_out()
    lines = [
        f"VAE: {vae_psnr(pictures):.1f} dB PSNR on {len(pictures)} glyphs of held-out names.",
        "",
        f"Retrieval on the same glyphs (pool of {len(pictures)}):",
        "",
        "| CLIP | picture to caption, top 1 | top 5 | caption to picture, top 1 | top 5 |",
        "|---|---|---|---|---|",
        *clip_rows(pictures, captions, clips),
        "",
        f"{options.prompts} generated pictures of {len(names)} names at the same seeds, guided by the preset "
        f"`{options.preset}`, as the [judges](../pocket-judge/README.md) see them: retrieval among {POOL} names of "
        "the same style, distance to the real drawing in 1/255. FID, KID, precision and recall are in pocket-eval's "
        "feature space, so they compare only with each other:",
        "",
        f"| | {' | '.join(heading for _, heading, _ in FIGURES)} | FID | KID | precision | recall |",
        "|---" * (len(FIGURES) + 5) + "|",
        *generated_rows(options.prompts, options.preset, clips["pocket-eval"], names),
    ]
    table = "\n".join(lines)
    print(table)
    write_figures(models_folder() / "pocket" / "README.md", table)


if __name__ == "__main__":
    main()
