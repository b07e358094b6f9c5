"""Questions of growing difficulty to a model that knows little: what it learned, and then what it did not.

Each rung has prompts, what judges compare the pictures with, and, where somebody drew them, the real pictures.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training import glyphs
from training.judges.asked import Asked, Drawings

SEED = 7
DRAWN_STYLES = ("noto", "twemoji", "fluent", "flat")
ODD_COLOURS = ("purple", "black", "orange", "grey", "red", "dark blue")
# Things that the denoiser did not learn, each with the thing of its kind that it did: the prompt names the kind, and
# guidance alone the thing.
KIN = (
    ("polar bear", "bear"), ("koala", "bear"), ("cat face", "cat"), ("dog face", "dog"), ("tiger face", "tiger"),
    ("dragon face", "dragon"), ("goose", "duck"), ("dove", "bird"), ("leopard", "tiger"), ("goat", "ram"),
    ("ox", "cow"), ("bison", "cow"), ("boar", "pig"), ("llama", "camel"), ("rhinoceros", "elephant"),
    ("hippopotamus", "elephant"), ("raccoon", "fox"), ("seal", "dolphin"), ("spouting whale", "whale"),
    ("lizard", "crocodile"), ("blue heart", "red heart"), ("green heart", "red heart"), ("yellow heart", "red heart"),
    ("delivery truck", "ambulance"), ("pickup truck", "automobile"), ("bullet train", "train"), ("monorail", "train"),
    ("motor scooter", "motorcycle"), ("motor boat", "sailboat"), ("canoe", "sailboat"), ("coconut", "kiwi"),
    ("blueberries", "grapes"), ("hibiscus", "rose"), ("lotus", "tulip"), ("blossom", "sunflower"),
    ("potted plant", "cactus"), ("seedling", "herb"), ("taco", "sandwich"), ("burrito", "hot dog"),
    ("bagel", "doughnut"), ("pretzel", "croissant"), ("waffle", "pancakes"), ("shortcake", "birthday cake"),
    ("glass of milk", "beer mug"), ("tropical drink", "wine glass"), ("trumpet", "saxophone"), ("banjo", "guitar"),
    ("long drum", "drum"), ("telephone", "mobile phone"), ("stopwatch", "alarm clock"), ("hotel", "house"),
    ("tennis", "baseball"), ("bowling", "basketball"), ("yo yo", "soccer ball"), ("crossed swords", "axe"),
    ("dagger", "kitchen knife"), ("wrench", "hammer"), ("screwdriver", "hammer"), ("toolbox", "briefcase"),
    ("luggage", "backpack"), ("handbag", "backpack"), ("purse", "backpack"), ("full moon", "crescent moon"),
    ("glowing star", "star"), ("ringed planet", "globe"), ("satellite", "rocket"),
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    """One picture to make.

    Attributes:
        prompt: of the request.
        things: that it is to show; judges are asked for each.
        guide: text of guidance where it is another one.
    """

    prompt: str
    things: tuple[Asked, ...]
    guide: str | None = None


@dataclass(frozen=True)
class Rung:
    """Questions of one difficulty.

    Attributes:
        key: its name on the command line.
        title: for tables.
        questions: as many as were asked for, or as there are.
    """

    key: str
    title: str
    questions: tuple[Question, ...]

    @property
    def has_drawings(self) -> bool:
        """Whether pictures can be compared with a drawing of the whole of what was asked."""
        return all(len(question.things) == 1 for question in self.questions)


class Ladder:
    """The rungs, each drawn from names by chance that is always the same."""

    def __init__(self, drawings: Drawings, count: int) -> None:
        """Draw nothing yet.

        Args:
            drawings: that exist.
            count: questions of a rung, at most.
        """
        self._drawings, self._count = drawings, count
        self._learned = glyphs.learned()
        self.makers: dict[str, Callable[[], Rung]] = {
            "known": self.known,
            "odd": self.odd,
            "two": self.two,
            "kin": self.kin,
            "unlearned": self.unlearned,
        }

    def known(self) -> Rung:
        """Things in styles in which they were drawn."""
        asked = self._asked(self._shuffled(self._learned, 0))
        return Rung("known", "a known thing", _questions(asked))

    def odd(self) -> Rung:
        """Known things in styles in which nobody drew them, if there are such, on colours that fit few things."""
        names = self._shuffled(self._learned, 1)
        undrawn = (
            (name, style)
            for name in names
            for style in glyphs.STYLES
            if not self._drawings.has(Asked(name, style))
        )
        chosen = dict(undrawn)  # the last style of each name
        half = list(chosen.items())[: self._count // 2]
        rest = [
            (name, "fxemoji")
            for name in names
            if name not in dict(half) and self._drawings.has(Asked(name, "fxemoji"))
        ]
        pairs = [*half, *rest][: self._count]
        asked = [
            Asked(name, style, ODD_COLOURS[number % len(ODD_COLOURS)])
            for number, (name, style) in enumerate(pairs)
        ]
        return Rung("odd", "in an unseen style or on an odd background", _questions(asked))

    def two(self) -> Rung:
        """Two known things at once."""
        names = self._asked(self._shuffled(self._learned, 2), most=2 * self._count)
        by_style = {style: [one for one in names if one.style == style] for style in DRAWN_STYLES}
        pairs = chain.from_iterable(zip(each[::2], each[1::2], strict=False) for each in by_style.values())
        questions = [Question(f"{one.prompt} and {other.name}", (one, other)) for one, other in pairs]
        return Rung("two", "two things", tuple(questions[: self._count]))

    def kin(self) -> Rung:
        """A thing that guidance alone knows, of a kind that the denoiser knows."""
        kinds = dict(KIN)
        known = set(self._learned)
        names = [name for name in self._shuffled(list(kinds), 3) if kinds[name] in known]
        asked = self._asked(names)
        questions = [
            Question(Asked(kinds[one.name], one.style).prompt, (one,), guide=one.prompt) for one in asked
        ]
        return Rung("kin", "a known kind, an unknown name", tuple(questions))

    def unlearned(self) -> Rung:
        """Names that the denoiser never saw and the guides know."""
        core = set(glyphs.vocabulary(glyphs.CORE))
        names = [name for name in glyphs.vocabulary() if name not in core and not glyphs.is_held_out(name)]
        asked = self._asked(self._shuffled(names, 4))
        return Rung("unlearned", "an unknown name", _questions(asked))

    def ceiling(self, rung: Rung) -> tuple[Tensor, list[Question]]:
        """The real pictures of the questions that have one, [N, 3, 64, 64] in [0, 1]."""
        drawn = [
            question for question in rung.questions if all(self._drawings.has(one) for one in question.things)
        ]
        return torch.stack([self._real(question) for question in drawn]), drawn

    def _real(self, question: Question) -> Tensor:
        pictures = [self._drawings.picture(one) for one in question.things]
        return pictures[0] if len(pictures) == 1 else side_by_side(*pictures)

    def _shuffled(self, names: list[str], stream: int) -> list[str]:
        return [str(name) for name in np.random.default_rng((SEED, stream)).permutation(names)]

    def _asked(self, names: list[str], most: int | None = None) -> list[Asked]:
        """Names in styles that take turns, where they were drawn."""
        styles = _turns()
        drawn = (Asked(name, next(styles)) for name in names)
        return [one for one in drawn if self._drawings.has(one)][: most or self._count]


def side_by_side(left: Tensor, right: Tensor) -> Tensor:
    """Two pictures [3, 64, 64] on white at half the size, beside each other."""
    canvas = torch.ones_like(left)
    for number, picture in enumerate((left, right)):
        small = F.interpolate(picture[None], (32, 32), mode="bilinear", antialias=True)[0]
        canvas[:, 16:48, 32 * number : 32 * number + 32] = small
    return canvas


def _questions(asked: list[Asked]) -> tuple[Question, ...]:
    return tuple(Question(one.prompt, (one,)) for one in asked)


def _turns() -> Iterator[str]:
    while True:
        yield from DRAWN_STYLES
