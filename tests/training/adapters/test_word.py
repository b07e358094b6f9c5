"""A new word in the text encoder that trains against what diffusers makes of its file."""

from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from torch import nn

from training.adapters.word import FILE, START, VECTORS, WORD, Reader, export
from training.clip import tokenize
from training.settings import models_folder
from training.tokenizer import CONTEXT_LENGTH

CAPTIONS = [f"noto {WORD} on a yellow background", f"a {WORD}", "flat pizza"]


def _word() -> nn.Embedding:
    rng = torch.Generator().manual_seed(0)
    word = nn.Embedding(VECTORS, 192)
    word.weight.data.copy_(torch.randn(VECTORS, 192, generator=rng) * 0.1)
    return word


def test_it_reads_a_caption_as_diffusers_does_with_the_file(tmp_path: Path) -> None:
    word, folder = _word(), models_folder() / "pocket"
    export(word, tmp_path)
    pipeline: Any = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.load_textual_inversion(str(tmp_path / FILE))
    written = [pipeline.maybe_convert_prompt(caption, pipeline.tokenizer) for caption in CAPTIONS]
    with torch.no_grad():
        theirs = pipeline.text_encoder(tokenize(pipeline.tokenizer, written, CONTEXT_LENGTH))
        ours = Reader(VECTORS).read(CAPTIONS, word)
    assert (ours - theirs.last_hidden_state).abs().max() < 1e-5


def test_the_word_alone_learns_and_captions_without_it_do_not_move_it() -> None:
    reader, word = Reader(VECTORS), _word()
    for captions, moves in ((CAPTIONS, True), (["flat pizza"], False)):
        (gradient,) = torch.autograd.grad(reader.read(captions, word).square().sum(), word.weight)
        assert (gradient.abs().sum(dim=1) > 0).tolist() == [moves] * VECTORS


def test_the_search_starts_from_a_known_word() -> None:
    reader = Reader(1)
    start = nn.Embedding.from_pretrained(reader.start)
    with torch.no_grad():
        ours, known = reader.read([f"noto {WORD}"], start), reader.read([f"noto {START}"], start)
    assert torch.allclose(ours[:, :2], known[:, :2])
    assert ours.shape == known.shape
