"""The network of guided diffusion, written from the paper (Dhariwal & Nichol 2021, sec. 3, app. F), with its names.

It shares nothing with diffusers, so equal outputs prove a conversion. Heads alternate queries, keys and values, as in
the published weights, or come after each other with ``new_order``.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Norm(nn.GroupNorm):
    def __init__(self, channels: int) -> None:
        super().__init__(32, channels, eps=1e-5)


class Down(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        del time
        out: Tensor = self.op(x)
        return out


class Up(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        del time
        out: Tensor = self.conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3))
        return out


class Block(nn.Module):
    """A residual block after BigGAN: it may change the resolution before its first convolution."""

    def __init__(self, taken: int, given: int, time: int, *, scales: bool, resample: str = "") -> None:
        super().__init__()
        self.scales, self.resample = scales, resample
        self.in_layers = nn.Sequential(Norm(taken), nn.SiLU(), nn.Conv2d(taken, given, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * given if scales else given))
        self.out_layers = nn.Sequential(
            Norm(given), nn.SiLU(), nn.Dropout(0.0), nn.Conv2d(given, given, 3, padding=1)
        )
        self.skip_connection = nn.Conv2d(taken, given, 1) if taken != given else nn.Identity()

    def resampled(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return F.avg_pool2d(x, 2)
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3) if self.resample == "up" else x

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h: Tensor = self.in_layers[2](self.resampled(self.in_layers[1](self.in_layers[0](x))))
        told = self.emb_layers(time)[..., None, None]
        if self.scales:
            scale, shift = told.chunk(2, dim=1)
            h = self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)
        else:
            h = self.out_layers(h + told)
        made: Tensor = self.skip_connection(self.resampled(x)) + h
        return made


class Attention(nn.Module):
    def __init__(self, channels: int, head: int, *, new_order: bool) -> None:
        super().__init__()
        self.head, self.new_order = head, new_order
        self.norm = Norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        del time
        batch, channels, *size = x.shape
        flat = x.reshape(batch, channels, -1)
        mixed = self.qkv(self.norm(flat))
        heads, length = channels // self.head, flat.shape[-1]
        if self.new_order:
            q, k, v = mixed.view(batch, 3, heads, self.head, length).unbind(1)
        else:
            q, k, v = mixed.view(batch, heads, 3, self.head, length).unbind(2)
        weight = torch.einsum("bhct,bhcs->bhts", q, k).div(math.sqrt(self.head)).softmax(-1)
        out = torch.einsum("bhts,bhcs->bhct", weight, v).reshape(batch, channels, length)
        made: Tensor = x + self.proj_out(out).view(batch, channels, *size)
        return made


class Stage(nn.Sequential):
    def forward(self, x: Tensor, time: Tensor) -> Tensor:  # type: ignore[override]
        for part in self:
            x = part(x) if isinstance(part, nn.Conv2d) else part(x, time)
        return x


class GuidedDiffusionUNet(nn.Module):
    """[B, 3, H, W] and times [B] to [B, 3 or 6, H, W].

    Args:
        base: width that the multipliers multiply, and of the sinusoids.
        multipliers: of each level.
        layers: blocks of a level.
        attention: levels that attend.
        head: channels of a head.
        learns_variance: gives 6 channels.
        blocks_resample: residual blocks change the resolution.
        scales: the time scales and shifts.
        new_order: of queries, keys and values.
    """

    def __init__(
        self,
        base: int = 32,
        multipliers: tuple[float, ...] = (1, 2, 2),
        layers: int = 2,
        attention: tuple[int, ...] = (1, 2),
        head: int = 16,
        *,
        learns_variance: bool = True,
        blocks_resample: bool = True,
        scales: bool = True,
        new_order: bool = False,
    ) -> None:
        super().__init__()
        self.base, time = base, 4 * base
        self.time_embed = nn.Sequential(nn.Linear(base, time), nn.SiLU(), nn.Linear(time, time))
        widths = [int(base * multiplier) for multiplier in multipliers]

        def block(taken: int, given: int, resample: str = "") -> Block:
            return Block(taken, given, time, scales=scales, resample=resample)

        def attend(level: int, width: int) -> list[nn.Module]:
            return [Attention(width, head, new_order=new_order)] if level in attention else []

        stages, skips, width = [Stage(nn.Conv2d(3, widths[0], 3, padding=1))], [widths[0]], widths[0]
        for level, given in enumerate(widths):
            for _ in range(layers):
                stages.append(Stage(block(width, given), *attend(level, given)))
                width = given
                skips.append(width)
            if level < len(widths) - 1:
                stages.append(Stage(block(width, width, "down") if blocks_resample else Down(width)))
                skips.append(width)
        self.input_blocks = nn.ModuleList(stages)
        self.middle_block = Stage(
            block(width, width), Attention(width, head, new_order=new_order), block(width, width)
        )
        stages = []
        for level, given in reversed(list(enumerate(widths))):
            for layer in range(layers + 1):
                parts: list[nn.Module] = [block(width + skips.pop(), given), *attend(level, given)]
                width = given
                if level and layer == layers:
                    parts.append(block(width, width, "up") if blocks_resample else Up(width))
                stages.append(Stage(*parts))
        self.output_blocks = nn.ModuleList(stages)
        self.out = nn.Sequential(
            Norm(width), nn.SiLU(), nn.Conv2d(width, 6 if learns_variance else 3, 3, padding=1)
        )

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        rates = torch.exp(-math.log(10000) * torch.arange(self.base // 2) / (self.base // 2))
        angles = times[:, None].to(x.dtype) * rates.to(x.dtype)
        time = self.time_embed(torch.cat([angles.cos(), angles.sin()], dim=1))
        kept = []
        for stage in self.input_blocks:
            x = stage(x, time)
            kept.append(x)
        x = self.middle_block(x, time)
        for stage in self.output_blocks:
            x = stage(torch.cat([x, kept.pop()], dim=1), time)
        given: Tensor = self.out(x)
        return given


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with weights of a size that keeps activations, so that every one counts."""
    rng = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        fan = parameter[0].numel() if parameter.dim() > 1 else 1
        drawn = torch.randn(parameter.shape, generator=rng)
        with torch.no_grad():
            parameter.copy_(
                drawn * (fan**-0.5 if parameter.dim() > 1 else 0.3) + (parameter.dim() == 1) * 0.3
            )
    return network.eval()
