"""Turn pocket-s's text tower into the diffusion model's CLIPTextModel: the same weights in transformers' layout."""

from typing import Any

import open_clip
import torch
from open_clip.model import CLIP
from transformers import CLIPTextConfig, CLIPTextModel

from training.clip import TOWERS
from training.settings import models_folder
from training.tokenizer import CONTEXT_LENGTH, VOCABULARY_SIZE


def convert(clip: CLIP, width: int) -> CLIPTextModel:
    """A CLIPTextModel whose hidden states equal those of ``clip``'s text tower."""
    end = VOCABULARY_SIZE - 1
    config = CLIPTextConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=len(clip.transformer.resblocks),
        num_attention_heads=width // 32,
        max_position_embeddings=CONTEXT_LENGTH,
        projection_dim=clip.text_projection.shape[1],
        hidden_act="gelu",
        bos_token_id=end - 1,
        eos_token_id=end,
        pad_token_id=end,
    )
    model = CLIPTextModel(config).eval()
    tower = getattr(model, "text_model", model)
    with torch.no_grad():
        tower.embeddings.token_embedding.weight.copy_(clip.token_embedding.weight)
        tower.embeddings.position_embedding.weight.copy_(clip.positional_embedding)
        for layer, block in zip(tower.encoder.layers, clip.transformer.resblocks, strict=True):
            _copy_block(layer, block)
        tower.final_layer_norm.load_state_dict(clip.ln_final.state_dict())
    return model


def _copy_block(layer: Any, block: Any) -> None:
    attention = layer.self_attn
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    weights, biases = block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3)
    for projection, weight, bias in zip(projections, weights, biases, strict=True):
        projection.weight.copy_(weight)
        projection.bias.copy_(bias)
    attention.out_proj.load_state_dict(block.attn.out_proj.state_dict())
    layer.layer_norm1.load_state_dict(block.ln_1.state_dict())
    layer.layer_norm2.load_state_dict(block.ln_2.state_dict())
    layer.mlp.fc1.load_state_dict(block.mlp.c_fc.state_dict())
    layer.mlp.fc2.load_state_dict(block.mlp.c_proj.state_dict())


def main() -> None:
    """Write ``models/pocket/text_encoder`` from ``models/pocket-s``."""
    clip = open_clip.create_model(f"local-dir:{models_folder() / 'pocket-s'}").eval()
    model = convert(clip, TOWERS["pocket-s"].width)
    tokens = torch.randint(0, VOCABULARY_SIZE, (2, CONTEXT_LENGTH))
    with torch.no_grad():
        x = clip.transformer(
            clip.token_embedding(tokens) + clip.positional_embedding, attn_mask=clip.attn_mask
        )
        difference = (clip.ln_final(x) - model(tokens).last_hidden_state).abs().max().item()
    if difference > 1e-4:
        raise RuntimeError(f"the converted text tower differs by {difference}")
    model.half().save_pretrained(models_folder() / "pocket" / "text_encoder")


if __name__ == "__main__":
    main()
