"""Measure pocket-edit beside image-to-image of plain pocket, and write the card's table.

``python -m training.edits.evaluate`` edits drawings of names that no stage has seen, by the shipped weights.
Some go to ``edit-background.png``, ``edit-nothing.png`` and ``edit-style.png`` in the work folder. The judge of styles
is pocket-eval.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from training import glyphs
from training.captions import COLOURS, caption
from training.cards import write_figures
from training.diffusion import scheduler
from training.edits.figures import CLOSE, frame_error, psnr
from training.edits.instructions import BACKGROUND, STYLE
from training.edits.problems import Edits, lay
from training.edits.styles import StyleJudge
from training.edits.train import NAME, edited
from training.glyphs import Glyph
from training.settings import models_folder, work_folder
from training.variants.delta import materialize
from training.variants.evaluate_inpaint import save_grid
from training.variants.fill import Texts
from training.variants.inpaint_data import encode, load_vae

COUNT, FEW, EACH = 32, 16, 6
AT_ONCE = 32
STEPS = 20
SCALES = (3.0, 1.5)  # the catalog's, of the text and of the picture
OTHERS = ((1.0, 1.0), (2.0, 1.0), (4.0, 2.0))
STRENGTHS = (0.6, 0.8)


@dataclass(frozen=True)
class Task:
    """Pictures to edit, and what should come of them.

    Attributes:
        before: [N, 3, 64, 64] in [0, 1].
        truth: likewise.
        alphas: whether a pixel is the drawing's, [N, 1, 64, 64].
        texts: the instructions.
        captions: of the truth, as plain pocket reads them.
        shown: what the truth is of.
    """

    before: Tensor
    truth: Tensor
    alphas: Tensor
    texts: list[str]
    captions: list[str]
    shown: list[Glyph]

    def first(self, count: int) -> "Task":
        """The first pictures alone."""
        parts = (self.before, self.truth, self.alphas, self.texts, self.captions, self.shown)
        return Task(*(part[:count] for part in parts))  # type: ignore[arg-type]


def recoloured(count: int, *, changes: bool) -> Task:
    """Drawings of unseen names whose background gets another colour, or is asked to have the one that it has."""
    return _task(count, [index for index, row in _rows() if glyphs.is_held_out(row.name)], changes, None)


def restyled(count: int, style: str, *, known: bool) -> Task:
    """Drawings, of names that pocket knows or of unseen ones, that are to be drawn in a style which they are not in."""
    learned = set(glyphs.learned())
    rows = [
        index
        for index, row in _rows()
        if (row.name in learned if known else glyphs.is_held_out(row.name)) and row.style != style
    ]
    return _task(count, rows, False, style)


def _rows() -> list[tuple[int, Glyph]]:
    return list(enumerate(glyphs.load(work_folder())[1]))


def _task(count: int, usable: Sequence[int], changes: bool, style: str | None) -> Task:
    pictures, rows = glyphs.load(work_folder())
    rng, colours = np.random.default_rng(11), list(COLOURS)
    before, truth, alphas, texts, captions, shown = [], [], [], [], [], []
    for place, index in enumerate(rng.permutation(usable)[:count]):
        source, target = (colours[int(c)] for c in rng.choice(len(colours), size=2, replace=False))
        target = target if changes else source
        shift = tuple(int(s) for s in rng.integers(-2, 3, size=2))
        wanted = Glyph(rows[index].name, style or rows[index].style)
        before.append(lay(pictures[index], COLOURS[source], (shift[0], shift[1])))
        truth.append(lay(pictures[index], COLOURS[target], (shift[0], shift[1])))
        alphas.append(np.roll(pictures[index][None, ..., 3] > 127, shift, axis=(1, 2)))
        ways = STYLE if style else BACKGROUND
        texts.append(ways[place % len(ways)].format(colour=target, style=style))
        captions.append(caption(wanted, target, rng, drop=0))
        shown.append(wanted)
    stacked = [torch.from_numpy(np.stack(part)) for part in (before, truth, alphas)]
    return Task(stacked[0] / 2 + 0.5, stacked[1] / 2 + 0.5, stacked[2], texts, captions, shown)


class Gauge:
    """Edits with the networks as they are shipped."""

    def __init__(self, delta: Path) -> None:
        """Load them.

        Args:
            delta: folder of the editing model.
        """
        self._plain = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()
        self._editor = materialize(self._plain, delta)
        self._vae, self._texts = load_vae(), Texts()

    @torch.no_grad()
    def through_vae(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, 64, 64] in [0, 1], encoded and decoded."""
        return self._decoded(self._encoded(pictures))

    def edit(self, task: Task, scales: tuple[float, float]) -> Tensor:
        """The edited pictures [N, 3, 64, 64] in [0, 1]."""
        made = []
        for start in range(0, len(task.texts), AT_ONCE):
            at = slice(start, start + AT_ONCE)
            latents = self._encoded(task.before[at])
            edits = Edits(latents, latents, task.texts[at])
            one, other = scales
            kept = {"steps": STEPS, "cfg_scale": one, "image_cfg_scale": other}
            made.append(self._decoded(edited(self._editor, edits, self._texts, **kept)))  # type: ignore[arg-type]
        return torch.cat(made)

    @torch.no_grad()
    def redraw(self, task: Task, strength: float) -> Tensor:
        """What plain pocket makes of the pictures with the captions of the wanted ones (SDEdit, Meng et al. 2022)."""
        noises, x = scheduler(), self._encoded(task.before)
        noises.set_timesteps(STEPS)
        times = noises.timesteps[STEPS - int(STEPS * strength) :]
        x = noises.add_noise(x, torch.randn(x.shape, generator=torch.Generator().manual_seed(0)), times[:1])
        states = self._texts([*task.captions, *[""] * len(x)])
        unet: nn.Module = self._plain
        for t in times:
            with_text, without = unet(x.repeat(2, 1, 1, 1), t, states).sample.chunk(2)
            x = noises.step(without + 4 * (with_text - without), t, x).prev_sample
        return self._decoded(x)

    @torch.no_grad()
    def _encoded(self, pictures: Tensor) -> Tensor:
        return torch.cat([encode(self._vae, part * 2 - 1) for part in pictures.split(AT_ONCE)])

    @torch.no_grad()
    def _decoded(self, latents: Tensor) -> Tensor:
        made = torch.cat([self._vae.decode(part).sample for part in latents.split(AT_ONCE)])
        return (made / 2 + 0.5).clamp(0, 1)


