"""Draw a prompt with every pair of a preset and a scale, and lay the pictures out as a grid.

``python examples/sweep.py "noto fox" --presets fast laion --scales 0.1 0.2 0.4`` writes ``sweep.png``: a row for each
preset, a column for each scale. All jobs have one seed and one label, under which the dashboard shows them as a grid
too. Needs the client with Pillow: ``pip install './lodestar[pictures]'``.
"""

import argparse
import secrets

from PIL import Image

from lodestar import Client, ClientError

GAP_PX = 4


def main() -> None:
    """Submit all jobs before waiting for the first, so that they share batches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt")
    parser.add_argument("--presets", nargs="+", default=["fast", "laion"])
    parser.add_argument("--scales", nargs="+", type=float, default=[0.05, 0.1, 0.2])
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    label = f"sweep-{secrets.token_hex(4)}:guidance.preset,guidance.scale"
    with Client() as client:
        rows = [
            [
                client.generate(
                    options.prompt,
                    seed=options.seed,
                    labels=[label],
                    guidance={"preset": preset, "scale": scale},
                )
                for scale in options.scales
            ]
            for preset in options.presets
        ]
        pictures = [[generation.pictures()[0].image for generation in row] for row in rows]
        grid(pictures).save("sweep.png")
        print(f"sweep.png: {len(options.presets)} presets x {len(options.scales)} scales, label {label}")


def grid(rows: list[list[Image.Image]]) -> Image.Image:
    """The pictures, all of one size, side by side and below each other."""
    width, height = (side + GAP_PX for side in rows[0][0].size)
    page = Image.new("RGB", (len(rows[0]) * width - GAP_PX, len(rows) * height - GAP_PX), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            page.paste(picture, (x * width, y * height))
    return page


if __name__ == "__main__":
    try:
        main()
    except ClientError as error:
        raise SystemExit(f"sweep: {error}") from error
