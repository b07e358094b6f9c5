"""Train pocket-edges, a Control-LoRA that makes pocket's pictures follow the edges of a drawing.

``python -m training.variants.edges`` resumes where it stopped and writes ``models/pocket-edges``. After each
checkpoint a few maps of held-out names are drawn to ``edges.png`` in the work folder: true drawings, their edges, what
pocket makes of these, with the caption and without.
"""

import numpy as np
import numpy.typing as npt

from jobs.pictures.maps.edges import canny
from training.variants.mapped import learn, levels, options

NAME = "pocket-edges"
LOW, HIGH = 100, 200  # the service's thresholds


def edges_of(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The edges [H, W] of a picture [3, H, W] in [-1, 1], as the service finds them."""
    return canny(levels(picture), LOW, HIGH)


def edge_map(picture: npt.NDArray[np.float32], _: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Their map [3, H, W], white on black."""
    return np.repeat(np.where(edges_of(picture), np.uint8(255), np.uint8(0))[None], 3, axis=0)


def main() -> None:
    """Train and export."""
    learn("edges", NAME, edge_map, options(__doc__, steps=680))


if __name__ == "__main__":
    main()
