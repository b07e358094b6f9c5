"""Train a style adapter: ``python -m training.adapters.style blob`` (or ``ink``, ``delft``).

It resumes where it stopped and writes ``models/adapters/NAME``. After each checkpoint the same things as ever are drawn
to ``style-NAME.png`` in the work folder: above with the trigger word, below without.
"""

import argparse
from dataclasses import replace

from training.adapters.drawings import Latents, everywhere
from training.adapters.lora import About, export, learn
from training.adapters.styles import STYLES, Style, drawings, inked, is_held_out
from training.glyphs import Glyph
from training.loop import Plan, join
from training.settings import models_folder
from training.unet import draw_grid

RANK = 8
BATCH = 32
NO_TRIGGER_SHARE = 0.3
# The second four are held out.
LOOKED_AT = ("fox", "rocket", "teapot", "castle", "snail", "red apple", "ghost", "cactus")
BACKGROUNDS = ("", " on a yellow background")


def lessons(style: Style) -> Latents:
    """Its drawings of the names that are not held out, on every background."""
    rows = []
    for name, rgba in drawings(style.name).items():
        if not is_held_out(name):
            rows += everywhere(rgba, Glyph(name, style.trigger))
    if style.is_ink:
        rows = [replace(row, rgba=inked(row.rgba, row.colour)) for row in rows]
    return Latents(rows, seed=0, drop=NO_TRIGGER_SHARE)


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("style", choices=STYLES)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--lr", type=float, default=4e-4)
    parser.add_argument("--trial", action="store_true", help="export nothing")
    options = parser.parse_args()
    join()
    style = STYLES[options.style]
    latents = lessons(style)
    prompts = [f"{style.trigger} {name}{ground}" for ground in BACKGROUNDS for name in LOOKED_AT]
    prompts += LOOKED_AT
    name = f"style-{style.name}" + ("-trial" if options.trial else "")
    plan = Plan(steps=options.steps, lr=options.lr, warmup_steps=20, ema_decay=0.98)
    unet = learn(
        name,
        RANK,
        lambda step: latents.at(step, BATCH),
        plan,
        look=lambda averaged, step: draw_grid(averaged, step, prompts, name),
    )
    if not options.trial:
        about = About(f"{style.title} for pocket", style.trigger, style.licence)
        export(unet, models_folder() / "adapters" / style.name, about)


if __name__ == "__main__":
    main()
