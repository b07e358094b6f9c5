from pathlib import Path

import pytest

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.errors import ConfigurationError, UnknownModelError
from jobs.requests.samplers import SamplerName, ScheduleName

MODEL = """
[models.small]
path = "weights/small"
clip = "guide"
width = 64
height = 64
min_px = 48
max_px = 128
"""
CLIP = """
[clips.guide]
hub = "org/guide"
revision = "0123456789012345678901234567890123456789"
"""


def load(folder: Path, text: str) -> Catalog:
    file = folder / "models.toml"
    file.write_text(text)
    return load_catalog(file)


def refusal(folder: Path, text: str) -> str:
    """The error of a wrong file, after its name."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text)
    prefix = f"the model catalog {folder / 'models.toml'} "
    assert caught.value.message.startswith(prefix)
    assert "\n" not in caught.value.message
    return caught.value.message.removeprefix(prefix)


def test_the_one_that_comes_with_lodestar_is_sound() -> None:
    catalog = load_catalog(Path(__file__).parents[3] / "models.toml")
    assert catalog.model(None).id == "pocket"


def test_what_is_left_out_has_defaults(tmp_path: Path) -> None:
    model = load(tmp_path, MODEL + CLIP).model("small")
    assert (model.multiple_px, model.steps, model.cfg_scale) == (8, 25, 7.5)
    assert (model.sampler, model.schedule) == (SamplerName.DDIM, ScheduleName.DEFAULT)
    assert model.description == ""
    assert (model.hub, model.revision, model.config) == (None, None, None)


def test_a_former_name_of_a_sampler_stands_for_its_schedule_too(tmp_path: Path) -> None:
    former = load(tmp_path, MODEL + 'sampler = "dpmpp_2m_sde_karras"' + CLIP).model("small")
    assert (former.sampler, former.schedule) == (SamplerName.DPMPP_2M_SDE, ScheduleName.KARRAS)


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = MODEL + 'config = "configs/small"\n'
    model = load(tmp_path, checkpoint + CLIP).model("small")
    assert (model.path, model.config) == (tmp_path / "weights" / "small", tmp_path / "configs" / "small")
    monkeypatch.chdir(tmp_path)
    assert load_catalog(Path("models.toml")).model("small").path == tmp_path / "weights" / "small"
    absolute = MODEL.replace("weights/small", "/srv/small")
    assert load(tmp_path, absolute + CLIP).model("small").path == Path("/srv/small")


def test_a_vocabulary_is_a_list_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("red apple\n\nfox\n", encoding="utf-8")
    for given in ('"names.txt"', '["red apple", "fox"]'):
        model = load(tmp_path, MODEL + f"vocabulary = {given}" + CLIP).model("small")
        assert model.vocabulary == ("red apple", "fox")
    # The API may run where no files of models are.
    assert load(tmp_path, MODEL + 'vocabulary = "missing.txt"' + CLIP).model("small").vocabulary == ()
    (tmp_path / "names.txt").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"the vocabulary .*names\.txt cannot be read"):
        load(tmp_path, MODEL + 'vocabulary = "names.txt"' + CLIP)


def test_a_model_is_known_by_its_aliases_too(tmp_path: Path) -> None:
    catalog = load(tmp_path, MODEL + 'aliases = ["dall-e-3", "acme/app"]' + CLIP)
    assert catalog.model("dall-e-3") is catalog.model("acme/app") is catalog.model("small")
    with pytest.raises(UnknownModelError, match=r"it holds: small$"):
        catalog.model("dall-e-2")


def test_models_keep_the_order_of_the_file_and_the_first_is_the_default(tmp_path: Path) -> None:
    catalog = load(tmp_path, MODEL.replace("small", "zebra") + MODEL.replace("small", "ant") + CLIP)
    assert [model.id for model in catalog.models] == ["zebra", "ant"]
    assert catalog.model(None).id == "zebra"


def test_an_unknown_name_is_told_with_the_known_ones(catalog: Catalog) -> None:
    with pytest.raises(UnknownModelError, match="'nope' is not in the catalog; it holds: pocket") as caught:
        catalog.model("nope")
    assert caught.value.field == "model"
    with pytest.raises(UnknownModelError, match="pocket-m") as caught:
        catalog.clip("nope")
    assert caught.value.field == "guidance.clip"
    assert catalog.clip("pocket-m").id == "pocket-m"


class TestRefusals:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"nothing\.toml does not exist"):
            load_catalog(tmp_path / "nothing.toml")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_catalog(tmp_path)

    def test_what_is_no_toml(self, tmp_path: Path) -> None:
        assert refusal(tmp_path, "[models").startswith("cannot be read: ")

    def test_what_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "models.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_catalog(tmp_path / "models.toml")

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "is wrong: models: Field required"),
            (MODEL, "is wrong: clips: Field required"),
            (CLIP, "is wrong: models: Field required"),
            ("models = 3" + CLIP, "is wrong: models: Input should be a list"),
            ("models.small = 3" + CLIP, "is wrong: models: Input should be a list"),
            (MODEL + CLIP + "[model.x]", "is wrong: model: Extra inputs are not permitted"),
            (MODEL.replace("width", "witdh") + CLIP, "is wrong: models.small.width: Field required"),
            (MODEL + "heigth = 3" + CLIP, "is wrong: models.small.heigth: Extra inputs are not permitted"),
            (MODEL.replace('"weights/small"', "3") + CLIP, "is wrong: models.small.path: "),
            (MODEL + 'sampler = "magic"' + CLIP, "is wrong: models.small.sampler: Input should be 'ddim', "),
            (
                MODEL + 'sampler = "pndm"\nschedule = "karras"' + CLIP,
                "is wrong: models.small: sampler pndm does not support schedule karras, only: default",
            ),
            (
                MODEL + 'sampler = "dpmpp_2m_karras"\nschedule = "default"' + CLIP,
                "is wrong: models.small.schedule: sampler dpmpp_2m_karras implies schedule karras",
            ),
            (MODEL + 'hub = "org/x"' + CLIP, "is wrong: models.small: give either path or hub"),
            (
                MODEL.replace("small", "ant") + MODEL + 'aliases = ["ant"]' + CLIP,
                "is wrong: models 'ant' and 'small' both have the name 'ant'",
            ),
            (
                MODEL + 'aliases = ["x", "x"]' + CLIP,
                "is wrong: models 'small' and 'small' both have the name 'x'",
            ),
            (MODEL + 'aliases = ["a b"]' + CLIP, "is wrong: models.small.aliases.0: String should match"),
            (
                MODEL.replace('path = "weights/small"', "") + CLIP,
                "is wrong: models.small: give either path or hub",
            ),
            (
                MODEL + CLIP.partition("revision")[0],
                "is wrong: clips.guide: a hub id needs the 40 digits of its pinned revision",
            ),
            (MODEL + CLIP.replace("0123", "main"), "is wrong: clips.guide.revision: String should match"),
            (
                MODEL.replace("guide", "nobody") + CLIP,
                "is wrong: model 'small' names the CLIP 'nobody', which [clips] does not hold",
            ),
            (
                MODEL.replace("width = 64", "width = 256") + CLIP,
                "is wrong: models.small: the default width 256 is not a multiple of 8 from 48 to 128 px",
            ),
            (
                MODEL + "multiple_px = 40" + CLIP,
                "is wrong: models.small: the default width 64 is not a multiple of 40 from 48 to 128 px",
            ),
            (
                MODEL.replace("max_px = 128", "max_px = 5000") + CLIP,
                "is wrong: models.small.max_px: Input should be less than or equal to 4096",
            ),
            (MODEL.replace("models.small", 'models."a b"') + CLIP, "is wrong: models.a b.id: String should"),
        ],
    )
    def test_a_wrong_entry_is_named(self, tmp_path: Path, text: str, reason: str) -> None:
        assert refusal(tmp_path, text).startswith(reason)


ADAPTER = """
[adapters.ink]
path = "loras/ink.safetensors"
base = ["small"]
"""


def test_an_adapter_is_for_the_models_that_it_names(tmp_path: Path) -> None:
    other = MODEL.replace("models.small", "models.other") + "aliases = ['o']\n"
    catalog = load(
        tmp_path, MODEL + other + CLIP + ADAPTER + ADAPTER.replace("ink]", "any]").replace("base", "# base")
    )
    ink, any_of = catalog.adapters
    assert ink.path == tmp_path / "loras" / "ink.safetensors"
    assert catalog.adapters_of(catalog.model("small")) == (ink, any_of)
    assert catalog.adapters_of(catalog.model("o")) == (any_of,)
    assert catalog.adapter("ink") is ink
    with pytest.raises(UnknownModelError, match="it holds: ink, any"):
        catalog.adapter("pencil")


def test_an_adapter_of_an_unknown_model_is_refused(tmp_path: Path) -> None:
    text = MODEL + CLIP + ADAPTER.replace("small", "large")
    assert "adapter 'ink' is made for the model 'large'" in refusal(tmp_path, text)


INVERSIONS = """
[textual_inversions.cat]
path = "words/cat.safetensors"
base = ["small"]

