"""Train the pocket aesthetic head: a small network on pocket-s embeddings that tells clean drawings from spoilt ones.

``python -m training.aesthetic`` writes ``models/pocket-s/aesthetic.safetensors`` and prints how often a clean drawing
of a held-out name scores above its spoilt copy. No person rated these drawings: 10 means "as drawn", and every
spoiling takes off up to 9.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from jobs.catalog.models import ClipCard
from training import glyphs
from training.captions import compose, random_colour
from training.settings import models_folder, work_folder
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.loading.clip import load_clip
from worker.settings import WorkerSettings

CLIP = "pocket-s"
HIDDEN = 64
BEST, WORST = 10.0, 1.0
COPIES = 5  # one clean, and one for each way of spoiling

Spoiling = Callable[[Tensor, float, np.random.Generator], Tensor]


def blur(picture: Tensor, severity: float, rng: np.random.Generator) -> Tensor:
    """Gaussian blur of up to 4 px."""
    del rng
    sigma = 0.6 + 3.4 * severity
    offsets = torch.arange(-8, 9, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = F.pad(picture[None], (8, 8, 8, 8), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3)[0]


def noise(picture: Tensor, severity: float, rng: np.random.Generator) -> Tensor:
    """White noise of up to half of the range."""
    drawn = torch.from_numpy(rng.standard_normal(picture.shape, dtype=np.float32))
    return (picture + (0.05 + 0.45 * severity) * drawn).clamp(0, 1)


def recolour(picture: Tensor, severity: float, rng: np.random.Generator) -> Tensor:
    """The colour channels exchanged or inverted, mixed in."""
    order = [[1, 2, 0], [2, 0, 1], [2, 1, 0]][int(rng.integers(3))]
    wrong = picture[order] if rng.random() < 0.6 else 1 - picture
    share = 0.3 + 0.7 * severity
    return picture * (1 - share) + wrong * share


def cut_out(picture: Tensor, severity: float, rng: np.random.Generator) -> Tensor:
    """Up to six rectangles of one grey."""
    spoilt = picture.clone()
    height, width = picture.shape[1:]
    for _ in range(1 + round(5 * severity)):
        h, w = (int(rng.integers(size // 8, size // 3)) for size in (height, width))
        top, left = int(rng.integers(height // 6, height - h)), int(rng.integers(width // 6, width - w))
        spoilt[:, top : top + h, left : left + w] = float(rng.random())
    return spoilt


SPOILINGS: tuple[Spoiling, ...] = (blur, noise, recolour, cut_out)


def build(width: int) -> nn.Sequential:
    """The head: unit embeddings [N, width] to scores [N, 1]."""
    return nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))


@torch.no_grad()
def examples(clip: ClipModel, *, held_out: bool, rounds: int) -> tuple[Tensor, Tensor]:
    """Embeddings [N, 5, E] of each drawing clean and spoilt in four ways, and the scores [N, 5] they deserve."""
    rgba, rows = glyphs.load(work_folder())
    chosen = [index for index, glyph in enumerate(rows) if glyphs.is_held_out(glyph.name) == held_out]
    rng = np.random.default_rng(held_out)
    embeddings, scores = [], []
    for _ in range(rounds):
        for start in range(0, len(chosen), 32):
            pictures, deserved = [], []
            for index in chosen[start : start + 32]:
                clean = torch.from_numpy(compose(rgba[index], random_colour(rng), rng)) / 2 + 0.5
                pictures.append(clean)
                deserved.append(BEST)
                for spoil in SPOILINGS:
                    severity = float(rng.random())
                    pictures.append(spoil(clean, severity, rng))
                    deserved.append(BEST - (BEST - WORST) * (0.3 + 0.7 * severity))
            shown = torch.stack(pictures)
            resized = F.interpolate(shown, (clip.px, clip.px), mode="bicubic", antialias=True).clamp(0, 1)
            embeddings.append(clip.embed(resized).unflatten(0, (-1, COPIES)))
            scores.append(torch.tensor(deserved).unflatten(0, (-1, COPIES)))
    return torch.cat(embeddings), torch.cat(scores)


def main() -> None:
    """Train, measure on held-out names, and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="compositions of each drawing")
    parser.add_argument("--steps", type=int, default=3000)
    options = parser.parse_args()
    clip = load_clip(ClipCard(id=CLIP, path=models_folder() / CLIP), Device(WorkerSettings()))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    known = examples(clip, held_out=False, rounds=options.rounds)
    embeddings, scores = (values.flatten(0, 1) for values in known)
    head = build(embeddings.shape[-1])
    nn.init.constant_(head[2].bias, float(scores.mean()))  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    for _ in range(options.steps):
        batch = torch.randint(len(embeddings), (512,))
        loss = F.mse_loss(head(embeddings[batch])[:, 0], scores[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    report(head, *examples(clip, held_out=True, rounds=4))
    state = {
        key: value.half()
        for key, value in zip(("0.weight", "0.bias", "2.weight", "2.bias"), head.parameters(), strict=True)
    }
    metadata = {"format": "pt", "clip": CLIP, "activation": "relu"}
    save_file(
        {f"layers.{key}": value for key, value in state.items()},
        models_folder() / CLIP / "aesthetic.safetensors",
        metadata=metadata,
    )


@torch.no_grad()
def report(head: nn.Module, embeddings: Tensor, scores: Tensor) -> None:
    """Print how often a clean drawing scores above its spoilt copy, by the way of spoiling, and the mean error."""
    predicted = head(embeddings)[..., 0]
    for column, spoil in enumerate(SPOILINGS, start=1):
        wins = (predicted[:, 0] > predicted[:, column]).float().mean()
        print(
            f"{spoil.__name__}: clean above spoilt in {wins:.1%} of {len(predicted)} drawings of held-out names"
        )
    print(f"mean absolute error {(predicted - scores).abs().mean():.2f} on a scale of {WORST:g} to {BEST:g}")


if __name__ == "__main__":
    main()
