"""Rows with more than a text: what families need of them, also one that the service does not serve yet."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import POOLED, SECOND_WIDTH, WIDTH
from worker.facts import RowSpec
from worker.models.device import Device
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.families.stable_diffusion_xl import ZERO_FOR_NOTHING, StableDiffusionXL
from worker.models.rows import blank
from worker.rows import Row
from worker.settings import WorkerSettings

CPU = Device(WorkerSettings(device="cpu", dtype="fp32"))
TIMES = torch.tensor([3, 500])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def editor() -> StableDiffusion:
    torch.manual_seed(0)
    return StableDiffusion(checkpoints.instruct_pix2pix().components, CPU)


def edit_rows(seed: int, text: float, image: float) -> tuple[Row, ...]:
    """The three rows of InstructPix2Pix (Brooks et al. 2023, eq. 3)."""
    prompt, negative = (normal(1, 77, WIDTH, seed=seed + number) for number in (1, 2))
    picture = normal(1, 4, 16, 16, seed=seed)
    return (
        Row(prompt, text, channels=picture),
        Row(negative, image - text, channels=picture),
        Row(negative, 1 - image, channels=torch.zeros_like(picture)),
    )


def test_channels_come_after_the_latents_and_three_rows_are_weighed(editor: StableDiffusion) -> None:
    x, scales = normal(2, 4, 16, 16), [(7.5, 1.5), (3.0, 1.2)]
    pictures = [edit_rows(10 * number, *scale) for number, scale in enumerate(scales)]
    rows = editor.rows(pictures)
    outputs = editor.predict(x, TIMES, rows).split(3)
    for number, (text, image) in enumerate(scales):
        told, not_told, nothing = (
            editor._unet(torch.cat([x[number : number + 1], row.channels], 1), TIMES[number], row.context)[0]
            for row in pictures[number]
            if row.channels is not None
        )
        expected = nothing + text * (told - not_told) + image * (not_told - nothing)
        weights = torch.tensor([row.weight for row in pictures[number]]).view(-1, 1, 1, 1)
        assert torch.allclose((weights * outputs[number]).sum(dim=0), expected[0], atol=1e-4)


def test_gradients_are_pulled_back_to_the_latents_alone(editor: StableDiffusion) -> None:
    x, given = normal(1, 4, 16, 16), normal(3, 4, 16, 16, seed=5)
    rows = edit_rows(0, 7.5, 1.5)
    pulled = editor.pull_back(x, TIMES[1:], editor.rows([rows]), given)
    leaf = x.clone().requires_grad_(True)
    channels = torch.cat([row.channels for row in rows if row.channels is not None])
    output: Any = editor._unet(
        torch.cat([leaf.expand(3, -1, -1, -1), channels], 1),
        TIMES[1:].expand(3),
        torch.cat([row.context for row in rows]),
    )[0]
    (output * given).sum().backward()
    assert leaf.grad is not None
    assert pulled.shape == x.shape
    assert torch.allclose(pulled, leaf.grad, atol=1e-4)


def test_a_vector_reaches_the_network_row_by_row() -> None:
    torch.manual_seed(0)
    stock = checkpoints.stable_diffusion_xl()
    model = StableDiffusionXL({**stock.components, ZERO_FOR_NOTHING: True}, CPU)
    x, sizes = normal(2, 4, 16, 16), torch.tensor([[512.0, 384, 7, 9, 1024, 1000], [8, 9, 0, 0, 64, 48]])
    contexts, vectors = (
        normal(2, 77, WIDTH + SECOND_WIDTH, seed=1),
        torch.cat([normal(2, POOLED, seed=2), sizes], 1),
    )
    pictures = [
        (Row(context[None], vector=vector[None]),) for context, vector in zip(contexts, vectors, strict=True)
    ]
    told = {"text_embeds": vectors[:, :POOLED], "time_ids": sizes}
    expected = stock.unet(x, TIMES, contexts, added_cond_kwargs=told)[0]
    assert torch.allclose(model.predict(x, TIMES, model.rows(pictures)), expected, atol=1e-5)


def test_rows_of_other_shapes_share_no_batch() -> None:
    context, vector, channels = normal(1, 77, 8), normal(1, 4), normal(1, 5, 16, 16)
    rows = [
        Row(context),
        Row(normal(1, 154, 8)),
        Row(context, vector=vector),
        Row(context, channels=channels),
        Row(context, channels=channels[:, :4]),
        Row(context, vector=vector, channels=channels),
    ]
    assert len({row.key for row in rows}) == len(rows)
    assert Row(context, vector=vector).key == Row(context * 2, 0.5, vector=vector * 2).key


def test_a_blank_row_carries_what_the_model_asks_for() -> None:
    context = normal(1, 77, 8)
    full = blank(
        RowSpec(context_length=77, context_width=8, vector_width=6, extra_channels=5), context, (4, 6), 0.5
    )
    assert full.key == Row(context, vector=normal(1, 6), channels=normal(1, 5, 4, 6)).key
    assert full.weight == 0.5
    assert blank(RowSpec(context_length=77, context_width=8), context, (4, 6)).key == Row(context).key
