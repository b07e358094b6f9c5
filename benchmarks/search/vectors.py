"""Generated vectors that lie in clusters of clusters, as embeddings of pictures do.

A vector is the unit sum of four parts: what all pictures share, a theme, a motif within the theme, and what tells one
picture of a motif from another. The last has few dimensions and a little noise in all. Some motifs are frequent, most
are rare.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

THEMES, MOTIFS = 200, 4000
LOCAL_DIMENSIONS = 32
AT_A_TIME = 10_000

Vectors = NDArray[np.float32]


class Pictures:
    """A source of vectors."""

    def __init__(self, width: int, seed: int = 7) -> None:
        """Draw the clusters.

        Args:
            width: length of a vector.
            seed: of the clusters, and of all that is drawn from them.
        """
        self.width, self._seed = width, seed
        rng = np.random.default_rng(seed)
        shared, themes = self._units(rng, 1), self._units(rng, THEMES)
        motifs = self._units(rng, MOTIFS)
        self._centres = shared + themes[rng.integers(THEMES, size=MOTIFS)] + 0.7 * motifs
        self._local = self._units(rng, LOCAL_DIMENSIONS)
        weights = 1 / np.arange(10, MOTIFS + 10)
        self._weights = weights / weights.sum()

    def draw(self, rows: int, part: int = 0) -> Vectors:
        """Unit vectors, [rows, width]; the same for the same ``part``."""
        rng = np.random.default_rng((self._seed, part))
        local = rng.standard_normal((rows, LOCAL_DIMENSIONS), np.float32) / LOCAL_DIMENSIONS**0.5
        noise = rng.standard_normal((rows, self.width), np.float32) / self.width**0.5
        found = self._centres[rng.choice(MOTIFS, rows, p=self._weights)]
        found = found + 0.8 * local @ self._local + 0.2 * noise
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)

    def parts(self, rows: int) -> Iterator[tuple[int, int]]:
        """The parts that make so many vectors, and the number of each; part 0 is none of them."""
        for part, start in enumerate(range(0, rows, AT_A_TIME), 1):
            yield part, min(AT_A_TIME, rows - start)

    def _units(self, rng: np.random.Generator, rows: int) -> Vectors:
        drawn = rng.standard_normal((rows, self.width), np.float32)
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)
