"""The text encoders of pocket-xl against OpenCLIP's own text tower."""

import open_clip
import pytest
import torch

from jobs.errors import ModelUnavailableError
from training.settings import models_folder
from training.xl.texts import SECOND, Texts
from worker.models.families.original import text_tower

PROMPTS = ["noto red apple on a light blue background", "", "a fox"]


@pytest.fixture(scope="module")
def texts() -> Texts:
    """Both encoders."""
    return Texts()


@torch.no_grad()
def test_the_second_one_answers_as_the_clip_does_before_its_last_layer_and_pooled(texts: Texts) -> None:
    folder = f"local-dir:{models_folder() / SECOND}"
    clip, tokenizer = open_clip.create_model(folder).eval(), open_clip.get_tokenizer(folder)
    tokens = tokenizer(PROMPTS)
    states = clip.token_embedding(tokens) + clip.positional_embedding
    for block in clip.transformer.resblocks[:-1]:
        states = block(states, attn_mask=clip.attn_mask)
    told = texts(PROMPTS)
    assert torch.allclose(told.pooled, clip.encode_text(tokens), atol=1e-4)
    assert torch.allclose(told.context[..., 192:], states, atol=1e-4)


def test_a_clip_whose_text_tower_is_another_s_is_refused() -> None:
    with pytest.raises(ModelUnavailableError, match="its text tower is of another kind"):
        text_tower({"text.transformer.embeddings.weight": torch.zeros(2, 2)})
