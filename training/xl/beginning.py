"""The UNet of pocket-xl before training: pocket's, with what reads texts fitted to the other text encoders."""

import re

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F

from training.settings import models_folder
from training.xl.texts import Texts

SIZE_IDS = 6
SIZE_WIDTH = 32  # of the sinusoids of one number
SIZE_UNITS = 96  # of the 384 hidden ones of the embedding: those that see sizes alone at first
CAPTIONS = 4096
FITTING_STEPS, FITTING_BATCH, FITTING_LR = 5000, 512, 8e-3
RIDGE = 1e-4
READS_TEXT = re.compile(r".*\.attn2\.to_[kv]\.weight")


def base() -> UNet2DConditionModel:
    """Pocket's own UNet in fp32."""
    unet: UNet2DConditionModel = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet")
    return unet.float().eval()


def empty(pocket: UNet2DConditionModel, context: int, pooled: int) -> UNet2DConditionModel:
    """A fresh UNet of SDXL's kind with pocket's layers, for contexts and pooled texts of these widths."""
    config = dict(pocket.config) | {
        "cross_attention_dim": context,
        "encoder_hid_dim": None,
        "encoder_hid_dim_type": None,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": SIZE_WIDTH,
        "projection_class_embeddings_input_dim": pooled + SIZE_IDS * SIZE_WIDTH,
    }
    unet: UNet2DConditionModel = UNet2DConditionModel.from_config(config)
    return unet.eval()


@torch.no_grad()
def linear_fit(inputs: Tensor, outputs: Tensor) -> Tensor:
    """The matrix M [E, D] of the least squares of ``outputs`` [N, E] - ``inputs`` [N, D] M^T, with a little ridge."""
    x, y = inputs.double(), outputs.double()
    gram = x.T @ x
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    solution: Tensor = torch.linalg.solve(gram + ridge, x.T @ y)
    return solution.T.to(inputs.dtype)


@torch.no_grad()
def begin_embedding(embedding: nn.Module, pooled: Tensor) -> None:
    """Let an embedding [pooled, sizes] -> [384] start from whitened texts and, beside them, from sizes unheard.

    A text tower that was trained by contrast puts most of its variance into a dozen of its dimensions.

    Args:
        embedding: diffusers' TimestepEmbedding.
        pooled: of many texts [N, P].
    """
    first, second = embedding.linear_1, embedding.linear_2
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    width, texts = pooled.shape[1], len(first.weight) - SIZE_UNITS
    mean = pooled.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov((pooled - mean).T))
    whiten = vectors @ torch.diag((values + 1e-4 * values[-1]).rsqrt()) @ vectors.T
    first.weight.zero_()
    first.bias.zero_()
    first.weight[:texts, :width] = torch.randn(texts, width) / width**0.5 @ whiten
    first.bias[:texts] = -first.weight[:texts, :width] @ mean
    first.weight[texts:, width:] = torch.randn(SIZE_UNITS, first.in_features - width) * 0.1
    hidden = F.silu(F.linear(pooled, first.weight[:, :width], first.bias))[:, :texts]
    second.weight.zero_()
    second.weight[:, :texts] = torch.randn(second.out_features, texts) / hidden.square().sum(1).mean().sqrt()
    second.bias.zero_()


def fit_embedding(embedding: nn.Module, pooled: Tensor, wanted: Tensor, steps: int = FITTING_STEPS) -> float:
    """Teach a begun embedding to answer as another one does to the same texts, whatever the sizes are.

    Args:
        embedding: diffusers' TimestepEmbedding.
        pooled: of many texts [N, P].
        wanted: what the other one answers [N, 384].
        steps: of AdamW.

    Returns:
        The share of the variance of ``wanted`` that it does not explain.
    """
    first, second = embedding.linear_1, embedding.linear_2
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    width, texts = pooled.shape[1], len(first.weight) - SIZE_UNITS
    parts = [first.weight[:texts, :width], first.bias[:texts], second.weight[:, :texts], second.bias]
    learned = [part.detach().clone().requires_grad_() for part in parts]
    optimizer = torch.optim.AdamW(learned, weight_decay=0.0)
    rng = torch.Generator().manual_seed(0)

    def answer(x: Tensor) -> Tensor:
        return F.linear(F.silu(F.linear(x, learned[0], learned[1])), learned[2], learned[3])

    for step in range(steps):
        optimizer.param_groups[0]["lr"] = FITTING_LR * (1 - step / steps)
        some = torch.randint(len(pooled), (FITTING_BATCH,), generator=rng)
        optimizer.zero_grad()
        F.mse_loss(answer(pooled[some]), wanted[some]).backward()
        optimizer.step()
    with torch.no_grad():
        for part, value in zip(parts, learned, strict=True):
            part.copy_(value)
        error = F.mse_loss(answer(pooled), wanted) / wanted.var(dim=0, unbiased=False).mean()
    return float(error)


@torch.no_grad()
def begun(texts: Texts, captions: list[str]) -> UNet2DConditionModel:
    """The UNet that draws what pocket does as far as a linear map of the other contexts can say it."""
    pocket = base()
    told = [texts(captions[at : at + 256]) for at in range(0, len(captions), 256)]
    context, pooled = (torch.cat([getattr(each, field) for each in told]) for field in ("context", "pooled"))
    last = torch.cat([texts.last_states(captions[at : at + 256]) for at in range(0, len(captions), 256)])
    read = pocket.encoder_hid_proj(last)
    across = linear_fit(context.flatten(0, 1), read.flatten(0, 1))
    unet = empty(pocket, context.shape[-1], pooled.shape[-1])
    state = unet.state_dict()
    for name, tensor in pocket.state_dict().items():
        if name in state and not name.startswith("add_embedding."):
            state[name] = tensor @ across if READS_TEXT.fullmatch(name) else tensor
    unet.load_state_dict(state)
    torch.manual_seed(0)
    begin_embedding(unet.add_embedding, pooled)
    wanted = pocket.add_embedding(last)
    with torch.enable_grad():
        missed = fit_embedding(unet.add_embedding, pooled, wanted)
    off = (context @ across.T - read).square().mean() / read.var(dim=(0, 1), unbiased=False).mean()
    print(f"the texts' map misses {off:.1%} of the variance, the embedding {missed:.1%}", flush=True)
    return unet