[textual_inversions.toy]
path = "words/toy.pt"
word = "<cat-toy>"
"""


def test_a_textual_inversion_has_a_word(tmp_path: Path) -> None:
    catalog = load(tmp_path, MODEL + MODEL.replace("small", "other") + CLIP + INVERSIONS)
    cat, toy = catalog.textual_inversions
    assert (cat.word, toy.word) == ("cat", "<cat-toy>")
    assert cat.path == tmp_path / "words" / "cat.safetensors"
    assert catalog.textual_inversions_of(catalog.model("small")) == (cat, toy)
    assert catalog.textual_inversions_of(catalog.model("other")) == (toy,)


@pytest.mark.parametrize(
    ("added", "reason"),
    [
        ('word = "two words"', "textual_inversions.toy.word: String should match pattern"),
        ('word = "cat:1.2"', "textual_inversions.toy.word: String should match pattern"),
        ('word = "(cat"', "textual_inversions.toy.word: String should match pattern"),
        ('word = "toy-"', "textual_inversions.toy.word: String should match pattern"),
        ('word = "cat-AND-dog"', "'cat-AND-dog' has AND or BREAK"),
        ('word = "CAT"', "textual inversions 'cat' and 'toy' of model 'small' both have the word 'CAT'"),
        ('base = ["large"]', "textual inversion 'toy' is made for the model 'large'"),
    ],
)
def test_a_textual_inversion_that_no_prompt_could_name_is_refused(
    tmp_path: Path, added: str, reason: str
) -> None:
    lines = INVERSIONS.replace('word = "<cat-toy>"', added)
    assert reason in refusal(tmp_path, MODEL + CLIP + lines)


def test_an_id_that_is_no_word_needs_one(tmp_path: Path) -> None:
    text = MODEL + CLIP + '[textual_inversions."a/b"]\npath = "x.pt"\n'
    assert "textual_inversions.a/b.word: String should match pattern" in refusal(tmp_path, text)
