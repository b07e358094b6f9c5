"""Train guides that are harder to fool, from pocket-m: ``python -m training.guides.learn robust`` (or ``estimates``).

``robust`` sees pictures that were changed to flatter it, and has to read them as what they are. The gradients of such a
CLIP follow what an eye sees (CLIPAG, Ganz & Elad 2023). ``estimates`` sees pictures as a denoiser guesses them in the
midst of a run, blurred and noisy, after GLIDE's CLIP that was trained on noised pictures (Nichol et al. 2021, sec.
4.1). It resumes where it stopped and writes ``models/pocket-m-NAME``.
"""

import argparse
import shutil
from typing import Any, Literal, cast, get_args

import open_clip
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from training.clip import TOWERS, TRAINED_LENGTH, Pairs, augment, contrastive_loss
from training.loop import Plan, join, train
from training.settings import autocast_dtype, models_folder, work_folder
from training.tokenizer import CONTEXT_LENGTH
from worker.guidance.blur import gaussian_blur

BASE = "pocket-m"
Kind = Literal["robust", "estimates"]
ATTACKED_SHARE = 0.5
REACH = (0.02, 0.2)  # of an attack's pixels, in pictures in [-1, 1]
ATTACK_STEPS = 2
RESOLUTIONS = (64, 32, 16)  # guidance through a decoder is smooth
MOST_BLUR_PX, MOST_NOISE = 4, 0.5
SEED = 31


class Guide:
    """The network and what it is shown."""

    def __init__(self, kind: Kind) -> None:
        """Load pocket-m."""
        self.kind = kind
        self.network = cast("CLIP", open_clip.create_model(f"local-dir:{models_folder() / BASE}").float())
        self._px = TOWERS[BASE].image_px
        self._pairs = Pairs(TOWERS[BASE])

    def losses(self, step: int) -> dict[str, Tensor]:
        """The contrastive loss of a step."""
        picture, tokens = self._pairs.at(step + 10_000)  # other batches than it was first trained on
        rng = torch.Generator().manual_seed(SEED * 1_000_003 + step)
        picture = augment(picture, rng)
        text = self._texts(tokens)
        if self.kind == "robust":
            count = round(ATTACKED_SHARE * len(picture))
            changed = self._flattered(picture[:count], text[:count].detach().roll(1, dims=0), rng)
            picture = torch.cat([changed, picture[count:]])
        else:
            picture = guessed(picture, rng)
        image = self._pictures(picture)
        scale = self.network.logit_scale.exp().clamp(max=100)
        return {"contrastive": contrastive_loss(image, text, scale)}

    def _flattered(self, picture: Tensor, targets: Tensor, rng: torch.Generator) -> Tensor:
        """Pictures in which the network itself, as it is now, finds other texts (Madry et al. 2018, targeted)."""
        low, high = REACH
        reach = (low + (high - low) * torch.rand(len(picture), generator=rng)).view(-1, 1, 1, 1)
        px = RESOLUTIONS[int(torch.randint(len(RESOLUTIONS), (), generator=rng))]
        change = torch.zeros(len(picture), 3, px, px)
        for _ in range(ATTACK_STEPS):
            change.requires_grad_()
            agreement = (self._pictures(picture + _sized(change, picture)) * targets).sum()
            (gradient,) = torch.autograd.grad(agreement, change)
            change = (change.detach() + gradient.sign() * reach * 1.5 / ATTACK_STEPS).clamp(-reach, reach)
        return picture + _sized(change, picture)

    def _pictures(self, picture: Tensor) -> Tensor:
        small = F.interpolate(picture, self._px, mode="bilinear", antialias=True)
        with _autocast():
            image: Tensor = self.network.encode_image(small, normalize=True)
        return image.float()

    def _texts(self, tokens: Tensor) -> Tensor:
        # The shipped positions reach further than any caption; the network was trained on the first of them.
        whole = F.pad(tokens, (0, CONTEXT_LENGTH - TRAINED_LENGTH), value=int(tokens[0, -1]))
        with _autocast():
            text: Tensor = self.network.encode_text(whole, normalize=True)
        return text.float()


def guessed(picture: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures as a denoiser guesses them: details gone, each to another degree, and a little noise.

    Args:
        picture: [B, 3, H, W] in [-1, 1].
        rng: the source of all randomness.
    """
    share = torch.rand(len(picture), 2, generator=rng)
    blurred = [gaussian_blur(picture, float(sigma)) for sigma in range(1, MOST_BLUR_PX + 1)]
    levels = torch.stack([picture, *blurred])
    place = share[:, 0] * (len(levels) - 1)
    low = place.long().clamp(max=len(levels) - 2)
    mix = (place - low).view(-1, 1, 1, 1)
    rows = torch.arange(len(picture))
    mixed = (1 - mix) * levels[low, rows] + mix * levels[low + 1, rows]
    noise = torch.randn(picture.shape, generator=rng)
    return mixed + MOST_NOISE * share[:, 1].square().view(-1, 1, 1, 1) * noise


def _sized(change: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(change, like.shape[-2:], mode="bilinear", align_corners=False)


def _autocast() -> Any:
    dtype = autocast_dtype()
    return torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16)


def export(network: CLIP, name: str) -> None:
    """Write ``models/NAME`` in fp16, with pocket-m's configuration and tokenizer."""
    folder, base = models_folder() / name, models_folder() / BASE
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        key: value.half().contiguous() for key, value in network.state_dict().items() if key != "attn_mask"
    }
    save_file(state, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    for file in base.glob("*.json"):
        shutil.copy(file, folder / file.name)
    open_clip.create_model(f"local-dir:{folder}")


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=get_args(Kind))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lr", type=float, default=4e-4)
    options = parser.parse_args()
    join()
    torch.manual_seed(SEED)
    guide = Guide(options.kind)
    name = f"{BASE}-{options.kind}"
    plan = Plan(steps=options.steps, lr=options.lr, warmup_steps=20, weight_decay=0.1, ema_decay=0.98)
    averaged = train(name, guide.network, guide.losses, plan, work_folder())
    export(cast("CLIP", averaged), name)


if __name__ == "__main__":
    main()