def line(label: str, made: Tensor, task: Task) -> str:
    """A line of the first table."""
    frames = frame_error(made, task.truth)
    close, drawing = (frames <= CLOSE).float().mean(), psnr(made, task.truth, task.alphas).mean()
    whole = psnr(made, task.truth).mean()
    text = (
        f"| {label} | {len(made)} | {close:.0%} | {frames.mean():.1f} | {drawing:.1f} dB | {whole:.1f} dB |"
    )
    print(text, flush=True)
    return text


def backgrounds(gauge: Gauge) -> list[str]:
    """The table of edits whose truth is known."""
    task, nothing = recoloured(COUNT, changes=True), recoloured(COUNT, changes=False)
    few, (one, other) = task.first(FEW), SCALES
    lines = [
        "| | pictures | border within 10/255 | its error, 1/255 | drawing | whole picture |",
        "|---|---|---|---|---|---|",
    ]

    def add(label: str, made: Tensor, its: Task) -> Tensor:
        lines.append(line(label, made, its))
        return made

    add("the truth through the autoencoder", gauge.through_vae(task.truth), task)
    add("the picture as it was", task.before, task)
    made = add(f"**another background**, scales {one:g} and {other:g}", gauge.edit(task, SCALES), task)
    save_grid([task.before, made, task.truth], work_folder() / "edit-background.png")
    kept = add(f"**the background that it has**, {one:g} and {other:g}", gauge.edit(nothing, SCALES), nothing)
    save_grid([nothing.before, kept], work_folder() / "edit-nothing.png")
    for scales in OTHERS:
        add(f"another background, {scales[0]:g} and {scales[1]:g}", gauge.edit(few, scales), few)
    for strength in STRENGTHS:
        label = f"another background by plain pocket, strength {strength:g}"
        add(label, gauge.redraw(few, strength), few)
    return lines


def styles(gauge: Gauge, count: int = EACH) -> list[str]:
    """The table of edits of the style."""
    judge = StyleJudge()
    lines = ["| another style | pictures | told as the wanted style | as before |", "|---|---|---|---|"]
    grid = []
    for label, known in (("names that pocket knows", True), ("names that no stage saw", False)):
        tasks = [restyled(count, style, known=known) for style in glyphs.STYLES]
        made = [gauge.edit(task, SCALES) for task in tasks]
        wanted = [style for style in glyphs.STYLES for _ in range(count)]
        names = [each.name for task in tasks for each in task.shown]
        share = judge.share(torch.cat(made), names, wanted)
        before = judge.share(torch.cat([task.before for task in tasks]), names, wanted)
        lines.append(f"| {label} | {len(wanted)} | {share:.0%} | {before:.0%} |")
        print(lines[-1], flush=True)
        for task, pictures in zip(tasks[:3], made, strict=False):
            grid += [task.before, pictures]
    save_grid(grid, work_folder() / "edit-style.png")
    return lines


def main() -> None:
    """Measure, and write the tables and the grids."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delta", type=Path, default=models_folder() / NAME)
    options = parser.parse_args()
    torch.set_num_threads(1)
    gauge = Gauge(options.delta)
    lines = [*backgrounds(gauge), "", *styles(gauge)]
    if options.delta == models_folder() / NAME:
        write_figures(options.delta / "README.md", "\n".join(lines))


if __name__ == "__main__":
    main()
