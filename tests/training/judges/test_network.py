"""The ConvNet that names drawings: its file, its loss, and what it can learn."""

from pathlib import Path

import numpy as np
import torch

from training.glyphs import Glyph
from training.judges.learn import kept, loss
from training.judges.network import DrawingNet, load, save


def _small() -> DrawingNet:
    torch.manual_seed(0)
    return DrawingNet(["fox", "rocket", "castle"], ["noto", "flat"], (8, 16, 16))


def test_what_is_saved_is_loaded_up_to_half_precision(tmp_path: Path) -> None:
    network = _small()
    save(network, tmp_path)
    again = load(tmp_path)
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    for before, after in zip(network(pictures), again(pictures), strict=True):
        torch.testing.assert_close(after, before, atol=5e-3, rtol=0)
    assert (again.names, again.styles) == (network.names, network.styles)
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_it_learns_three_shapes_and_says_that_nothing_could_be_anything() -> None:
    network = _small().train()
    y, x = np.mgrid[:64, :64]
    masks = [(y // 16 + x // 16) % 2, (y > 32) * 1, ((y - 32) ** 2 + (x - 32) ** 2 < 300) * 1]
    shapes = torch.stack([torch.from_numpy(mask).float().expand(3, -1, -1) * 2 - 1 for mask in masks])
    pictures = torch.cat([shapes, -shapes, torch.zeros(2, 3, 64, 64)])
    names = torch.tensor([0, 1, 2, 0, 1, 2, -1, -1])
    styles = torch.tensor([0, 0, 0, 1, 1, 1, -1, -1])
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        logits, style_logits = network(pictures)
        torch.stack(list(loss(logits, style_logits, names, styles).values())).sum().backward()
        optimizer.step()
    named, styled = network(pictures)
    assert (named[:6].argmax(dim=1) == names[:6]).all()
    assert (styled[:6].argmax(dim=1) == styles[:6]).all()
    assert named[6].softmax(dim=0).max() < 0.5
    assert named[:6].softmax(dim=1).amax(dim=1).min() > 0.6


def test_at_most_one_drawing_of_a_name_is_kept_from_training_and_always_the_same() -> None:
    rows = [Glyph(f"thing {i}", style) for i in range(200) for style in ("noto", "flat", "twemoji")]
    rows += [Glyph("rare", "noto"), Glyph("rare", "flat")]
    hidden = kept(rows)
    names = [rows[index].name for index in hidden]
    assert len(names) == len(set(names))
    assert 10 < len(names) < 60
    assert "rare" not in names
    assert hidden == kept(rows)
