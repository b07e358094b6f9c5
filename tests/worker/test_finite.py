"""No result holds a number that is not finite, whatever a network answers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jobs.catalog.catalog import Catalog
from jobs.errors import JobFailedError
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import ClipTask, EmbeddingTask, ScoreTask
from jobs.storage.artifacts import ArtifactStore
from tests.worker.models.predicting import pocket_of
from worker.aesthetics.predictor import AestheticHead
from worker.calls import EmbedImage
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.engine.tasks import run_task
from worker.events import Preview, Yield
from worker.facts import ClipFacts, Facts
from worker.finite import is_finite
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs, StoredPicture
from worker.pictures.png import encode_preview
from worker.raster import Raster
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

Ask = Callable[..., ResolvedRequest]
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def broken(pocket_catalog: Catalog) -> ModelRegistry:
    """Models of our own, to break."""
    return ModelRegistry(pocket_catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))


def spoil(broken: ModelRegistry, value: float) -> Callable[[], None]:
    """Let the decoder answer a number that is none in one colour; how to mend it."""
    bias = pocket_of(broken)._vae.decoder.conv_out.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias[1] = value

    def mend() -> None:
        with torch.no_grad():
            bias.copy_(before)

    return mend


def run(
    request: ResolvedRequest, models: ModelRegistry, features: dict[str, torch.Tensor] | None = None
) -> list[Yield]:
    """Run a sampler to its end; some CLIPs have other image features. All that it yielded."""
    runner, seen = Runner(models), list[Yield]()
    sampler = sampler_of(request, models, SamplerInputs("pocket-m", "pocket-s"))
    call = next(sampler)
    try:
        while True:
            seen.append(call)
            given = (features or {}).get(call.clip) if isinstance(call, EmbedImage) else None
            call = sampler.send(runner.answer(call) if given is None else given)
    except StopIteration:
        return seen


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_picture_that_the_decoder_overflows_fails_and_says_so(
    broken: ModelRegistry, ask: Ask, value: float
) -> None:
    mend = spoil(broken, value)
    try:
        with pytest.raises(JobFailedError, match="picture 0 is not finite after decoding"):
            run(ask(steps=1), broken)
    finally:
        mend()


def test_a_preview_that_overflows_is_no_picture_and_the_picture_goes_on(
    broken: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, decoded = type(broken.diffusion("pocket")), list[int]()
    real = model.decode

    def decode(self: object, latents: torch.Tensor) -> torch.Tensor:
        decoded.append(1)
        overflow = INF if len(decoded) == 1 else 0.0
        return real(self, latents) + overflow  # type: ignore[arg-type]

    monkeypatch.setattr(model, "decode", decode)
    seen = run(ask(steps=3, preview_every_steps=1), broken)
    previews = [call for call in seen if isinstance(call, Preview)]
    assert [(each.step, each.raster.is_finite) for each in previews] == [(1, False), (2, True)]
    assert len(decoded) == 3


@pytest.mark.parametrize(
    ("clip", "said"),
    [
        ("pocket-m", "the similarity of picture 0 to its prompt is not finite after scoring by pocket-m"),
        ("pocket-s", "the embedding of picture 0 is not finite after scoring by pocket-s"),
    ],
)
def test_image_features_that_are_not_finite_fail_the_picture_and_say_whose(
    models: ModelRegistry, ask: Ask, clip: str, said: str
) -> None:
    with pytest.raises(JobFailedError, match=said):
        run(ask(steps=1), models, {clip: torch.full((1, models.clip(clip).width), NAN)})


def test_an_aesthetic_score_that_is_not_finite_fails_the_picture(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    width = models.clip("pocket-s").width
    head = AestheticHead(((torch.ones(1, width), torch.tensor([INF])),), relu=False)
    monkeypatch.setattr(models.clip("pocket-s"), "head", head)
    with pytest.raises(JobFailedError, match="the aesthetic score of picture 0 is not finite after scoring"):
        run(ask(steps=1), models)


@pytest.mark.parametrize("kind", ["score", "embedding"])
def test_a_task_whose_picture_has_no_finite_embedding_fails_and_says_which(kind: str, tmp_path: Path) -> None:
    keys, store = ("a/0.png", "a/1.png"), ArtifactStore(str(tmp_path))
    pictures = tuple(StoredPicture(key, store) for key in keys)  # which nobody reads here
    task = (
        ScoreTask(clip="c", pictures=keys)
        if kind == "score"
        else EmbeddingTask(clip="c", name="n", pictures=keys)
    )
    with pytest.raises(JobFailedError, match="the embedding of picture 1 is not finite after scoring by c"):
        do(task, Inputs(pictures=pictures), [1.0, NAN])


def do(task: ClipTask, inputs: Inputs, embeddings: list[float]) -> None:
    """Run a task whose pictures have image features of these numbers."""
    facts = Facts(clips={"c": ClipFacts(32, None, lambda text: None)})
    steps, found = run_task(task, inputs, facts), iter(embeddings)
    call = next(steps)
    while True:
        call = steps.send(torch.full((1, 192), next(found)) if isinstance(call, EmbedImage) else None)


def test_no_file_is_made_of_a_picture_that_is_not_finite() -> None:
    with pytest.raises(JobFailedError, match="not finite"):
        encode_preview(Raster(torch.full((3, 8, 8), NAN)))


def test_numbers_tensors_and_nothing_are_looked_at_alike() -> None:
    finite: list[torch.Tensor | float | None] = [None, 0.0, torch.zeros(2), torch.zeros(0)]
    infinite: list[torch.Tensor | float | None] = [NAN, INF, torch.tensor([0.0, -INF])]
    assert [is_finite(value) for value in (*finite, *infinite)] == [True] * 4 + [False] * 3
