"""The files that are read of folders and of repositories on the hub."""

import pytest

from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import ModelUnavailableError
from worker.models.families.stable_diffusion import STABLE_DIFFUSION
from worker.models.loading import hub
from worker.models.loading.layout import network_files

REVISION = "0" * 40
TOKENIZER = ["merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json"]
STEMS = STABLE_DIFFUSION.stems


def repository(*more: str, kinds: tuple[str, ...] = ("", ".fp16")) -> list[str]:
    """A Stable Diffusion as it lies on the hub: each network pickled and as safetensors, in each kind."""
    names = [".gitattributes", "README.md", "model_index.json", "feature_extractor/preprocessor_config.json"]
    names += ["scheduler/scheduler_config.json", *(f"tokenizer/{name}" for name in TOKENIZER)]
    for network, stem in STEMS.items():
        pickled = "pytorch_model" if stem == "model" else stem
        names.append(f"{network}/config.json")
        names += [f"{network}/{stem}{kind}.safetensors" for kind in kinds]
        names += [f"{network}/{pickled}{kind}.bin" for kind in kinds]
    return [*names, *more]


SD15 = repository(
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "safety_checker/model.fp16.safetensors",
    "safety_checker/pytorch_model.bin",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.non_ema.bin",
    "v1-5-pruned.ckpt",
    "v1-5-pruned.safetensors",
    "v1-5-pruned-emaonly.safetensors",
    "v1-inference.yaml",
)
SD21 = repository(
    "v2-1_768-ema-pruned.ckpt",
    "v2-1_768-ema-pruned.safetensors",
    "v2-1_768-nonema-pruned.safetensors",
    "text_encoder_2/model.safetensors",
)
LAION = [
    *(".gitattributes", "README.md", "config.json", "preprocessor_config.json", "tokenizer.json", *TOKENIZER),
    *("open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
    *(
        "model.safetensors",
        "pytorch_model.bin",
        "pytorch_model-00001-of-00002.bin",
        "model.safetensors.index.json",
    ),
]


def model(**fields: object) -> ModelCard:
    size = {"width": 512, "height": 512, "min_px": 256, "max_px": 1024}
    card = {"id": "m", "hub": "example/m", "revision": REVISION, "clip": "c", **size, **fields}
    return ModelCard.model_validate(card)


def read_of(card: ModelCard | ClipCard, names: list[str]) -> list[str]:
    return hub.files_read(card, names, STABLE_DIFFUSION if isinstance(card, ModelCard) else None)


def described(kind: str = "") -> set[str]:
    """The files that are read of a repository with weights of one kind."""
    names = {"model_index.json", "scheduler/scheduler_config.json"}
    names |= {f"tokenizer/{name}" for name in TOKENIZER} | {f"{network}/config.json" for network in STEMS}
    return names | {f"{network}/{stem}{kind}.safetensors" for network, stem in STEMS.items()}


@pytest.mark.parametrize("names", [SD15, SD21], ids=["1.5", "2.1"])
def test_of_a_stable_diffusion_only_what_is_read_is_fetched(names: list[str]) -> None:
    assert set(read_of(model(), names)) == described()
    assert set(read_of(model(variant="fp16"), names)) == described(".fp16")


def test_a_network_without_the_wanted_variant_is_read_in_full() -> None:
    read = set(read_of(model(variant="non_ema"), SD15))
    assert read ^ described() == {
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
    }


def test_where_there_is_one_variant_alone_it_is_read() -> None:
    assert set(read_of(model(), repository(kinds=(".fp16",)))) == described(".fp16")


def test_of_an_openclip_its_weights_its_configuration_and_its_tokenizer_are_fetched() -> None:
    read = read_of(ClipCard(id="c", hub="example/c", revision=REVISION), LAION)
    assert set(read) == {"open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json", *TOKENIZER}


def test_a_file_whose_digest_is_pinned_is_fetched_too() -> None:
    pinned = model(sha256={"LICENSE": "0" * 64, "unet/config.json": "0" * 64})
    read = read_of(pinned, [*SD15, "LICENSE"])
    assert set(read) == described() | {"LICENSE"}
    assert len(read) == len(set(read))


def test_parts_of_weights_are_read_together_and_one_file_before_them() -> None:
    parts = [f"unet/diffusion_pytorch_model.fp16-0000{part}-of-00003.safetensors" for part in (1, 2, 3)]
    behind = [f"unet/diffusion_pytorch_model-0000{part}-of-00003.fp16.safetensors" for part in (1, 2, 3)]
    others = [name for name in repository(kinds=("",)) if not name.startswith("unet/diffusion")]
    assert (
        network_files([*others, *parts, "unet/diffusion_pytorch_model.fp16.safetensors.index.json"], STEMS)[
            "unet"
        ]
        == parts
    )
    assert network_files([*others, *behind], STEMS, "fp16")["unet"] == behind
    whole = "unet/diffusion_pytorch_model.fp16.safetensors"
    assert network_files([*others, *parts, whole], STEMS, "fp16")["unet"] == [whole]
    with pytest.raises(ModelUnavailableError, match="unet holds 2 of the 3 parts"):
        network_files([*others, *parts[:2]], STEMS)


@pytest.mark.parametrize(
    ("names", "variant", "said"),
    [
        ([name for name in SD15 if not name.startswith("vae/diff")], None, "vae holds no diffusion_pytorch_model."),
        ([name for name in SD15 if not name.endswith(".safetensors")], None, "text_encoder holds no model.safetensors"),
        (SD15, "bf16", "none of its networks has weights of the variant 'bf16'"),
        (repository(kinds=(".fp16", ".ema")), None, "the variants ema, fp16 and no full weights"),
        (
            repository("vae/diffusion_pytorch_model.ema.safetensors", kinds=(".fp16",)),
            "ema",
            "neither of the variant 'ema' nor in full, only fp16",
        ),
        (LAION, None, "holds no model_index.json"),
    ],
)  # fmt: skip
def test_a_repository_without_weights_to_read_is_refused(
    names: list[str], variant: str | None, said: str
) -> None:
    with pytest.raises(ModelUnavailableError, match=said):
        read_of(model(variant=variant), names)


def test_a_repository_that_is_no_openclip_is_refused() -> None:
    pickled = [name for name in LAION if not name.endswith(".safetensors")]
    for names, missing in ((SD15, "open_clip_config.json"), (pickled, "open_clip_model.safetensors")):
        with pytest.raises(ModelUnavailableError, match=f"holds no {missing}"):
            read_of(ClipCard(id="c", hub="example/c", revision=REVISION), names)
