"""Train the ConvNet that names drawings: ``python -m training.judges.learn``.

It resumes where it stopped and writes ``models/pocket-judge``. It learns every name and style of the five sets, those
held out from the other networks too: it draws nothing, and has to know the answer. One drawing of some names is kept
from it, to see what it makes of a drawing that it never saw. A part of every batch was changed to flatter the CLIPs
that guide; another part is colours without a thing, of which it has to say that it could be anything.
"""

import argparse
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training import glyphs
from training.captions import compose, random_colour
from training.judges.asked import Asked
from training.judges.attacks import attacked, mush
from training.judges.clips import load_named
from training.judges.network import FOLDER, DrawingNet, save
from training.judges.spoiling import coarse, spoil
from training.loop import Plan, join, train
from training.settings import autocast_dtype, models_folder, work_folder
from worker.models.clip import ClipModel

SEED = 11
BATCH = 96
ATTACKED, COARSE, MUSHED = 20, 6, 6  # of a batch
KEPT_SHARE = 0.15  # of the names that have at least three drawings
REACHES = (0.03, 0.25)  # of an attack, in pictures in [-1, 1]
COARSENESS = (64, 32, 16)
MUSH_BANK, MUSH_STEPS = 192, 40
SMOOTHING = 0.1
STYLE_WEIGHT = 0.3
GUIDES = ("pocket-s", "pocket-m")


def kept(rows: list[glyphs.Glyph]) -> set[int]:
    """The numbers of the drawings that training never shows, one of a name at most."""
    by_name: dict[str, list[int]] = {}
    for index, glyph in enumerate(rows):
        by_name.setdefault(glyph.name, []).append(index)
    rng = np.random.default_rng(SEED)
    many = [indices for indices in by_name.values() if len(indices) >= 3]
    return {int(rng.choice(indices)) for indices in many if rng.random() < KEPT_SHARE}


class Lessons:
    """Batches of pictures, the names' and styles' numbers; ``-1`` for a picture without a thing."""

    def __init__(self) -> None:
        """Load the drawings and the CLIPs, and make the mush."""
        self._rgba, rows = glyphs.load(work_folder())
        hidden = kept(rows)
        self._seen = [index for index in range(len(rows)) if index not in hidden]
        self.names = sorted({glyph.name for glyph in rows})
        self._rows = rows
        self._name = [self.names.index(glyph.name) for glyph in rows]
        self._style = [glyphs.STYLES.index(glyph.style) for glyph in rows]
        self._clips = [load_named(name) for name in GUIDES]
        self._mush = _bank(self._clips, rows, work_folder() / "judge-mush.pt")

    def at(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures [B, 3, 64, 64] in [-1, 1], names [B] and styles [B] of ``step``."""
        rng = np.random.default_rng((SEED, step))
        drawn = torch.Generator().manual_seed(SEED * 1_000_003 + step)
        chosen = rng.choice(self._seen, BATCH, replace=False)
        composed = [compose(self._rgba[i], random_colour(rng), rng) for i in chosen]
        pictures = torch.from_numpy(np.stack(composed))
        names = torch.tensor([self._name[i] for i in chosen])
        styles = torch.tensor([self._style[i] for i in chosen])
        pictures[:ATTACKED] = self._flattered(pictures[:ATTACKED], rng)
        pictures = spoil(pictures, drawn)
        pictures[-COARSE:] = coarse(pictures[-COARSE:].clamp(-1, 1))
        bank = self._mush[torch.randint(len(self._mush), (MUSHED,), generator=drawn)]
        pictures[-COARSE - MUSHED : -COARSE] = spoil(bank, drawn)
        names[-COARSE - MUSHED :] = -1
        styles[-COARSE - MUSHED :] = -1
        return pictures, names, styles

    def _flattered(self, pictures: Tensor, rng: np.random.Generator) -> Tensor:
        """Pictures in which a CLIP finds other names."""
        clip = self._clips[int(rng.integers(len(self._clips)))]
        others = [self._rows[int(i)] for i in rng.choice(len(self._rows), len(pictures))]
        targets = clip.embed_texts([Asked(other.name, other.style).prompt for other in others])
        reach = torch.from_numpy(rng.uniform(*REACHES, len(pictures)).astype(np.float32))
        return attacked(pictures, targets, clip, reach, int(rng.choice(COARSENESS)))


def _bank(clips: list[ClipModel], rows: list[glyphs.Glyph], file: Path) -> Tensor:
    """Mush of many prompts, made once, [MUSH_BANK, 3, 64, 64] in [-1, 1]."""
    if file.exists():
        return cast("Tensor", torch.load(file, weights_only=True))
    rng, drawn = np.random.default_rng(SEED), torch.Generator().manual_seed(SEED)
    made = []
    for _ in range(0, MUSH_BANK, 64):
        chosen = [rows[int(i)] for i in rng.choice(len(rows), 64)]
        prompts = [Asked(glyph.name, glyph.style, random_colour(rng)).prompt for glyph in chosen]
        made.append(mush([(clip, clip.embed_texts(prompts)) for clip in clips], MUSH_STEPS, drawn))
    bank = torch.cat(made)
    torch.save(bank, file)
    return bank


def loss(names: Tensor, styles: Tensor, wanted: Tensor, wanted_styles: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of both heads; pictures without a thing (-1) should give every name the same chance.

    Args:
        names: logits [B, K].
        styles: logits [B, S].
        wanted: [B].
        wanted_styles: [B].
    """
    thing = wanted >= 0
    named = F.cross_entropy(names[thing], wanted[thing], label_smoothing=SMOOTHING)
    nothing = -F.log_softmax(names[~thing], dim=1).mean()
    styled = F.cross_entropy(styles[thing], wanted_styles[thing])
    share = float((~thing).float().mean())
    return {"name": named * (1 - share), "nothing": nothing * share, "style": STYLE_WEIGHT * styled}


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--lr", type=float, default=1e-3)
    options = parser.parse_args()
    join()
    torch.manual_seed(SEED)
    lessons = Lessons()
    network = DrawingNet(lessons.names, list(glyphs.STYLES)).to(memory_format=torch.channels_last)
    dtype = autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        pictures, names, styles = lessons.at(step)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            named, styled = network(pictures.contiguous(memory_format=torch.channels_last))
        return loss(named.float(), styled.float(), names, styles)

    plan = Plan(steps=options.steps, lr=options.lr, weight_decay=0.05, ema_decay=0.995)
    averaged = train(FOLDER, network, losses, plan, work_folder())
    save(cast("DrawingNet", averaged), models_folder() / FOLDER)


if __name__ == "__main__":
    main()
