"""The judge of another kind: a ConvNet that names drawings and their styles. It never saw a text and guides nothing."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

FOLDER = "pocket-judge"
WIDTHS = (32, 96, 192)
CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Residual(nn.Module):
    """Two convolutions beside the identity (He 2016), normalised first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        inner = self.conv1(F.silu(self.norm1(x)))
        made: Tensor = x + self.conv2(F.silu(self.norm2(inner)))
        return made


class DrawingNet(nn.Module):
    """Pictures [N, 3, 64, 64] in [-1, 1] to logits of names [N, len(names)] and styles [N, len(styles)].

    Three resolutions (32, 16 and 8 px); the maximum over places decides, so that a thing counts wherever it is.

    Args:
        names: that it knows.
        styles: that it knows.
        widths: channels at each resolution.
    """

    def __init__(self, names: list[str], styles: list[str], widths: tuple[int, int, int] = WIDTHS) -> None:
        super().__init__()
        self.names, self.styles, self.widths = list(names), list(styles), widths
        fine, middle, coarse = widths
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, fine, 3, padding=1),
            Residual(fine),
            nn.Conv2d(fine, middle, 3, stride=2, padding=1),
            Residual(middle),
            nn.Conv2d(middle, coarse, 3, stride=2, padding=1),
            Residual(coarse),
            Residual(coarse),
            nn.GroupNorm(8, coarse),
            nn.SiLU(),
        )
        self.name = nn.Linear(2 * coarse, len(names))
        self.style = nn.Linear(2 * coarse, len(styles))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of both."""
        places = self.body(pictures)
        features = torch.cat([places.mean(dim=(2, 3)), places.amax(dim=(2, 3))], dim=1)
        return self.name(features), self.style(features)


def save(network: DrawingNet, folder: Path) -> None:
    """Write what it knows and its weights in fp16."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"names": network.names, "styles": network.styles, "widths": list(network.widths)}
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
    weights = {key: value.half().contiguous() for key, value in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def load(folder: Path) -> DrawingNet:
    """Read what ``save`` wrote, in fp32, frozen."""
    config = json.loads((folder / CONFIG).read_text())
    network = DrawingNet(config["names"], config["styles"], tuple(config["widths"]))
    network.load_state_dict({key: value.float() for key, value in load_file(folder / WEIGHTS).items()})
    return network.eval().requires_grad_(False)
