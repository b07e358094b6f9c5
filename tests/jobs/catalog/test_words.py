"""The words of a model: its own file's, or those for all."""

from pathlib import Path

import pytest

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.catalog.words import words_for
from jobs.errors import ConfigurationError

SHIPPED = Path(__file__).parents[3] / "models.toml"


def test_the_lines_of_a_file_are_words_and_its_empty_lines_part_groups(
    catalog: Catalog, tmp_path: Path
) -> None:
    file = tmp_path / "own.txt"
    file.write_text("a {} by {}!\n\nred apple\n  fox \n\n\n\nnoto\n")
    words = words_for(catalog.models[0].model_copy(update={"words": file}))
    assert words.groups == (("red apple", "fox"), ("noto",))
    assert words.caption(["fox", "noto"]) == "a fox by noto!"


def test_a_model_without_a_file_has_the_common_words(catalog: Catalog) -> None:
    groups = words_for(catalog.models[0]).groups
    words = [word for group in groups for word in group]
    assert len(groups) == 4
    assert len(words) == len(set(words)) > 200


def test_the_words_of_the_shipped_model_are_those_of_its_captions() -> None:
    words = words_for(load_catalog(SHIPPED).model("pocket"))
    styles, names, backgrounds = words.groups
    assert (
        words.caption(["noto", "red apple", "on a blue background"]) == "noto red apple on a blue background"
    )
    assert {"red apple", "fox"} < set(names)
    assert "noto" in styles
    assert "on a light blue background" in backgrounds


@pytest.mark.parametrize(
    "text", ["", "{}\n\n", "{}\n" + "x" * 201, "{}\n" + "a\n" * 4001, "{} {}\n\na\nb", "a\n\nb"]
)
def test_a_file_without_usable_words_is_named(text: str, catalog: Catalog, tmp_path: Path) -> None:
    file = tmp_path / f"own-{len(text)}.txt"
    file.write_text(text)
    for path in (file, tmp_path / "none.txt"):
        with pytest.raises(ConfigurationError, match=path.name):
            words_for(catalog.models[0].model_copy(update={"words": path}))
