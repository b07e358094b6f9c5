"""What a batch costs by the kind and the number of its calls: the simulated device."""

from collections.abc import Mapping

Curve = Mapping[int, float]  # CPU seconds of a batch, by the calls in it
Curves = Mapping[str, Curve]  # by the class of the calls

# Measured on 2026-11-26 with one thread of two: pocket model, fp32, two rows or eight cutouts a call. The
# two kinds of texts are estimates.
MEASURED: Curves = {
    "EncodeText": {1: 0.0035, 16: 0.050},
    "EmbedText": {1: 0.0035, 16: 0.050},
    "Denoise": {1: 0.0233, 2: 0.0334, 3: 0.0474, 4: 0.0573, 6: 0.0831, 10: 0.1237, 16: 0.1931},
    "Guide": {1: 0.0727, 2: 0.1238, 3: 0.1789, 4: 0.2368, 6: 0.3509, 10: 0.5787, 16: 0.9300},
    "Decode": {1: 0.0118, 2: 0.0152, 3: 0.0220, 4: 0.0283, 6: 0.0419, 10: 0.0684, 16: 0.1058},
    "EmbedImage": {1: 0.0045, 2: 0.0054, 3: 0.0070, 4: 0.0083, 6: 0.0115, 10: 0.0184, 16: 0.0281},
}


def seconds(curve: Curve, calls: int) -> float:
    """The cost of a batch, between two measured sizes in proportion."""
    if calls in curve:
        return curve[calls]
    sizes = sorted(curve)
    upper = next((size for size in sizes if size > calls), sizes[-1])
    lower = max(size for size in sizes if size < upper)
    slope = (curve[upper] - curve[lower]) / (upper - lower)
    return curve[lower] + slope * (calls - lower)
