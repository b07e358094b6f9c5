"""Draw the figure of ``docs/aesthetics.md``: ``python -m docs.make_aesthetic_pictures`` writes it to ``docs/images``.

The same prompt and seed at 0, 5, 10 and 20 steps of aesthetic gradients, towards the drawings of one emoji style in the
upper row and of another in the lower one. Below each: its similarity to other drawings of that style and to the prompt,
by the evaluator, a CLIP that takes no part. Needs the rendered drawings of ``python -m training.glyphs``.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw
from torchvision.transforms.functional import to_pil_image

from benchmarks.aesthetics import EVALUATOR, STEPS
from benchmarks.methods.style import drawings, embed, make, style_embedding, towards
from jobs.catalog.catalog import load_catalog
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
STYLES = ("fluent", "twemoji")
SHOWN_PX, CAPTION_PX, GAP_PX = 160, 30, 6


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompt", default="sunflower on a light blue background")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--lr", type=float, help="learning rate; by default the model's own")
    options = parser.parse_args()
    models = ModelRegistry(load_catalog(ROOT / "models.toml"), Device(WorkerSettings()))
    card, evaluator = models.catalog.model(None), models.clip(EVALUATOR)
    assert card.text_clip is not None
    lr = card.personalization_lr if options.lr is None else options.lr
    plain = resolve(GenerateRequest(prompt=options.prompt, seed=options.seed), models.catalog)
    cell = (SHOWN_PX + GAP_PX, SHOWN_PX + CAPTION_PX + GAP_PX)
    page = Image.new("RGB", (len(STEPS) * cell[0] + GAP_PX, len(STYLES) * cell[1] + GAP_PX), "white")
    draw = ImageDraw.Draw(page)
    for row, style in enumerate(STYLES):
        embedding = style_embedding(models, style, card.text_clip)
        others = embed(evaluator, drawings(style, held_out=True))
        requests = [
            plain.model_copy(update={"personalization": towards(embedding, steps, lr)}) for steps in STEPS
        ]
        for column, (pictures, steps) in enumerate(
            zip(make(models, requests, embedding), STEPS, strict=True)
        ):
            pixels = pictures[0].pixels
            seen = embed(evaluator, pixels[None])
            near = float((seen @ others.T).mean())
            fits = float((seen * evaluator.embed_text(options.prompt)).sum())
            left, top = GAP_PX + column * cell[0], GAP_PX + row * cell[1]
            shown = to_pil_image(pixels).resize((SHOWN_PX, SHOWN_PX), Image.Resampling.BICUBIC)
            page.paste(shown, (left, top))
            draw.text((left, top + SHOWN_PX + 2), f"{style}, {steps} steps", "black")
            draw.text((left, top + SHOWN_PX + 15), f"style {near:.3f}, prompt {fits:.3f}", "black")
    path = Path(__file__).parent / "images" / "aesthetic.webp"
    page.save(path, quality=90)
    print(path)


if __name__ == "__main__":
    main()
