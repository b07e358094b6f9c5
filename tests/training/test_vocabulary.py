"""What the form of the dashboard offers for the pocket model is what the model learned."""

from pathlib import Path

from jobs.catalog.catalog import load_catalog
from training.captions import COLOURS
from training.glyphs import STYLES, learned

ROOT = Path(__file__).parents[2]


def test_the_vocabulary_of_the_pocket_model_is_what_it_learned_and_its_examples_are_of_it() -> None:
    model = load_catalog(ROOT / "models.toml").model("pocket")
    assert list(model.vocabulary) == learned()
    for example in model.examples:
        drawing, _, background = example.partition(" on a ")
        style, _, name = drawing.partition(" ")
        assert (style in STYLES, name in model.vocabulary) == (True, True)
        assert background.removesuffix(" background") in {*COLOURS, ""}
