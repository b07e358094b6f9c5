"""Draw what the adapters of this repository do: writes ``docs/images/adapters-*.webp``.

``python -m docs.make_adapter_pictures``. ``adapters-blob``, ``-ink``, ``-delft``: eight things without the adapter
above, and below with it; of the last four it has seen no drawing. ``adapters-styles``: a fox and an apple without an
adapter, with each style, and with two at once. ``adapters-penguin``: what the pocket model makes of a name that it
never saw, of the adapter for it, and of the word for it. ``adapters-together``: a fox, and the penguin, at five weights
of ink. It asks a service of its own over HTTP, as anybody would.
"""

from typing import Any

from docs.make_editing_pictures import Draw, save, served

THINGS = ("fox", "rocket", "castle", "teapot", "snail", "red apple", "ghost", "cactus")
PLACES = (
    "noto {}",
    "fluent {}",
    "flat {}",
    "twemoji {}",
    "noto {} on a yellow background",
    "flat {} on a green background",
)
ASKED = ("penguin", "sks bird", "<penguin>")  # without an adapter, of the adapter, of the textual inversion
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
STYLES = {"blob": "noto", "ink": "flat", "delft": "noto"}  # with their trigger words
# What is told beside "noto", which is the nearest to most.
MIXTURES: tuple[dict[str, float], ...] = (
    {},
    {"blob": 1},
    {"ink": 1},
    {"delft": 1},
    {"blob": 0.6, "ink": 0.6},
    {"blob": 0.6, "delft": 0.6},
    {"ink": 0.6, "delft": 0.6},
)
MIXED = ("fox", "red apple")


def main() -> None:
    """Start, draw, save, stop."""
    served(make)


def make(draw: Draw) -> None:
    """Draw and save all of them."""
    penguin = told("penguin", 1)
    for style, trigger in STYLES.items():
        prompts, choices = [f"{trigger} {thing}" for thing in THINGS], ([], [told(style, 1)])
        save(f"adapters-{style}", [[draw(prompt, adapters=its)[0] for prompt in prompts] for its in choices])
    mixtures = [[told(name, weight) for name, weight in its.items()] for its in MIXTURES]
    save("adapters-styles", [[draw(f"noto {thing}", adapters=its)[0] for its in mixtures] for thing in MIXED])
    rows = [
        [draw(place.format(words), adapters=adapters)[0] for place in PLACES]
        for words, adapters in zip(ASKED, ([], [penguin], []), strict=True)
    ]
    save("adapters-penguin", rows)
    foxes = [draw("flat fox", adapters=[told("ink", weight)])[0] for weight in WEIGHTS]
    penguins = [draw(f"flat {ASKED[1]}", adapters=[penguin, told("ink", weight)])[0] for weight in WEIGHTS]
    save("adapters-together", [foxes, penguins])


def told(name: str, weight: float) -> dict[str, Any]:
    """An adapter of a request."""
    return {"name": name, "weight": weight}


if __name__ == "__main__":
    main()
