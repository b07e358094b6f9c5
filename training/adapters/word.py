"""Find a word for a thing that pocket never saw: textual inversion (Gal 2022).

``python -m training.adapters.word`` learns the vectors of one new word, which stand for it in the text encoder's input;
nothing else changes. It resumes where it stopped and writes ``models/adapters/NAME-word`` in diffusers' form,
``{word: [n, D]}``.
"""

import argparse
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from training.adapters.drawings import Latents
from training.adapters.subject import NAME, lessons
from training.clip import tokenize
from training.diffusion import diffuse, scheduler
from training.loop import Plan, join, train
from training.settings import autocast_dtype, models_folder, work_folder
from training.tokenizer import CONTEXT_LENGTH

WORD = f"<{NAME}>"
START = "bird"  # a known word near it, whose vectors the search starts from
VECTORS = 2
BATCH = 32
FILE = "learned_embeds.safetensors"


class Words(nn.Module):
    """A table of embeddings [V, D] that ends with the vectors of a new word [n, D]."""

    def __init__(self, table: nn.Embedding, new: nn.Embedding) -> None:
        super().__init__()
        self.table, self.new = table, new

    def forward(self, ids: Tensor) -> Tensor:
        """Embeddings [..., D] of ids [...]."""
        return F.embedding(ids, torch.cat([self.table.weight, self.new.weight]))


def spelled(count: int) -> list[str]:
    """The tokens of the word, as diffusers names them: ``<x>``, ``<x>_1`` and so on."""
    return [WORD, *(f"{WORD}_{number}" for number in range(1, count))]


class Reader:
    """Pocket's text encoder, with one more word."""

    def __init__(self, count: int) -> None:
        folder = models_folder() / "pocket"
        self._tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        ids = self._tokenizer(START, add_special_tokens=False)["input_ids"]
        self._tokenizer.add_tokens(spelled(count))
        self._written = " ".join(spelled(count))
        tower: Any = CLIPTextModel.from_pretrained(folder / "text_encoder").float().eval()
        tower.requires_grad_(False)
        self._tower, self._inner = tower, getattr(tower, "text_model", tower).embeddings
        self._table = self._inner.token_embedding
        self.start = self._table.weight[torch.tensor([ids[at % len(ids)] for at in range(count)])].clone()

    def read(self, captions: list[str], word: nn.Embedding) -> Tensor:
        """Hidden states [N, 32, D] of captions, with gradients for the word's vectors."""
        self._inner.token_embedding = Words(self._table, word)
        written = [caption.replace(WORD, self._written) for caption in captions]
        states: Tensor = self._tower(tokenize(self._tokenizer, written, CONTEXT_LENGTH)).last_hidden_state
        return states


def export(word: nn.Embedding, folder: Path) -> None:
    """Write the word as ``StableDiffusionPipeline.load_textual_inversion`` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "pocket/textual-inversion",
        "modelspec.title": "A word for a thing that pocket never saw, for pocket",
        "modelspec.trigger_phrase": WORD,
        "modelspec.license": "Apache-2.0",
    }
    save_file({WORD: word.weight.detach().clone()}, folder / FILE, metadata)


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=95)
    parser.add_argument("--lr", type=float, default=2e-2)
    options = parser.parse_args()
    join()
    torch.manual_seed(0)
    thing, reader = Latents(lessons(WORD), seed=0, drop=0.1), Reader(VECTORS)
    word = nn.Embedding.from_pretrained(reader.start, freeze=False)
    unet = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()
    unet = unet.requires_grad_(False).to(memory_format=torch.channels_last)
    abars, dtype = scheduler().alphas_cumprod, autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        x0, captions = thing.at(step, BATCH)
        x_t, timestep, v = diffuse(x0, abars, torch.Generator().manual_seed(step))
        rows = x_t.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            predicted = unet(rows, timestep, reader.read(captions, word)).sample
        return {"v": F.mse_loss(predicted.float(), v)}

    plan = Plan(steps=options.steps, lr=options.lr, warmup_steps=5, weight_decay=0.0, ema_decay=0.9)
    averaged = cast("nn.Embedding", train("word", word, losses, plan, work_folder()))
    export(averaged, models_folder() / "adapters" / f"{NAME}-word")


if __name__ == "__main__":
    main()
