"""Which entries a model gets, and what is refused before its weights are fetched."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from open_clip.pretrained import get_pretrained_cfg

from benchmarks.loading.single_file import write_single_file
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import ConfigurationError, ModelUnavailableError
from tests.hub_server import Hosted, Hub, sha256
from tests.worker.conftest import ROOT
from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import written
from tests.worker.models.variants import POCKET, edit
from worker.models.adding.checkpoints import of_folder
from worker.models.adding.clips import GUIDE, VIT_L
from worker.models.adding.defaults import defaults_of
from worker.models.adding.planning import carry_out, plan
from worker.models.adding.plans import Plan, Wishes
from worker.models.adding.sources import FolderSource
from worker.models.device import Device
from worker.models.loading.diffusion import load_diffusion
from worker.models.loading.digests import Digests
from worker.settings import WorkerSettings

CPU = Device(WorkerSettings(device="cpu", dtype="fp32"))
Said = pytest.CaptureFixture[str]


def ignore(name: str, done: int, total: int) -> None:
    pass


def test_a_model_of_the_hub_is_pinned_with_the_clips_of_its_siblings(
    hub: Hub, pocket_catalog: Catalog, capsys: Said
) -> None:
    planned = plan(Wishes("acme/pocket@v1", name="mine"), pocket_catalog, CPU)
    assert all(asked for asked, _ in hub.stored), "only headers and a few rows are read before"
    ((table, name, fields),) = carry_out(planned, Digests(), ignore)
    assert (table, name) == ("models", "mine")
    weights = sorted(fields["sha256"])
    assert weights == [
        f"{each}.safetensors"
        for each in ("text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model")
    ]
    assert fields.pop("sha256")["unet/diffusion_pytorch_model.safetensors"] == sha256(
        (POCKET / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    )
    assert {key: value for key, value in fields.items() if value is not None} == {
        "hub": "acme/pocket",
        "revision": hub.repositories["acme/pocket"].commit,
        "aliases": ["acme/pocket"],
        "clip": "pocket-m",
        "text_clip": "pocket-s",
        "width": 64,
        "height": 64,
        "min_px": 32,
        "max_px": 128,
        "sampler": "ddim",
    }
    assert not {"words.txt", "README.md", "names.txt"} & set(hub.names())
    said = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert (
        "Stable Diffusion 1.x and 2.x, 17 M parameters, 64x64 px, v_prediction, guided by pocket-m" in said[0]
    )
    assert said[1].startswith("its networks and CLIPs take 0.1")
    assert said[2] == "to be fetched: 34.0 MB"


def test_on_a_device_that_computes_in_fp16_these_weights_alone_are_fetched(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    pipeline = checkpoints.stable_diffusion()
    pipeline.save_pretrained(folder)
    pipeline.save_pretrained(folder, variant="fp16")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    hub.repositories["acme/both"] = Hosted(folder)
    half = Device(WorkerSettings(device="cpu", dtype="fp32"))
    half.dtype_name = "fp16"
    for device, variant in ((CPU, None), (half, "fp16")):
        planned = plan(Wishes("acme/both", clip=str(ROOT / "models/pocket-m"), text_clip=False), None, device)
        assert planned.entries[-1][2]["variant"] == variant
        read = [name for name in planned.fetches[-1][1] if name.endswith(".safetensors")]
        assert [".fp16." in name for name in read] == [variant == "fp16"] * 3
    assert not [name for name in hub.names() if name.endswith(".bin")]


def sd3(folder: Path) -> None:
    edit(folder / "model_index.json", _class_name="StableDiffusion3Pipeline")


def wider(folder: Path) -> None:
    edit(folder / "unet" / "config.json", block_out_channels=[32, 96])


def other_latents(folder: Path) -> None:
    edit(folder / "unet" / "config.json", in_channels=5)


def flow(folder: Path) -> None:
    edit(folder / "scheduler" / "scheduler_config.json", prediction_type="flow")


def pickled(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(
        folder / "unet" / "diffusion_pytorch_model.bin"
    )


def damaged(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"\xff" * 5000)


def one_file(folder: Path) -> None:
    for file in list(folder.rglob("*")):
        if file.is_file():
            file.unlink()
    (folder / "v1-5-pruned.safetensors").write_bytes(b"gigabytes")


@pytest.mark.parametrize(
    ("spoil", "refused"),
    [
        (sd3, "it is a StableDiffusion3Pipeline, and what is served is Stable Diffusion 1.x and 2.x"),
        (wider, "the weights are not those of the UNet"),
        (other_latents, "the UNet takes 5 channels"),
        (flow, "prediction_type is 'flow'"),
        (pickled, "unet has no .safetensors file; other formats can run code"),
        (damaged, "cannot be"),
        (one_file, r"holds no model_index.json, but checkpoints of one file \(v1-5-pruned.safetensors\)"),
    ],
)
def test_what_is_not_served_is_refused_before_its_weights_are_fetched(
    hub: Hub, tmp_path: Path, spoil: Callable[[Path], None], refused: str
) -> None:
    written(checkpoints.stable_diffusion, tmp_path / "spoilt")
    spoil(tmp_path / "spoilt")
    hub.repositories["acme/spoilt"] = Hosted(tmp_path / "spoilt")
    with pytest.raises(Exception, match=refused) as error:
        plan(Wishes("acme/spoilt", clip=str(ROOT / "models/pocket-m")), None, CPU)
    assert "acme/spoilt" in str(error.value)
    assert all(asked for asked, _ in hub.stored), "no file of weights was fetched whole"


def test_a_folder_and_one_file_are_taken_as_they_are(
    tmp_path: Path, plain: Path, pocket_catalog: Catalog
) -> None:
    file = tmp_path / "tiny lightning_8step.safetensors"
    write_single_file(plain, file, layers=1, with_attention=(False, True))
    planned = plan(Wishes(str(file), config=plain), pocket_catalog, CPU)
    ((_, name, fields),) = carry_out(planned, Digests(), ignore)
    assert name == "tiny-lightning_8step"
    assert (fields["path"], fields["config"]) == (str(file), str(plain))
    assert fields["sha256"] == {file.name: sha256(file.read_bytes())}
    few = {"steps": 8, "cfg_scale": 1.0, "sampler": "euler", "schedule": "sgm_uniform"}
    assert few.items() <= fields.items()
    with pytest.raises(ConfigurationError, match=r"an entry 'pocket' already; give another --name"):
        plan(Wishes(str(POCKET)), pocket_catalog, CPU)
    with pytest.raises(ConfigurationError, match=r"is not a .safetensors file; other formats can run code"):
        plan(Wishes(str(POCKET / "model_index.json")), pocket_catalog, CPU)
    for strange in ("nothing", "a/b/c", "../x.safetensors", "acme/x.safetensors"):
        with pytest.raises(ConfigurationError, match=r"is no folder or .safetensors file that exists"):
            plan(Wishes(strange), pocket_catalog, CPU)


def test_a_clip_is_an_entry_of_its_own_and_may_be_named_by_its_source(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["acme/clip"] = Hosted(ROOT / "models" / "pocket-m")
    ((table, name, fields),) = carry_out(plan(Wishes("acme/clip"), None, CPU), Digests(), ignore)
    assert (table, name, fields["hub"]) == ("clips", "clip", "acme/clip")
    assert list(fields["sha256"]) == ["open_clip_model.safetensors"]
    planned = plan(Wishes("acme/pocket", clip="acme/clip"), None, CPU)
    assert [entry[:2] for entry in planned.entries] == [("clips", "clip"), ("models", "pocket")]
    assert planned.entries[1][2]["clip"] == "clip"
    assert "text_clip" not in planned.entries[1][2], "pocket's text encoder is not that of a published CLIP"


def test_the_clip_of_the_text_encoder_is_known_by_its_content(pocket_catalog: Catalog) -> None:
    others = Catalog(
        models=pocket_catalog.models,
        clips=tuple(
            ClipCard(id=each, path=ROOT / "models" / each) for each in ("pocket-m", "pocket-eval", "pocket-s")
        ),
    )
    planned = plan(Wishes(str(POCKET), name="again"), others, CPU)
    assert planned.entries[0][2]["text_clip"] == "pocket-s"


def test_the_published_clips_are_those_of_the_library() -> None:
    for published, (name, tag) in {
        VIT_L: ("ViT-L-14", "openai"),
        GUIDE: ("ViT-H-14", "laion2b_s32b_b79k"),
    }.items():
        assert get_pretrained_cfg(name, tag)["hf_hub"].strip("/") == published.hub


@pytest.mark.parametrize(
    ("name", "scheduler", "fields", "expected"),
    [
        ("o/sd-turbo", "EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"},
         {"steps": 4, "cfg_scale": 1.0, "sampler": "euler_ancestral", "schedule": "sgm_uniform"}),
        ("o/Hyper-SD15-1step-lora", "DDIMScheduler", {}, {"steps": 1, "cfg_scale": 1.0, "sampler": "euler"}),
        ("o/hyperrealism", "DDIMScheduler", {}, {"sampler": "ddim"}),
        ("o/dreamshaper-7", "LCMScheduler", {}, {"steps": 4, "cfg_scale": 1.0, "sampler": "lcm"}),
        ("o/m", "DPMSolverMultistepScheduler", {"use_karras_sigmas": True},
         {"sampler": "dpmpp_2m", "schedule": "karras"}),
        ("o/m", "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, {"sampler": "dpmpp_2m_sde"}),
        ("o/m", "DEISMultistepScheduler", {}, {}),
        ("o/m", "DDIMScheduler", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
         {"sampler": "ddim", "guidance_rescale": 0.7}),
    ],
)  # fmt: skip
def test_defaults_are_those_of_its_scheduler_and_of_models_of_few_steps(
    tmp_path: Path, name: str, scheduler: str, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    shutil.copytree(POCKET, tmp_path / "m")
    edit(
        tmp_path / "m" / "scheduler" / "scheduler_config.json",
        prediction_type="epsilon",
        _class_name=scheduler,
    )
    edit(tmp_path / "m" / "scheduler" / "scheduler_config.json", **fields)
    edit(tmp_path / "m" / "model_index.json", scheduler=["diffusers", scheduler])
    found = defaults_of(of_folder(FolderSource(tmp_path / "m"), None, prefers_fp16=False), name)
    sizes = {"width", "height", "min_px", "max_px"}
    given = {key: value for key, value in found.items() if key not in sizes}
    assert expected.items() <= given.items()
    if "schedule" not in given or "steps" not in given:
        assert given.keys() == expected.keys()


def test_a_checkpoint_that_takes_the_guidance_scale_says_so_and_loads(tmp_path: Path) -> None:
    folder = written(lambda: checkpoints.latent_consistency(time_cond_proj_dim=16), tmp_path / "lcm")
    found = of_folder(FolderSource(folder), None, prefers_fp16=False)
    fields = defaults_of(found, "acme/LCM_1")
    assert fields["cfg_embedded"] is True
    card = ModelCard.model_validate({"id": "lcm", "path": folder, "clip": "c", **fields})
    assert (card.steps, card.cfg_scale, card.sampler) == (4, 8.0, "lcm")
    load_diffusion(card, Device(WorkerSettings(device="cpu", dtype="fp32")))


def test_a_stable_unclip_is_read_with_its_image_encoder(tmp_path: Path) -> None:
    folder = written(checkpoints.stable_unclip, tmp_path / "unclip")
    found = of_folder(FolderSource(folder), None, prefers_fp16=False)
    assert defaults_of(found, "acme/unclip")["family"] == "unclip"
    assert {"image_encoder/model.safetensors", "feature_extractor/preprocessor_config.json"} <= set(
        found.files
    )


def test_a_model_that_was_fetched_loads_without_a_hub(
    hub: Hub, pocket_catalog: Catalog, tmp_path: Path
) -> None:
    planned: Plan = plan(Wishes("acme/pocket", name="mine"), pocket_catalog, CPU)
    ((_, name, fields),) = carry_out(planned, Digests(), ignore)
    asked = len(hub.fetched)
    hub.repositories.clear()
    card = ModelCard.model_validate(
        {"id": name, **{key: value for key, value in fields.items() if value is not None}}
    )
    load_diffusion(card, CPU)
    assert len(hub.fetched) == asked
    next((tmp_path / "cache").rglob("unet/*.safetensors")).unlink()
    with pytest.raises(ModelUnavailableError):
        load_diffusion(card, CPU)
