"""What guidance pulls a picture towards, as losses that fall as the picture improves."""

from torch import Tensor


def spherical_distance(x: Tensor, y: Tensor) -> Tensor:
    """Half of the squared angle between unit vectors: 2 arcsin(|x - y| / 2)^2 = theta^2 / 2.

    Introduced with CLIP guidance by Katherine Crowson (CLIP Guided Diffusion, 2021). Unlike the cosine, its gradient
    does not vanish for vectors that point away from each other.

    Args:
        x: unit vectors [..., E].
        y: unit vectors that broadcast against ``x``.

    Returns:
        [...] in radians squared.
    """
    # The norm's gradient is undefined at zero, where a picture equals its target; the floor keeps it finite.
    half_chord = (x - y).square().sum(dim=-1).clamp(min=1e-12).sqrt() / 2
    return 2 * half_chord.clamp(max=1 - 1e-6).arcsin().square()
