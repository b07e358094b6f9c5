"""pocket-eval as the judge of adapters: what it sees in pictures, and pictures to ask it about."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jobs.catalog.catalog import load_catalog
from jobs.catalog.models import ClipCard
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from training import glyphs
from training.judges.clips import POOL, embed
from training.metrics import retrieval
from training.settings import models_folder
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.models.device import Device
from worker.models.loading.clip import load_clip
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings


class Judge:
    """The evaluator, asked for the names of things."""

    def __init__(self) -> None:
        """Load it and embed the names of the vocabulary, learned ones first."""
        card = ClipCard(id="pocket-eval", path=models_folder() / "pocket-eval")
        self._clip = load_clip(card, Device(WorkerSettings()))
        learned = glyphs.learned()
        self._names = learned + [name for name in glyphs.vocabulary() if name not in set(learned)]
        self._texts = torch.cat([self._clip.embed_text(name) for name in self._names])

    def see(self, pictures: Tensor) -> Tensor:
        """Unit vectors [N, D] of pictures [N, 3, 64, 64] in [0, 1]."""
        return embed(self._clip, pictures)

    def names(self, features: Tensor, answers: Sequence[str]) -> tuple[float, float]:
        """Shares of pictures whose name, without a style, is the nearest of 256, and one of the nearest 5.

        Args:
            features: unit vectors [N, D].
            answers: the name of each.
        """
        hits = []
        for feature, name in zip(features, answers, strict=True):
            own = self._names.index(name)
            pool = [own, *(other for other in range(len(self._names)) if other != own)][:POOL]
            answer = torch.tensor([0])
            hits.append([retrieval(feature[None], self._texts[pool], answer, top) for top in (1, 5)])
        top_1, top_5 = np.mean(hits, axis=0)
        return float(top_1), float(top_5)


class Artist:
    """The pocket model of the catalog, as the service runs it."""

    def __init__(self, **fields: Any) -> None:
        """Load nothing yet.

        Args:
            fields: of all requests.
        """
        self._fields = fields
        catalog = load_catalog(models_folder().parent / "models.toml")
        self._runner = Runner(ModelRegistry(catalog, Device(WorkerSettings())))
        self._catalog = catalog

    def draw(self, prompts: Sequence[str], **fields: Any) -> Tensor:
        """One picture of each prompt, [N, 3, 64, 64] in [0, 1]; the seed is the prompt's number.

        Args:
            prompts: of N requests.
            fields: of all of them.
        """
        requests = [
            resolve(GenerateRequest(prompt=prompt, seed=seed, **self._fields, **fields), self._catalog)
            for seed, prompt in enumerate(prompts)
        ]
        return torch.stack([picture.pixels for (picture,) in generate_all(requests, self._runner)])
