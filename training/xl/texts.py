"""The two text encoders of pocket-xl, read as SDXL's are: pocket's own, and the text half of the CLIP pocket-m."""

from dataclasses import dataclass

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from training.clip import EMBED_DIM, TOWERS, tokenize
from training.settings import models_folder
from training.tokenizer import CONTEXT_LENGTH, VOCABULARY_SIZE
from worker.models.families.original import text_tower
from worker.models.loading.layout import CLIP_WEIGHTS

SECOND = "pocket-m"


@dataclass(frozen=True)
class Told:
    """What a UNet of SDXL's kind is told of N texts.

    Attributes:
        context: the last but one hidden states of both encoders side by side, [N, 32, 384].
        pooled: the second one's projected state of the end, [N, 192].
    """

    context: Tensor
    pooled: Tensor


def second_config() -> CLIPTextConfig:
    """The second encoder in transformers' terms."""
    width, end = TOWERS[SECOND].width, VOCABULARY_SIZE - 1
    return CLIPTextConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=3,
        num_attention_heads=width // 32,
        max_position_embeddings=CONTEXT_LENGTH,
        projection_dim=EMBED_DIM,
        hidden_act="gelu",
        bos_token_id=end - 1,
        eos_token_id=end,
        pad_token_id=end,
    )


def second_encoder() -> CLIPTextModelWithProjection:
    """The second encoder with the weights of its CLIP, in fp32."""
    encoder = CLIPTextModelWithProjection(second_config())
    clip = load_file(models_folder() / SECOND / CLIP_WEIGHTS)
    named = text_tower(clip)
    own = {key.removeprefix("text_model."): key for key in encoder.state_dict()}
    encoder.load_state_dict(
        {own[key.removeprefix("text_model.")]: tensor.float() for key, tensor in named.items()}
    )
    return encoder.eval()


class Texts:
    """Both encoders."""

    def __init__(self) -> None:
        """Load them in fp32."""
        folder = models_folder() / "pocket"
        self._tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self._first = CLIPTextModel.from_pretrained(folder / "text_encoder").float().eval()
        self._second = second_encoder()

    @torch.no_grad()
    def __call__(self, captions: list[str]) -> Told:
        """What the UNet is told of captions."""
        ids = tokenize(self._tokenizer, captions, CONTEXT_LENGTH)
        first, second = (network(ids, output_hidden_states=True) for network in (self._first, self._second))
        context = torch.cat([made.hidden_states[-2] for made in (first, second)], dim=-1)
        return Told(context, second.text_embeds)

    @torch.no_grad()
    def last_states(self, captions: list[str]) -> Tensor:
        """What pocket's own UNet is told of captions: the first encoder's last states, [N, 32, 192]."""
        states: Tensor = self._first(tokenize(self._tokenizer, captions, CONTEXT_LENGTH)).last_hidden_state
        return states
