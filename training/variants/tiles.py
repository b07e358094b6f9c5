"""Train pocket-tiles, a Control-LoRA that makes pocket's pictures have the colours of a coarse picture.

``python -m training.variants.tiles`` resumes where it stopped and writes ``models/pocket-tiles``. After each checkpoint
a few maps of held-out names are drawn to ``tiles.png`` in the work folder: true drawings, their tiles, what pocket
makes of these, with the caption and without.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from jobs.pictures.maps.detection import map_of
from jobs.requests.conditions.maps import Preprocessor, ResolvedMap
from jobs.requests.pictures import Picture
from training.variants.mapped import learn, levels, options

NAME = "pocket-tiles"
# How many pixels a side become one tile, with how often each is learned; 4 is the service's default.
SIDES, SHARES = (4, 8, 16), (0.35, 0.45, 0.2)
# Of the captions that leave the background out, which the tiles have then to tell.
UNTOLD_SHARE = 0.6
ANY = Picture(f"sha256:{64 * '0'}")  # the name of a picture that is handed over itself


def tiles_of(picture: npt.NDArray[np.float32], side_px: float) -> npt.NDArray[np.uint8]:
    """The map [3, H, W] of a picture [3, H, W] in [-1, 1], as the service makes it.

    Args:
        picture: to be made coarse.
        side_px: of a tile.
    """
    how = ResolvedMap(image=ANY, preprocess=Preprocessor.TILE, downsample=side_px)
    shown = Image.fromarray(levels(picture))
    return np.asarray(map_of(shown, how, shown.size, seed=0)).transpose(2, 0, 1)


def tile_map(picture: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Likewise, with tiles of any of the sizes."""
    return tiles_of(picture, float(rng.choice(SIDES, p=SHARES)))


def main() -> None:
    """Train and export."""
    learn("tiles", NAME, tile_map, options(__doc__, steps=420), UNTOLD_SHARE)


if __name__ == "__main__":
    main()
