"""pocket-eval as the judge of styles: in which of five a picture is drawn."""

from collections.abc import Sequence

import torch
from torch import Tensor

from jobs.catalog.models import ClipCard
from training.glyphs import STYLES
from training.judges.clips import embed
from training.settings import models_folder
from worker.models.device import Device
from worker.models.loading.clip import load_clip
from worker.settings import WorkerSettings


class StyleJudge:
    """The evaluator, asked which style's caption is nearest."""

    def __init__(self) -> None:
        """Load it."""
        card = ClipCard(id="pocket-eval", path=models_folder() / "pocket-eval")
        self._clip = load_clip(card, Device(WorkerSettings(device="cpu", dtype="fp32")))

    def share(self, pictures: Tensor, names: Sequence[str], wanted: Sequence[str]) -> float:
        """Share of pictures whose nearest caption of five is that of the wanted style.

        Args:
            pictures: [N, 3, H, W] in [0, 1].
            names: of what each shows.
            wanted: its style.
        """
        right = []
        for feature, name, style in zip(embed(self._clip, pictures), names, wanted, strict=True):
            texts = torch.cat([self._clip.embed_text(f"{each} {name}") for each in STYLES])
            right.append(STYLES[int((texts @ feature).argmax())] == style)
        return sum(right) / len(right)
