"""A CLIP's text tower, as far as a text encoder that was cut out of it has to be completed."""

import copy
from collections.abc import Callable

import open_clip
import torch
from open_clip.transformer import TextTransformer, text_global_pool
from torch import Tensor

from jobs.errors import ModelUnavailableError

# From states [N, L, D] before any last norm, and tokens [N, L], to embeddings [N, E].
Completion = Callable[[Tensor, Tensor], Tensor]


class TextTower:
    """The text half of an OpenCLIP model whose text tower is a transformer of OpenCLIP's own.

    Attributes:
        layers: number of its blocks.
        width: D, of its states.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        """Look at the text tower of a model.

        Raises:
            ModelUnavailableError: it is of another kind, such as a BERT.
        """
        tower = getattr(model, "text", model)
        if not isinstance(tower, open_clip.CLIP | TextTransformer):
            raise ModelUnavailableError(f"its text tower is a {type(tower).__name__}, not a CLIP's own")
        self._tower = tower
        self.layers = len(tower.transformer.resblocks)
        self.width: int = tower.transformer.width

    @property
    def projection(self) -> Tensor:
        """From pooled states to the embeddings' space: [D, E]."""
        projection = self._tower.text_projection
        if isinstance(projection, torch.nn.Linear):
            return projection.weight.T
        assert isinstance(projection, Tensor)
        return projection

    def completion(self, depth: int, device: torch.device) -> Completion | None:
        """The blocks after the first ``depth``, as a function of their states, in float32; None where there are none.

        Stable Diffusion 2's text encoder is OpenCLIP's ViT-H without the last block.

        Raises:
            ModelUnavailableError: the tower has fewer blocks.
        """
        if depth > self.layers:
            raise ModelUnavailableError(
                f"the text encoder has {depth} layers, the CLIP that the catalog says it belongs to has {self.layers}"
            )
        if depth == self.layers:
            return None
        tower = self._tower
        blocks, norm = (
            copy.deepcopy(part).to(device, torch.float32)
            for part in (tower.transformer.resblocks[depth:], tower.ln_final)
        )
        projection = self.projection.to(device, torch.float32)
        pool, eos = (
            (tower.text_pool_type, tower.text_eos_id)
            if isinstance(tower, open_clip.CLIP)
            else (tower.pool_type, tower.eos_id)
        )
        mask: Tensor | None = None if tower.attn_mask is None else tower.attn_mask.to(device, torch.float32)

        def complete(states: Tensor, tokens: Tensor) -> Tensor:
            for block in blocks:
                states = block(states, attn_mask=mask)
            pooled: Tensor = text_global_pool(norm(states), tokens, pool, eos)
            return pooled @ projection

        return complete
